"""Operators, accounts, users and the versions of their tokens: rows in, rows out.

`ref` is a name or a public key. Only live rows are found; the past is asked for by key and version.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, case, func, insert, or_, select, update

from issuer.errors import Conflict, Defect
from issuer.keys.nkeys import PublicKey, Role, is_public
from issuer.store.keys import key_is
from issuer.store.schema import accounts as accounts_table
from issuer.store.schema import keys as keys_table
from issuer.store.schema import operators as operators_table
from issuer.store.schema import tokens as tokens_table
from issuer.store.schema import users as users_table
from issuer.store.unit import Unit


@dataclass(frozen=True, slots=True)
class Operator:
    """A root of trust."""

    id: int
    public: PublicKey
    name: str
    head: int


@dataclass(frozen=True, slots=True)
class Account:
    """A tenant. `state`: live, deleting (servers may still know it) or deleted."""

    id: int
    operator_id: int
    public: PublicKey
    name: str
    head: int
    state: str


@dataclass(frozen=True, slots=True)
class User:
    """Someone who connects. `role` is '' for none; `issuer` signed the newest token."""

    id: int
    account_id: int
    public: PublicKey
    name: str
    role: str
    issuer: PublicKey
    head: int
    issued_at: int
    expires_at: int | None


@dataclass(frozen=True, slots=True)
class TokenVersion:
    """A signed token, kept for ever."""

    id: int
    key_id: int
    kind: str
    version: int
    jti: str
    sha256: str
    iat: int
    exp: int | None
    issuer: str
    token: str


Entity = Operator | Account | User

_TABLE: Final = {"operator": operators_table, "account": accounts_table, "user": users_table}
_PAGE: Final = 500

_OPERATOR: Final = select(
    operators_table.c.id, keys_table.c.public, operators_table.c.name, operators_table.c.head
).join(keys_table, keys_table.c.id == operators_table.c.id)
_ACCOUNT: Final = select(
    accounts_table.c.id,
    accounts_table.c.operator_id,
    keys_table.c.public,
    accounts_table.c.name,
    accounts_table.c.head,
    accounts_table.c.state,
).join(keys_table, keys_table.c.id == accounts_table.c.id)
_USER: Final = select(
    users_table.c.id,
    users_table.c.account_id,
    keys_table.c.public,
    users_table.c.name,
    users_table.c.role,
    users_table.c.issuer,
    users_table.c.head,
    users_table.c.issued_at,
    users_table.c.expires_at,
).join(keys_table, keys_table.c.id == users_table.c.id)
_VERSION: Final = select(*tokens_table.c)

_LIVE_OPERATOR: Final = operators_table.c.deleted_at.is_(None)
_LIVE_ACCOUNT: Final = accounts_table.c.deleted_at.is_(None)
_LIVE_USER: Final = users_table.c.deleted_at.is_(None)


def allocate_ids(unit: Unit, count: int) -> range:
    """Fresh ids for `keys` rows, in this transaction's order."""
    return unit.allocate_ids(count)


# Finding


def find_operator(unit: Unit, ref: str) -> Operator | None:
    return _operator(unit, _OPERATOR.where(_LIVE_OPERATOR, _named(unit, operators_table, ref, Role.OPERATOR)))


def find_account(unit: Unit, operator_id: int, ref: str) -> Account | None:
    return _account(
        unit,
        _ACCOUNT.where(
            _LIVE_ACCOUNT,
            accounts_table.c.operator_id == operator_id,
            _named(unit, accounts_table, ref, Role.ACCOUNT),
        ),
    )


def find_user(unit: Unit, account_id: int, ref: str) -> User | None:
    return _user(
        unit,
        _USER.where(
            _LIVE_USER, users_table.c.account_id == account_id, _named(unit, users_table, ref, Role.USER)
        ),
    )


def operator_by_id(unit: Unit, operator_id: int) -> Operator | None:
    return _operator(unit, _OPERATOR.where(_LIVE_OPERATOR, operators_table.c.id == operator_id))


