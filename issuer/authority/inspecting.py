"""Looking: what there is and what it says, as plain data. Reads only; no key is needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from issuer.authority.finding import the_account, the_operator, the_user
from issuer.claims.account import AccountClaims, Scope, signing_key
from issuer.claims.fields import EVERYONE
from issuer.claims.operator import OperatorClaims
from issuer.claims.wire import to_plain
from issuer.errors import NotFound
from issuer.keys.nkeys import PublicKey
from issuer.store import hierarchy, keys
from issuer.store.checkpoints import log_keys
from issuer.store.hierarchy import Account, Operator
from issuer.store.unit import Unit
from issuer.tokens.envelope import decode

_KINDS: Final = {"O": "operator", "A": "account", "U": "user", "X": "curve", "N": "server", "C": "cluster"}


@dataclass(frozen=True, slots=True)
class Description:
    """One thing and its newest token. `names` are those of the keys it mentions, where we know them."""

    kind: str
    name: str
    public: PublicKey
    token: str
    version: int
    claims: Any
    names: dict[str, str] = field(default_factory=dict)
    scope: Scope | None = None

    def plain(self) -> dict[str, Any]:
        """The claims as JSON shows them."""
        return to_plain(self.claims)


@dataclass(frozen=True, slots=True)
class Named:
    """A question about one thing; what is None is the only one there is."""

    operator: str | None = None
    account: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class UserPage:
    """A question for users of an account, some at a time."""

    account: str
    operator: str | None = None
    after: str = ""
    limit: int = 1000


def only_operator(unit: Unit, _: None = None) -> str:
    return the_operator(unit, None).name


def only_account(unit: Unit, operator: str | None) -> str:
    """The account meant when none is named: the only one besides the system account.

    Raises:
        NotFound: there is none, or several.
    """
    row = the_operator(unit, operator)
    authority: OperatorClaims = _head(unit, "operator", row.id)[1]
    system = authority.nats.system_account
    found: list[Account] = []
    for account in hierarchy.accounts(unit, row.id):
        if account.public != system:
            found.append(account)
        if len(found) > 1:
            raise NotFound(
                "which account", at="account", hint="name it with -a, or: accredit select account NAME"
            )
    if not found:
        raise NotFound(
            f"operator {row.name!r} has no account yet", at="account", hint="accredit add account NAME"
        )
    return found[0].name


# Describing


def describe_operator(unit: Unit, asked: Named) -> Description:
    row = the_operator(unit, asked.operator)
    version, claims = _head(unit, "operator", row.id)
    names = _names(unit, [claims.nats.system_account])
    return Description("operator", row.name, row.public, version.token, version.version, claims, names)


def describe_account(unit: Unit, asked: Named) -> Description:
    operator = the_operator(unit, asked.operator)
    row = the_account(unit, operator, asked.account or only_account(unit, asked.operator))
    version, claims = _head(unit, "account", row.id)
    body = claims.nats
    mentioned = [
        claims.iss,
        *(entry.account for entry in body.imports),
        *body.authorization.auth_users,
        *body.authorization.allowed_accounts,
        *(key for export in body.exports for key in export.revocations),
    ]
    names = _names(unit, mentioned) | {operator.public: operator.name}
    return Description("account", row.name, row.public, version.token, version.version, claims, names)


def describe_user(unit: Unit, asked: Named) -> Description:
    operator = the_operator(unit, asked.operator)
    account = the_account(unit, operator, asked.account or only_account(unit, asked.operator))
    row = the_user(unit, account, asked.user or "")
    version, claims = _head(unit, "user", row.id)
    owner: AccountClaims = _head(unit, "account", account.id)[1]
    return Description(
        "user",
        row.name,
        row.public,
        version.token,
        version.version,
        claims,
        {account.public: account.name},
        owner.scope(claims.iss),
    )


# Listing


def operator_rows(unit: Unit, _: None = None) -> list[dict[str, Any]]:
    rows = []
    for row in hierarchy.operators(unit):
        version = hierarchy.head_token(unit, "operator", row.id)
        rows.append({
            "name": row.name,
            "public_key": row.public,
            "accounts": hierarchy.count_accounts(unit, row.id),
            "issued_at": version.iat,
            "expires_at": version.exp,
        })  # fmt: skip
    return rows


def account_rows(unit: Unit, operator: str | None) -> list[dict[str, Any]]:
    owner = the_operator(unit, operator)
    authority: OperatorClaims = _head(unit, "operator", owner.id)[1]
    rows = []
    for row in hierarchy.accounts(unit, owner.id):
        version = hierarchy.head_token(unit, "account", row.id)
        rows.append({
            "name": row.name,
            "public_key": row.public,
            "users": hierarchy.count_users(unit, row.id),
            "system": row.public == authority.nats.system_account,
            "issued_at": version.iat,
            "expires_at": version.exp,
        })  # fmt: skip
    return rows


def user_rows(unit: Unit, asked: UserPage) -> list[dict[str, Any]]:
    """One page, in order of names."""
    account = the_account(unit, the_operator(unit, asked.operator), asked.account)
    return [
        {
            "name": row.name,
            "public_key": row.public,
            "role": row.role or None,
            "issued_at": row.issued_at,
            "expires_at": row.expires_at,
        }
        for row in hierarchy.users(unit, account.id, after=asked.after, limit=asked.limit)
    ]


def role_rows(unit: Unit, asked: Named) -> list[dict[str, Any]]:
    found = describe_account(unit, asked)
    account = hierarchy.account_by_public(unit, found.public)
    return [
        {
            "role": scope.role,
            "public_key": scope.key,
            "description": scope.description,
            "users": hierarchy.count_users(unit, account.id, issuer=scope.key) if account else 0,
            "stored": keys.has_seed(unit, scope.key),
            "template": to_plain(scope.template),
        }
        for scope in found.claims.nats.signing_keys
        if isinstance(scope, Scope)
    ]


def key_rows(unit: Unit, _: None = None) -> Iterator[dict[str, Any]]:
    """Every key: whose it is and whether its seed is here; and the keys tokens mention but we never saw."""
    owners: dict[int, tuple[str, str]] = {}
    roles: dict[str, str] = {}
    logs = {str(key.public): (f"log {key.origin}", "") for key in log_keys(unit)}
    mentioned = dict(logs)
    for operator in hierarchy.operators(unit):
        owners[operator.id] = (operator.name, operator.public)
        authority: OperatorClaims = _head(unit, "operator", operator.id)[1]
        mentioned.update(dict.fromkeys(authority.nats.signing_keys, owners[operator.id]))
        for account in hierarchy.accounts(unit, operator.id):
            owners[account.id] = (account.name, account.public)
            claims: AccountClaims = _head(unit, "account", account.id)[1]
            for entry in claims.nats.signing_keys:
                mentioned[signing_key(entry)] = owners[account.id]
                if isinstance(entry, Scope):
                    roles[entry.key] = entry.role
            if claims.nats.authorization.xkey:
                mentioned[claims.nats.authorization.xkey] = owners[account.id]
    for row in keys.all_keys(unit):
        of_log = row.public in logs
        signing = not of_log and (row.purpose == "signing" or row.public in mentioned)
        name, parent = mentioned.get(row.public) or _owner(unit, row, owners)
        seen = mentioned.pop(row.public, None) is not None
        identity = row.purpose == "identity" and name != ""
        yield {
            "name": name,
            "pub": row.public,
            "parent": parent,
            "expected_kind": _KINDS.get(row.role, row.role),
            "purpose": "log" if of_log else row.purpose,
            "role": roles.get(row.public),
            "signing": signing and row.role != "X",
            "curve": row.role == "X",
            "stored": row.sealed is not None,
            "referenced": seen or identity,
            "stored_at": row.stored_at,
        }
    for public, (name, parent) in mentioned.items():
        yield {
            "name": name,
            "pub": public,
            "parent": parent,
            "expected_kind": _KINDS.get(public[:1], ""),
            "purpose": "external",
            "role": roles.get(public),
            "signing": not public.startswith("X"),
            "curve": public.startswith("X"),
            "stored": False,
            "referenced": True,
            "stored_at": None,
        }


def _owner(unit: Unit, row: keys.KeyRow, owners: dict[int, tuple[str, str]]) -> tuple[str, str]:
    """Name of what the key is, or of what it belongs to, and the public key above it."""
    if row.id in owners:
        return owners[row.id][0], ""
    if row.owner_id is not None and row.owner_id in owners:
        return owners[row.owner_id]
    if row.role == "U":
        user = hierarchy.user_by_public(unit, row.public)
        if user is not None:
            return user.name, owners.get(user.account_id, ("", ""))[1]
    return "", ""


def _head(unit: Unit, kind: str, row_id: int) -> tuple[hierarchy.TokenVersion, Any]:
    version = hierarchy.head_token(unit, kind, row_id)
    return version, decode(version.token).claims


def _names(unit: Unit, publics: Iterable[str]) -> dict[str, str]:
    names = {}
    for public in publics:
        if public and public != EVERYONE and public not in names:
            found = hierarchy.subject_of(unit, public)
            if found is not None:
                names[public] = found[1].name
    return names


def operators_of(unit: Unit, operator: str | None) -> list[Operator]:
    """The operator named, or all of them."""
    return [the_operator(unit, operator)] if operator else list(hierarchy.operators(unit))


__all__ = [
    "Description",
    "Named",
    "UserPage",
    "account_rows",
    "describe_account",
    "describe_operator",
    "describe_user",
    "key_rows",
    "only_account",
    "only_operator",
    "operator_rows",
    "operators_of",
    "role_rows",
    "user_rows",
]
