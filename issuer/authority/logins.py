"""Logins of the auth callout, written down: the session and its event in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from issuer.audit.catalogue import EventCode
from issuer.audit.log import Event, append_many
from issuer.grants import Identity, Session
from issuer.store.grants import add_sessions
from issuer.store.identities import TurnedAway, add_turned_away, keep_identities
from issuer.store.notices import forget_notices, note_once
from issuer.store.unit import Unit

ACTOR = "callout"


@dataclass(frozen=True, slots=True)
class Granted:
    """A login that is let in, whose, and the id and hash of its token."""

    session: Session
    identity: Identity
    jti: str
    sha256: str
    proved_at: int | None = None
    """When it was last proved, if its directory was down."""
    first: bool = False
    """Whether it is the first of that outage."""
    proof: str = ""
    """Digest of what was shown, if it is good once."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A login that is turned away; `message` is for the operator and holds no secret."""

    code: str
    message: str
    server_id: str
    client_id: int
    address: str
    connection_type: str = ""
    identity: Identity | None = None


def write_granted(unit: Unit, operator_id: int, logins: Sequence[Granted], now: int) -> frozenset[str]:
    """Many at once: a commit costs more than all the rest of a login.

    Returns the tokens, by `jti`, of those that are not written: what they showed was used before.
    """
    once = [login for login in logins if login.proof]
    source = f"proof:{operator_id}"
    used = frozenset(login.jti for login in once if not note_once(unit, source, login.proof, now))
    if used:
        logins = [login for login in logins if login.jti not in used]
    if len(once) > len(used):
        # Only beside a login, whose event covers it: where all are refused nothing is written.
        forget_notices(unit, now)
    known = {login.session.identity: login.identity for login in logins}
    keep_identities(unit, operator_id, known.values(), now)
    add_sessions(unit, operator_id, [login.session for login in logins])
    append_many(unit, [event for login in logins for event in _granted(login)], now)
    return used


def write_refused(unit: Unit, operator_id: int, refusals: Sequence[Refused], now: int) -> None:
    known = [
        TurnedAway(
            identity=refusal.identity.digest(),
            code=refusal.code,
            address=refusal.address,
            connection_type=refusal.connection_type,
            proved_at=refusal.identity.authenticated_at,
            at=now,
        )
        for refusal in refusals
        if refusal.identity is not None
    ]
    keep_identities(unit, operator_id, [each.identity for each in refusals if each.identity is not None], now)
    add_turned_away(unit, operator_id, known)
    append_many(unit, [_refused(refusal) for refusal in refusals], now)


def _granted(login: Granted) -> list[Event]:
    session = login.session
    grace: dict[str, str | int] = {} if login.proved_at is None else {"grace": login.proved_at}
    granted = Event(
        EventCode.LOGIN_GRANTED,
        ACTOR,
        target=session.user_key,
        targets=(session.account,),
        artefacts=((login.jti, login.sha256),),
        detail={
            "issuer": session.issuer,
            "subject": session.subject,
            "directory": session.directory,
            "bindings": ", ".join(session.bindings),
            "policy": session.policy_version,
            "role": session.role,
            "server": session.server_id,
            "client": session.client_id,
            "expires": session.expires_at,
            **grace,
        },
    )
    if not login.first:
        return [granted]
    alarm = Event(
        EventCode.LOGIN_GRACE,
        ACTOR,
        target=session.user_key,
        detail={"directory": session.directory, "proved": login.proved_at or 0},
    )
    return [alarm, granted]


def _refused(refusal: Refused) -> Event:
    who = refusal.identity
    known = {} if who is None else {"issuer": who.issuer, "subject": who.subject, "directory": who.directory}
    return Event(
        EventCode.LOGIN_REFUSED,
        ACTOR,
        outcome="refused",
        detail={
            **known,
            "code": refusal.code,
            "message": refusal.message,
            "server": refusal.server_id,
            "client": refusal.client_id,
            "address": refusal.address,
        },
    )
