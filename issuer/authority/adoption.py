"""Taking in what was made elsewhere: tokens as they are, seeds into custody, in one transaction.

Nothing is signed anew. What fits no chain, or collides with what is here, is not taken, and said.
Taking the same in again changes nothing; a newer token of something known becomes its next version.
First adoptions are not queued for delivery: whoever brings a running system has its servers up to
date already, and `push --all` is there for whoever has not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from issuer.audit.catalogue import EventCode
from issuer.authority.desk import Outcome, Turn
from issuer.authority.finding import the_operator
from issuer.authority.names import BadName, checked_name
from issuer.authority.signing import head, sign_account
from issuer.authority.taking import Adoption, NameTaken, NotTaken, Taking, Untrusted
from issuer.authority.taking_users import fast_adoption, role_of_issuer
from issuer.claims.account import AccountClaims
from issuer.claims.operator import OperatorClaims
from issuer.claims.user import UserClaims
from issuer.errors import AlreadyExists, NotFound
from issuer.interop.nsc import FoundAccount, FoundOperator, FoundUser, Inventory, named
from issuer.keys.nkeys import Seed
from issuer.store import hierarchy, outbox
from issuer.store.hierarchy import Account, Entity, Operator, User
from issuer.tokens.envelope import decode

NSC: Final = "nsc"
FILE: Final = "file"


@dataclass(frozen=True, slots=True)
class AdoptStore:
    """A whole store to take in.

    `overwrite`: its tokens win over newer ones of ours. `skip_clashes`: leave out what collides
    instead of refusing everything.
    """

    inventory: Inventory
    source: str = ""
    overwrite: bool = False
    skip_clashes: bool = False
    progress: Callable[[int], None] = field(default=lambda _done: None, compare=False)


@dataclass(frozen=True, slots=True)
class AdoptAccount:
    """One account token. With `sign_anew`, one our operator never signed is signed by it."""

    token: str
    operator: str | None = None
    seed: Seed | None = None
    overwrite: bool = False
    sign_anew: bool = False
    source: str = ""


@dataclass(frozen=True, slots=True)
class AdoptUser:
    """One user token, and the seed of a creds file."""

    token: str
    operator: str | None = None
    seed: Seed | None = None
    overwrite: bool = False
    source: str = ""


def adopt_store(turn: Turn, act: AdoptStore) -> Adoption:
    """Take in every operator of a store, with its accounts, users and keys.

    Raises:
        NameTaken: something here has the name of something there; nothing is taken.
        NotTaken: a key is known here as another thing.
    """
    taking = Taking(turn, NSC, overwrite=act.overwrite, skip_clashes=act.skip_clashes)
    taking.look_ahead(
        user.public for one in act.inventory.operators for each in one.accounts for user in each.users
    )
    for file in act.inventory.quarantined:
        taking.leave(file.path, file.reason)
    for orphan in act.inventory.orphans:
        taking.leave(orphan.path, f"user {orphan.name!r} was signed by {orphan.claims.iss}, no account's key")
    done = 0
    for operator in act.inventory.operators:
        for _ in _adopt_operator(taking, operator):
            done += 1
            act.progress(done)
    report = taking.report()
    if report.changed:
        turn.record(
            EventCode.IMPORT_DONE,
            act.inventory.operators[0].public if len(act.inventory.operators) == 1 else "",
            targets=tuple(one.public for one in act.inventory.operators),
            detail={
                "kind": NSC,
                "path": act.source,
                "operators": report.count("operator"),
                "accounts": report.count("account"),
                "users": report.count("user"),
                "keys": report.keys,
            },
        )
    return report


def adopt_account(turn: Turn, act: AdoptAccount) -> Outcome:
    """Take in one account token.

    Raises:
        Untrusted: our operator did not sign it, and nobody said that it should now.
    """
    read = decode(act.token, AccountClaims)
    claims = read.claims
    operator = the_operator(turn.unit, act.operator)
    authority: OperatorClaims = head(turn, "operator", operator.id).claims
    taking = Taking(turn, FILE, overwrite=act.overwrite)
    account = FoundAccount(act.source, read.token, claims, seed=act.seed)
    if authority.trusts(claims.iss, claims.sub):
        row = _adopt_account(taking, operator, account)
        return _outcome(turn, EventCode.ACCOUNT_ADOPTED, taking, row)
    if not act.sign_anew:
        whose = "by itself" if claims.iss == claims.sub else f"by {claims.iss}"
        raise Untrusted(
            f"account {named(claims)!r} was signed {whose}, not by operator {operator.name!r}",
            at=act.source or None,
            hint="--force signs it with our operator's key",
        )
    known = hierarchy.account_by_public(turn.unit, claims.sub)
    if known is not None and not act.overwrite:
        raise AlreadyExists(f"account {known.name!r} is here already", hint="--overwrite")
    row = known or _place_account(taking, operator, account)
    taking.keep_seed(act.seed)
    return sign_account(turn, row, claims, EventCode.ACCOUNT_ADOPTED, operator=operator)


def adopt_user(turn: Turn, act: AdoptUser) -> Outcome:
    """Take in one user token, and its seed.

    Raises:
        Untrusted: no key of an account here signed it.
    """
    read = decode(act.token, UserClaims)
    claims = read.claims
    account = hierarchy.account_by_public(turn.unit, claims.account)
    operator = the_operator(turn.unit, act.operator)
    if account is None or account.operator_id != operator.id:
        raise NotFound(
            f"operator {operator.name!r} has no account {claims.account}, for which the user was signed",
            at=act.source or None,
        )
    owner = FoundAccount("", read.token, head(turn, "account", account.id).claims)
    if not owner.signed(claims):
        raise Untrusted(
            f"user {named(claims)!r} was signed by {claims.iss}, not a key of account {account.name!r}",
            at=act.source or None,
        )
    taking = Taking(turn, FILE, overwrite=act.overwrite)
    user = FoundUser(act.source, read.token, claims, seed=act.seed)
    row = _adopt_user(taking, account, owner, user)
    return _outcome(turn, EventCode.USER_ADOPTED, taking, row)


def _adopt_operator(taking: Taking, operator: FoundOperator) -> Iterator[None]:
    unit = taking.turn.unit
    try:
        row = _operator_row(taking, operator)
    except (NotTaken, NameTaken, BadName) as fault:
        taking.clash(operator.path, fault)
        return
    taking.keep_seed(operator.seed)
    for seed in operator.signing:
        taking.keep_seed(seed, purpose="signing", owner_id=row.id)
    taking.version("operator", row, operator.token, operator.claims, {})
    # Accounts are held against the newest token we know, or an old copy would bring back a removed key.
    authority: OperatorClaims = head(unit, "operator", row.id).claims
    yield
    for account in operator.accounts:
        yield from _adopt_branch(taking, row, authority, account)


def _adopt_branch(
    taking: Taking, operator: Operator, authority: OperatorClaims, account: FoundAccount
) -> Iterator[None]:
    if not authority.trusts(account.claims.iss, account.public):
        itself = account.claims.iss == account.public
        whose = "itself" if itself else f"{account.claims.iss}, no key of the operator that counts"
        taking.leave(account.path, f"account {account.name!r} was signed by {whose}")
        _leave_users(taking, account)
        return
    try:
        row = _adopt_account(taking, operator, account)
    except (NotTaken, NameTaken, BadName) as fault:
        taking.clash(account.path, fault)
        _leave_users(taking, account)
        return
    owner = FoundAccount(account.path, account.token, head(taking.turn, "account", row.id).claims)
    yield
    slow, fast = _sorted_out(taking, row, owner, account.users)
    for _ in fast_adoption(taking, row, owner.claims, fast):
        yield
    for user in slow:
        try:
            _adopt_user(taking, row, owner, user)
        except (NotTaken, NameTaken, BadName) as fault:
            taking.clash(user.path, fault)
        yield


def _sorted_out(
    taking: Taking, row: Account, owner: FoundAccount, users: tuple[FoundUser, ...]
) -> tuple[list[FoundUser], list[FoundUser]]:
    """Users to look at one by one, and those that nothing here can collide with."""
    slow: list[FoundUser] = []
    fast: list[FoundUser] = []
    names = taking.names_in(row)
    for user in users:
        if not owner.signed(user.claims):
            taking.leave(user.path, f"user {user.name!r} was signed by {user.claims.iss}, no key any more")
        elif names is not None and taking.unknown(user.public) and user.name not in names:
            names.add(user.name)
            fast.append(user)
        else:
            slow.append(user)
    return slow, fast


def _leave_users(taking: Taking, account: FoundAccount) -> None:
    for user in account.users:
        taking.leave(user.path, f"user {user.name!r} has no account here without {account.name!r}")


def _operator_row(taking: Taking, operator: FoundOperator) -> Operator:
    unit, now = taking.turn.unit, taking.turn.now
    known = hierarchy.operator_by_public(unit, operator.public)
    name = checked_name(operator.name, "operator")
    if known is not None:
        if known.name != name and _wins(taking, "operator", known, operator):
            _require_free("operator", name, hierarchy.find_operator(unit, name))
            hierarchy.rename_operator(unit, known, name, now=now)
            return replace(known, name=name)
        return known
    _require_free("operator", name, hierarchy.find_operator(unit, name))
    row_id = taking.row_id(operator.public, f"operator {name!r}")
    return hierarchy.add_operator(unit, row_id, operator.public, name, now=now)


def _adopt_account(taking: Taking, operator: Operator, account: FoundAccount) -> Account:
    """Place an account, keep its keys and its token."""
    unit, now = taking.turn.unit, taking.turn.now
    row = hierarchy.account_by_public(unit, account.public)
    known = row is not None
    if row is None:
        row = _place_account(taking, operator, account)
    elif row.operator_id != operator.id:
        raise NotTaken(f"account {row.name!r} belongs to another operator here")
    elif _wins(taking, "account", row, account):
        name = checked_name(account.name, "account")
        if name != row.name:
            _require_free("account", name, hierarchy.find_account(unit, operator.id, name))
            hierarchy.rename_account(unit, row, name, now=now)
            row = replace(row, name=name)
    taking.keep_seed(account.seed)
    for seed in account.signing:
        taking.keep_seed(seed, purpose="signing", owner_id=row.id)
    taking.keep_seed(account.curve, purpose="curve", owner_id=row.id)
    version = taking.version("account", row, account.token, account.claims, {})
    if version is not None and known:
        # Servers have what we gave them last; this one they get from us too.
        outbox.enqueue(unit, row.id, outbox.UPDATE, version.id, version.version, now)
    return row


def _place_account(taking: Taking, operator: Operator, account: FoundAccount) -> Account:
    unit = taking.turn.unit
    name = checked_name(account.name, "account")
    _require_free("account", name, hierarchy.find_account(unit, operator.id, name))
    row_id = taking.row_id(account.public, f"account {name!r}")
    return hierarchy.add_account(unit, row_id, operator.id, account.public, name, now=taking.turn.now)


def _adopt_user(taking: Taking, account: Account, owner: FoundAccount, user: FoundUser) -> User:
    unit = taking.turn.unit
    name = checked_name(user.name, "user")
    role = role_of_issuer(owner.claims, user.claims.iss)
    row = hierarchy.user_by_public(unit, user.public)
    if row is None:
        _require_free("user", name, hierarchy.find_user(unit, account.id, name))
        row_id = taking.row_id(user.public, f"user {name!r}")
        row = hierarchy.add_user(
            unit,
            row_id,
            account.id,
            user.public,
            name,
            role=role,
            issuer=user.claims.iss,
            now=taking.turn.now,
        )
    elif row.account_id != account.id:
        raise NotTaken(f"user {row.name!r} is in another account here")
    elif _wins(taking, "user", row, user):
        if name != row.name:
            _require_free("user", name, hierarchy.find_user(unit, account.id, name))
            hierarchy.rename_user(unit, row, name)
        if role != row.role:
            hierarchy.set_user_role(unit, row, role)
        row = replace(row, name=name, role=role)
    taking.keep_seed(user.seed)
    taking.version("user", row, user.token, user.claims, {"account": account.public, "role": role})
    return row


def _wins(taking: Taking, kind: str, row: Entity, found: FoundOperator | FoundAccount | FoundUser) -> bool:
    """Whether its token will become the next version of something known, and its name with it."""
    return taking.standing(kind, row, found.token, found.claims.iat) == "updated"


def _require_free(kind: str, name: str, holder: Entity | None) -> None:
    if holder is not None:
        raise NameTaken(
            f"{kind} {name!r} exists here already, with key {holder.public}",
            hint=f"delete or rename one {kind}, or leave it out: --skip-clashes",
        )


def _outcome(turn: Turn, code: EventCode, taking: Taking, row: Account | User) -> Outcome:
    state = taking.adopted[-1].state
    notes = list(turn.notes)
    if state == "older":
        notes.append("a newer token is here: this one was not taken; --overwrite takes it all the same")
    if not turn.keyring.has(turn.unit, row.public):
        notes.append("its seed is not here: accredit import keys brings it")
    version = hierarchy.head_token(turn.unit, taking.adopted[-1].kind, row.id)
    changed = taking.report().changed
    return Outcome(
        code, row.name, row.public, decode(version.token).token, notes=tuple(notes), changed=changed
    )
