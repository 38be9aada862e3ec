"""Keeping somebody out, and letting in again; whose sessions that concerns, and what became of them.

The acts are about rights and records alone. Connections are ended by `issuer.delivery.evicting`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from issuer.audit.catalogue import EventCode
from issuer.audit.log import Detail
from issuer.authority.desk import Turn
from issuer.authority.finding import the_account, the_operator
from issuer.authority.sessions import with_identities
from issuer.authority.signing import head, sign_account
from issuer.claims.account import AccountClaims, compacted, with_revocation
from issuer.claims.fields import with_body
from issuer.errors import NotFound, Refused
from issuer.grants import Denial, Session, Target
from issuer.keys.nkeys import PublicKey
from issuer.store import hierarchy
from issuer.store.grants import add_denial, lift_denial, standing_denials
from issuer.store.hierarchy import Operator
from issuer.store.sessions import Wanted, end_sessions, find_sessions
from issuer.store.unit import Unit

_PAGE = 1000


class DeniesNobody(Refused):
    """A denial that does not say whom it is about."""

    code = "denial.nobody"


@dataclass(frozen=True, slots=True)
class Deny:
    """Keep somebody out whatever the policy says; the members are those of `Denial`."""

    target: Target
    issuer: str = ""
    value: str = ""
    before: int | None = None
    reason: str = ""
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class LiftDenial:
    """Let the policy decide again; `number` is the denial's id."""

    number: int
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class RevokePortable:
    """Revoke keys that carry tokens about: by account key, when each one's newest token was made."""

    keys: Mapping[str, Mapping[str, int]]
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class Affected:
    """Open sessions a denial is about; `last` is where to go on later, for those that come meanwhile."""

    sessions: tuple[Session, ...]
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of sessions that were to end; `first_kick`, `last_gone`: seconds from the beginning."""

    operator_id: int
    denial: Denial | None
    sessions: tuple[int, ...]
    """Ids of those that are over."""
    servers: Mapping[str, int]
    left: int = 0
    came_back: int = 0
    portable: int = 0
    unproved: tuple[str, ...] = ()
    first_kick: float | None = None
    last_gone: float | None = None


def deny(turn: Turn, act: Deny) -> Denial:
    """The denial as it stands; one that stands already is not written again.

    Raises:
        DeniesNobody: it does not say whom, or an identity without an issuer.
    """
    operator = the_operator(turn.unit, act.operator)
    if act.target is not Target.EVERYBODY and not act.value:
        raise DeniesNobody(f"a denial of a {act.target.value} needs to say which")
    if act.target is Target.IDENTITY and not act.issuer:
        raise DeniesNobody("a subject means somebody only together with its issuer", at="issuer")
    for standing in standing_denials(turn.unit, operator.id):
        if (standing.target, standing.issuer, standing.value, standing.before) == (
            act.target, act.issuer, act.value, act.before,
        ):  # fmt: skip
            return standing
    denial = Denial(
        target=act.target,
        issuer=act.issuer,
        value=act.value,
        before=act.before,
        reason=act.reason,
        created_at=turn.now,
    )
    return write_denial(turn, operator, denial)


def lift(turn: Turn, act: LiftDenial) -> Denial:
    """The denial that stood.

    Raises:
        NotFound: none of that number stands.
    """
    operator = the_operator(turn.unit, act.operator)
    for denial in standing_denials(turn.unit, operator.id):
        if denial.id == act.number and lift_standing(turn, operator, denial):
            return denial
    raise NotFound(f"no denial {act.number} stands", at="denial", hint="accredit denials")


def write_denial(turn: Turn, operator: Operator, denial: Denial) -> Denial:
    """The denial with its number, and its event."""
    denial = replace(denial, id=add_denial(turn.unit, operator.id, denial, turn.now))
    turn.record(EventCode.IDENTITY_DENIED, operator.public, detail=_told(denial))
    return denial


def lift_standing(turn: Turn, operator: Operator, denial: Denial) -> bool:
    """Whether it stood; then it is over, with its event."""
    if not lift_denial(turn.unit, operator.id, denial.id, now=turn.now):
        return False
    turn.record(EventCode.IDENTITY_RESTORED, operator.public, detail=_told(denial))
    return True


def denials(unit: Unit, operator_id: int) -> list[Denial]:
    """All that hold, oldest first."""
    return standing_denials(unit, operator_id)


def affected(unit: Unit, question: tuple[int, Denial, int]) -> Affected:
    """Open sessions that an operator's denial is about, of those after the session given.

    Writers come one at a time, so a session that is written later has a higher id.
    """
    operator_id, denial, last = question
    wanted = Wanted(
        issuer=denial.issuer or None,
        subject=denial.value if denial.target is Target.IDENTITY else None,
        directory=denial.value if denial.target is Target.DIRECTORY else None,
        binding=denial.value if denial.target is Target.BINDING else None,
    )
    found: list[Session] = []
    while True:
        rows = find_sessions(unit, operator_id, wanted, after=last, limit=_PAGE)
        found += [
            each
            for each, who in with_identities(unit, operator_id, rows)
            if denial.denies(who, each.bindings)
        ]
        last = rows[-1].id if rows else last
        if len(rows) < _PAGE:
            return Affected(tuple(found), last)


def revoke_portable(turn: Turn, act: RevokePortable) -> tuple[str, ...]:
    """The accounts signed anew; one token each, however many keys."""
    operator = the_operator(turn.unit, act.operator)
    for public, keys in act.keys.items():
        account = the_account(turn.unit, operator, public)
        claims: AccountClaims = head(turn, "account", account.id).claims
        entries = claims.nats.revocations
        for key, made in keys.items():
            newest = hierarchy.newest_issue(turn.unit, account.id, PublicKey(key))
            entries = with_revocation(entries, key, max(turn.now, made, newest))
        entries = compacted(entries)
        if entries != claims.nats.revocations:
            sign_account(
                turn,
                account,
                with_body(claims, revocations=entries),
                EventCode.USER_REVOKED,
                operator=operator,
                detail={"user": ", ".join(keys), "user_name": "", "until": turn.now},
            )
    return tuple(act.keys)


def note_ended(turn: Turn, act: Ended) -> int:
    """Write down what is over, with its event; how many of them were open still."""
    words = f"cut off: {turn.reason}" if turn.reason else "cut off"
    ended = end_sessions(turn.unit, act.sessions, now=turn.now, reason=words)
    detail: Detail = {
        "sessions": len(act.sessions) + act.left,
        "servers": ", ".join(f"{name}: {count}" for name, count in sorted(act.servers.items())),
        "left": act.left,
        "came_back": act.came_back,
        "portable": act.portable,
        "unproved": ", ".join(act.unproved),
    }
    if act.first_kick is not None:
        detail["first_kick_ms"] = round(act.first_kick * 1000)
    if act.last_gone is not None:
        detail["last_gone_ms"] = round(act.last_gone * 1000)
    if act.denial is not None:
        detail |= _told(act.denial)
    failed = act.left or act.unproved
    turn.record(EventCode.IDENTITY_EVICTED, "", outcome="failed" if failed else "done", detail=detail)
    return ended


def _told(denial: Denial) -> Detail:
    detail: Detail = {
        "denial": denial.id,
        "kind": denial.target.value,
        "issuer": denial.issuer,
        "value": denial.value,
    }
    if denial.before is not None:
        detail["before"] = denial.before
    return detail
