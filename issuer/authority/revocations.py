"""Cutting users off, and letting them in again (claims spec §3.9, enforcement spec §3.6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from issuer.audit.catalogue import EventCode
from issuer.authority.desk import Outcome, Turn
from issuer.authority.finding import the_account, the_operator
from issuer.authority.signing import head, sign_account
from issuer.claims.account import AccountClaims, Export, compacted, with_revocation
from issuer.claims.fields import EVERYONE, with_body
from issuer.errors import NotFound
from issuer.keys.nkeys import PublicKey, Role, is_public, parse_public
from issuer.store import hierarchy
from issuer.store.hierarchy import Account, Operator
from issuer.store.unit import Unit


@dataclass(frozen=True, slots=True)
class RevokeUser:
    """Cut off every token of a user (a name, a public key, or `*` for all) up to `at`, else now."""

    user: str
    account: str
    operator: str | None = None
    at: int | None = None


@dataclass(frozen=True, slots=True)
class RestoreUser:
    """Take a user, or `*`, off the revocation list; old tokens work again."""

    user: str
    account: str
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class RevokeActivation:
    """Withdraw the leave to import a private export, from one account or from all (`*`)."""

    account: str
    subject: str
    target: str
    service: bool = False
    operator: str | None = None
    at: int | None = None


@dataclass(frozen=True, slots=True)
class RestoreActivation:
    """Let activations of a target count again."""

    account: str
    subject: str
    target: str
    service: bool = False
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class CompactRevocations:
    """Drop entries that `*` covers, and those of users whose every token has expired."""

    account: str
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class Revocation:
    """One entry of a list: `name` is the user's, where it is known here."""

    public: str
    name: str
    at: int


def revoke_user(turn: Turn, act: RevokeUser) -> Outcome:
    operator = the_operator(turn.unit, act.operator)
    account = the_account(turn.unit, operator, act.account)
    public = _target(turn, account, act.user)
    return cut(turn, operator, account, public, at=act.at)


def cut(turn: Turn, operator: Operator, account: Account, public: PublicKey, *, at: int | None) -> Outcome:
    """Revoke a key in its account, up to the newest token we issued for it."""
    claims: AccountClaims = head(turn, "account", account.id).claims
    if at is None:
        # A token moved on past a revocation of its own second is dated ahead of the clock.
        at = max(turn.now, hierarchy.newest_issue(turn.unit, account.id, public))
    revocations = compacted(with_revocation(claims.nats.revocations, public, at))
    if revocations == claims.nats.revocations:
        return Outcome(EventCode.USER_REVOKED, account.name, account.public, changed=False)
    changed = with_body(claims, revocations=revocations)
    user = hierarchy.user_by_public(turn.unit, public)
    return sign_account(
        turn,
        account,
        changed,
        EventCode.USER_REVOKED,
        operator=operator,
        detail={"user": public, "user_name": user.name if user else "", "until": at},
    )


def restore_user(turn: Turn, act: RestoreUser) -> Outcome:
    operator = the_operator(turn.unit, act.operator)
    account = the_account(turn.unit, operator, act.account)
    public = _target(turn, account, act.user)
    claims: AccountClaims = head(turn, "account", account.id).claims
    if public not in claims.nats.revocations:
        raise NotFound(f"{act.user!r} is not on the revocation list of {account.name!r}", at="user")
    revocations = {key: at for key, at in claims.nats.revocations.items() if key != public}
    return sign_account(
        turn,
        account,
        with_body(claims, revocations=revocations),
        EventCode.USER_RESTORED,
        operator=operator,
        detail={"user": public},
    )


def compact_revocations(turn: Turn, act: CompactRevocations) -> Outcome:
    operator = the_operator(turn.unit, act.operator)
    account = the_account(turn.unit, operator, act.account)
    claims: AccountClaims = head(turn, "account", account.id).claims
    kept = {
        key: at
        for key, at in compacted(claims.nats.revocations).items()
        if key == EVERYONE or not hierarchy.all_expired(turn.unit, key, turn.now)
    }
    if kept == claims.nats.revocations:
        return Outcome(EventCode.ACCOUNT_CHANGED, account.name, account.public, changed=False)
    dropped = len(claims.nats.revocations) - len(kept)
    turn.notes.append(f"{dropped} entries were no longer needed")
    return sign_account(
        turn,
        account,
        with_body(claims, revocations=kept),
        EventCode.ACCOUNT_CHANGED,
        operator=operator,
        detail={"what": "revocations compacted", "count": dropped},
    )


def revocations(unit: Unit, account: Account) -> list[Revocation]:
    """The users cut off, by name where we know it, then by key."""
    claims: AccountClaims = head(unit, "account", account.id).claims
    return named_revocations(unit, claims.nats.revocations)


def named_revocations(unit: Unit, entries: dict[str, int]) -> list[Revocation]:
    found = []
    for key, at in entries.items():
        subject = None if key == EVERYONE else hierarchy.user_by_public(unit, PublicKey(key))
        found.append(Revocation(key, subject.name if subject else "", at))
    return sorted(found, key=lambda entry: (entry.public != EVERYONE, entry.name or entry.public))


def revoke_activation(turn: Turn, act: RevokeActivation) -> Outcome:
    target = _account_target(turn, act.operator, act.target)
    at = turn.now if act.at is None else act.at
    return _change_export(
        turn,
        act,
        EventCode.ACTIVATION_REVOKED,
        target,
        lambda export: with_revocation(export.revocations, target, at),
    )


def restore_activation(turn: Turn, act: RestoreActivation) -> Outcome:
    target = _account_target(turn, act.operator, act.target)

    def without(export: Export) -> dict[str, int]:
        if target not in export.revocations:
            raise NotFound(f"{act.target!r} is not revoked for {act.subject!r}", at="target account")
        return {key: at for key, at in export.revocations.items() if key != target}

    return _change_export(turn, act, EventCode.ACTIVATION_RESTORED, target, without)


def _change_export(
    turn: Turn,
    act: RevokeActivation | RestoreActivation,
    code: EventCode,
    target: str,
    change: Callable[[Export], dict[str, int]],
) -> Outcome:
    operator = the_operator(turn.unit, act.operator)
    account = the_account(turn.unit, operator, act.account)
    claims: AccountClaims = head(turn, "account", account.id).claims
    kind = "service" if act.service else "stream"
    exports = list(claims.nats.exports)
    for index, export in enumerate(exports):
        if export.type == kind and export.subject == act.subject:
            exports[index] = msgspec.structs.replace(export, revocations=change(export))
            break
    else:
        raise NotFound(
            f"account {account.name!r} exports no {kind} {act.subject!r}",
            at="subject",
            hint=f"accredit describe account {account.name}",
        )
    return sign_account(
        turn,
        account,
        with_body(claims, exports=tuple(exports)),
        code,
        operator=operator,
        detail={"subject": act.subject, "kind": kind, "importer": target},
    )


def _target(turn: Turn, account: Account, ref: str) -> PublicKey:
    if ref == EVERYONE:
        return PublicKey(EVERYONE)
    if is_public(ref, Role.USER):
        return parse_public(ref, Role.USER)
    user = hierarchy.find_user(turn.unit, account.id, ref)
    if user is None:
        raise NotFound(
            f"account {account.name!r} has no user {ref!r}",
            at="user",
            hint="a user that is gone from here can be named by its public key",
        )
    return user.public


def _account_target(turn: Turn, operator: str | None, ref: str) -> str:
    if ref == EVERYONE or is_public(ref, Role.ACCOUNT):
        return ref
    return the_account(turn.unit, the_operator(turn.unit, operator), ref).public