def account_by_id(unit: Unit, account_id: int) -> Account | None:
    """An account in any state: deliveries outlive it."""
    return _account(unit, _ACCOUNT.where(accounts_table.c.id == account_id))


def operator_by_public(unit: Unit, public: str) -> Operator | None:
    return _operator(unit, _OPERATOR.where(_LIVE_OPERATOR, key_is(unit, public)))


def account_by_public(unit: Unit, public: str) -> Account | None:
    return _account(unit, _ACCOUNT.where(_LIVE_ACCOUNT, key_is(unit, public)))


def user_by_public(unit: Unit, public: str) -> User | None:
    return _user(unit, _USER.where(_LIVE_USER, key_is(unit, public)))


def subject_of(unit: Unit, public: str) -> tuple[str, Entity] | None:
    """What a public key is the identity of, and its row."""
    found: Entity | None
    match public[:1]:
        case "O":
            kind, found = "operator", operator_by_public(unit, public)
        case "A":
            kind, found = "account", account_by_public(unit, public)
        case "U":
            kind, found = "user", user_by_public(unit, public)
        case _:
            return None
    return (kind, found) if found is not None else None


# Listing: a page at a time by name, so that a caller may write in between


def operators(unit: Unit) -> Iterator[Operator]:
    for row in unit.fetch_all(_OPERATOR.where(_LIVE_OPERATOR).order_by(operators_table.c.name)):
        yield Operator(*row)


def accounts(unit: Unit, operator_id: int, *, after: str = "", limit: int | None = None) -> Iterator[Account]:
    query = _ACCOUNT.where(_LIVE_ACCOUNT, accounts_table.c.operator_id == operator_id)
    for row in _pages(unit, query, accounts_table.c.name, after, limit):
        yield Account(*row)


def users(unit: Unit, account_id: int, *, after: str = "", limit: int | None = None) -> Iterator[User]:
    query = _USER.where(_LIVE_USER, users_table.c.account_id == account_id)
    for row in _pages(unit, query, users_table.c.name, after, limit):
        yield User(*row)


def expiring_users(unit: Unit, before: int, *, account_id: int | None = None) -> Iterator[User]:
    """Live users whose token ends before a second, soonest first."""
    query = _USER.where(_LIVE_USER, users_table.c.expires_at < before)
    if account_id is not None:
        query = query.where(users_table.c.account_id == account_id)
    for row in unit.stream(query.order_by(users_table.c.expires_at, users_table.c.id)):
        yield User(*row)


def accounts_in_state(unit: Unit, state: str) -> list[Account]:
    """Accounts in one state whoever's they are; those being deleted among them."""
    query = _ACCOUNT.where(accounts_table.c.state == state).order_by(accounts_table.c.id)
    return [Account(*row) for row in unit.fetch_all(query)]


def count_users(unit: Unit, account_id: int, *, issuer: str | None = None) -> int:
    """Live users of an account, or those of them whose newest token one key signed."""
    query = select(func.count()).select_from(users_table)
    query = query.where(_LIVE_USER, users_table.c.account_id == account_id)
    if issuer is not None:
        query = query.where(users_table.c.issuer == issuer)
    return _number(unit, query)


def count_accounts(unit: Unit, operator_id: int) -> int:
    query = select(func.count()).select_from(accounts_table)
    return _number(unit, query.where(_LIVE_ACCOUNT, accounts_table.c.operator_id == operator_id))


# Changing rows


def add_operator(unit: Unit, row_id: int, public: PublicKey, name: str, *, now: int) -> Operator:
    """The row of an operator whose key has the same id; its first token is a `save_version` away."""
    values = {"id": row_id, "name": name, "head": 0, "created_at": now, "updated_at": now}
    unit.write(insert(operators_table), values)
    return Operator(row_id, public, name, 0)


def add_account(
    unit: Unit, row_id: int, operator_id: int, public: PublicKey, name: str, *, now: int
) -> Account:
    unit.write(
        insert(accounts_table),
        {
            "id": row_id,
            "operator_id": operator_id,
            "name": name,
            "head": 0,
            "state": "live",
            "created_at": now,
            "updated_at": now,
        },
    )
    return Account(row_id, operator_id, public, name, 0, "live")


def add_user(
    unit: Unit,
    row_id: int,
    account_id: int,
    public: PublicKey,
    name: str,
    *,
    role: str,
    issuer: PublicKey,
    now: int,
) -> User:
    unit.write(
        insert(users_table),
        {
            "id": row_id,
            "account_id": account_id,
            "name": name,
            "role": role,
            "issuer": issuer,
            "head": 0,
            "issued_at": now,
            "expires_at": None,
            "created_at": now,
        },
    )
    return User(row_id, account_id, public, name, role, issuer, 0, now, None)


def rename_operator(unit: Unit, row: Operator, name: str, *, now: int) -> None:
    _change(unit, operators_table, row.id, name=name, updated_at=now)


def rename_account(unit: Unit, row: Account, name: str, *, now: int) -> None:
    _change(unit, accounts_table, row.id, name=name, updated_at=now)


def rename_user(unit: Unit, row: User, name: str) -> None:
    _change(unit, users_table, row.id, name=name)


def set_user_role(unit: Unit, row: User, role: str) -> None:
    _change(unit, users_table, row.id, role=role)


def mark_deleted(unit: Unit, row: Entity, now: int) -> None:
    """Gone from every listing, its name free again; an account stays `deleting` until no server has it."""
    if isinstance(row, Account):
        _change(unit, accounts_table, row.id, state="deleting", deleted_at=now, updated_at=now)
    elif isinstance(row, Operator):
        _change(unit, operators_table, row.id, deleted_at=now, updated_at=now)
    else:
        _change(unit, users_table, row.id, deleted_at=now)


def finish_deletion(unit: Unit, account_id: int, now: int) -> None:
    """No server has the account any more."""
    where = (accounts_table.c.id == account_id) & (accounts_table.c.state == "deleting")
    unit.write(update(accounts_table).where(where).values(state="deleted", updated_at=now))


# Versions of tokens


def save_version(
    unit: Unit,
    kind: str,
    key_id: int,
    expected_head: int,
    *,
    jti: str,
    sha256: str,
    iat: int,
    exp: int | None,
    issuer: str,
    token: str,
) -> TokenVersion:
    """Keep a newly signed token as the head of its operator, account or user.

    Raises:
        Conflict: the head is not the one the claims were read from.
    """
    table = _TABLE[kind]
    version = expected_head + 1
    fields: dict[str, Any] = {"head": version}
    if kind == "user":
        fields |= {"issuer": issuer, "issued_at": iat, "expires_at": exp}
    else:
        fields |= {"updated_at": iat}
    moved = unit.write(
        update(table).where(table.c.id == key_id, table.c.head == expected_head).values(**fields)
    )
    if moved.rowcount != 1:
        raise Conflict(f"the {kind} was changed by somebody else", hint="read it again and retry")
    return _keep(unit, key_id, kind, version, jti, sha256, iat, exp, issuer, token)


def save_loose(
    unit: Unit,
    key_id: int,
    kind: str,
    *,
    jti: str,
    sha256: str,
    iat: int,
    exp: int | None,
    issuer: str,
    token: str,
) -> TokenVersion:
    """Keep a token that is nobody's head, an activation for one, under the key that gave it."""
    query = select(func.coalesce(func.max(tokens_table.c.version), 0))
    last = _number(unit, query.where(tokens_table.c.key_id == key_id, tokens_table.c.kind == kind))
    return _keep(unit, key_id, kind, last + 1, jti, sha256, iat, exp, issuer, token)


def head_token(unit: Unit, kind: str, key_id: int) -> TokenVersion:
    """The newest token of a row that exists, deleted or not."""
    query = _VERSION.where(tokens_table.c.key_id == key_id, tokens_table.c.kind == kind)
    row = unit.fetch_one(query.order_by(tokens_table.c.version.desc()).limit(1))
    if row is None:
        raise Defect(f"{kind} {key_id} has no token")
    return TokenVersion(*row)


def token_version(unit: Unit, kind: str, key_id: int, version: int) -> TokenVersion | None:
    row = unit.fetch_one(
        _VERSION.where(
            tokens_table.c.key_id == key_id, tokens_table.c.kind == kind, tokens_table.c.version == version
        )
    )
    return TokenVersion(*row) if row else None


def versions(unit: Unit, kind: str, key_id: int) -> Iterator[TokenVersion]:
    """Every version, oldest first."""
    query = _VERSION.where(tokens_table.c.key_id == key_id, tokens_table.c.kind == kind)
    for row in unit.stream(query.order_by(tokens_table.c.version)):
        yield TokenVersion(*row)


def token_by_hash(unit: Unit, sha256: str, *, public: str | None = None) -> TokenVersion | None:
    """The token we signed with this hash. Say whose it is, or the whole store is read through."""
    query = _VERSION.where(tokens_table.c.sha256 == sha256)
    if public is not None:
        query = query.join(keys_table, keys_table.c.id == tokens_table.c.key_id)
        query = query.where(key_is(unit, public))
    row = unit.fetch_one(query.limit(1))
    return TokenVersion(*row) if row else None


def newest_issue(unit: Unit, account_id: int, public: str) -> int:
    """The latest `iat` given to a user of an account, or with `*` to any; 0 when there is none."""
    query = select(func.coalesce(func.max(users_table.c.issued_at), 0))
    if public == "*":
        # Deleted users count: their tokens are out there.
        return _number(unit, query.where(users_table.c.account_id == account_id))
    query = query.join(keys_table, keys_table.c.id == users_table.c.id)
    return _number(unit, query.where(users_table.c.account_id == account_id, key_is(unit, public)))


def all_expired(unit: Unit, public: str, now: int) -> bool:
    """Whether every token we issued for a key has ended; False for a key we know nothing of."""
    alive = or_(tokens_table.c.exp.is_(None), tokens_table.c.exp > now)
    living = func.coalesce(func.sum(case((alive, 1), else_=0)), 0)
    query = select(func.count(), living).select_from(tokens_table)
    query = query.join(keys_table, keys_table.c.id == tokens_table.c.key_id)
    row = unit.fetch_one(query.where(key_is(unit, public)))
    return row is not None and row[0] > 0 and row[1] == 0


def _keep(unit: Unit, key_id: int, kind: str, version: int, *values: Any) -> TokenVersion:
    row = (key_id, kind, version, *values)
    names = ("key_id", "kind", "version", "jti", "sha256", "iat", "exp", "issuer", "token")
    statement = insert(tokens_table).returning(tokens_table.c.id)
    kept = unit.write(statement, dict(zip(names, row, strict=True))).scalar_one()
    return TokenVersion(int(kept), *row)


def _change(unit: Unit, table: Any, row_id: int, **values: Any) -> None:
    if unit.write(update(table).where(table.c.id == row_id).values(**values)).rowcount != 1:
        raise Conflict("what was to be changed is gone", hint="read it again")


def _named(unit: Unit, table: Any, ref: str, role: Role) -> ColumnElement[bool]:
    if is_public(ref, role):
        return key_is(unit, ref)
    condition: ColumnElement[bool] = table.c.name == ref
    return condition


def _pages(
    unit: Unit, query: Select[Any], name: Any, after: str, limit: int | None
) -> Iterator[Row[*tuple[Any, ...]]]:
    left = limit
    while left is None or left > 0:
        size = _PAGE if left is None else min(_PAGE, left)
        rows = unit.fetch_all(query.where(name > after).order_by(name).limit(size))
        yield from rows
        if len(rows) < size:
            return
        after = rows[-1].name
        left = None if left is None else left - size


def _number(unit: Unit, query: Select[Any]) -> int:
    row = unit.fetch_one(query)
    return int(row[0]) if row else 0


def _operator(unit: Unit, query: Select[Any]) -> Operator | None:
    row = unit.fetch_one(query)
    return Operator(*row) if row else None


def _account(unit: Unit, query: Select[Any]) -> Account | None:
    row = unit.fetch_one(query)
    return Account(*row) if row else None


def _user(unit: Unit, query: Select[Any]) -> User | None:
    row = unit.fetch_one(query)
    return User(*row) if row else None
