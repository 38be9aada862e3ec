"""Whose a connection is: from what a server says of it to the credential, the identity, and the event that
issued it.

Nothing a server says is taken for proof of who issued a token. It is looked up by its hash among those we
made; of one that is not there the signature is looked at, so that somebody who signs with a key of ours
past us is told from somebody who shows rubbish.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from issuer.audit.server_events import Heard, Kind, Mark, ServerEvent
from issuer.claims.user import UserClaims
from issuer.errors import PeerError
from issuer.store import issued
from issuer.store.connections import Link, service_users
from issuer.store.issued import IssuedToken, LetIn
from issuer.store.unit import Unit
from issuer.tokens.envelope import decode

_REMEMBERED: Final = 20_000


class Credential(StrEnum):
    """How what was shown is known."""

    ISSUED = "issued"
    """A token we issued or took in."""
    CALLOUT = "callout"
    """Let in by the callout."""
    SERVICE = "service"
    """Made for a connection of our own."""
    UNKNOWN = "unknown"
    """Signed by a key of ours, and never issued: an alarm."""
    FOREIGN = "foreign"
    """Signed by a key that is not ours."""
    UNPROVED = "unproved"
    """The signature does not fit, or it is no token."""
    NONE = "none"
    """No token was shown."""


class Attribution(msgspec.Struct, frozen=True, gc=False):
    """Whose it is, as far as that is known. `approval` is a sequence number of the log `admin`, or 0."""

    credential: Credential
    user_key: str = ""
    name: str = ""
    role: str = ""
    approval: int = 0
    session_id: int = 0
    subject: str = ""
    """Who the identity is, of the callout's."""
    identity: str = ""
    """Its digest."""

    @property
    def who(self) -> str:
        """By what their use is counted; '' if nobody is known."""
        return self.identity or self.user_key


class Attributor:
    """Attributes events, and remembers the tokens it has seen issued; one for each process."""

    def __init__(self, operator_id: int) -> None:
        self._operator_id = operator_id
        self._known: OrderedDict[str, Attribution] = OrderedDict()

    def attribute(self, unit: Unit, heard: Sequence[Heard]) -> list[Attribution]:
        """Whose each is, in their order."""
        shown = {each.event.token.sha256: each for each in heard if each.event.token is not None}
        for sha256 in [sha256 for sha256 in shown if sha256 in self._known]:
            self._known.move_to_end(sha256)
        new = [each for sha256, each in shown.items() if sha256 not in self._known]
        strangers = self._look_up(unit, new) if new else {}
        placed = self._placed(unit, [each.event for each in heard if each.event.token is None])
        found = []
        for each in heard:
            mark = each.event.token
            if mark is None:
                found.append(placed[each.event.link])
            else:
                found.append(self._known.get(mark.sha256) or strangers[mark.sha256])
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found

    def _look_up(self, unit: Unit, new: Sequence[Heard]) -> dict[str, Attribution]:
        """Tokens not seen before. Those that are ours are remembered; the others are given back, for they
        may be taken in later."""
        marks = {each.event.token.sha256: each.event.token for each in new if each.event.token is not None}
        texts = {each.event.token.sha256: each.token for each in new if each.event.token is not None}
        named = {sha256: mark.sub for sha256, mark in marks.items() if mark.sub}
        tokens = issued.issued_tokens(unit, named)
        rest = [mark for mark in marks.values() if mark.sha256 not in tokens]
        own = service_users(unit, [mark.sub for mark in rest if mark.sub]) if rest else {}
        sessions = issued.sessions_by_key(unit, [mark.sub for mark in rest if mark.sub]) if rest else {}
        ours = issued.known_keys(unit, [mark.iss for mark in rest if mark.iss]) if rest else set()
        approvals = _approvals(unit, tokens, sessions, rest)
        strangers: dict[str, Attribution] = {}
        for sha256, mark in marks.items():
            seq = approvals.get((mark.sub, sha256), 0)
            token = tokens.get(sha256)
            session = sessions.get(mark.sub)
            if token is not None:
                self._known[sha256] = Attribution(
                    Credential.ISSUED, token.public, token.name, token.role, approval=seq
                )
            elif own.get(mark.sub, ("", ""))[1] == sha256:
                self._known[sha256] = Attribution(
                    Credential.SERVICE, mark.sub, own[mark.sub][0], approval=seq
                )
            elif session is not None and seq:
                self._known[sha256] = _by_session(session, seq)
            else:
                strangers[sha256] = Attribution(_stranger(mark, texts[sha256], ours), mark.sub)
        return strangers

    def _placed(self, unit: Unit, events: Sequence[ServerEvent]) -> dict[Link, Attribution]:
        """Connections of which the server shows no token: the callout's, or nobody's."""
        if not events:
            return {}
        # Who was let in without a token, a key signed for; who was refused, none did.
        signed = {event.link: event for event in events if event.issuer_key}
        sessions = issued.sessions_by_link(
            unit, self._operator_id, {link: event.started for link, event in signed.items()}
        )
        missing = [event.issuer_key for link, event in signed.items() if link not in sessions]
        ours = issued.known_keys(unit, missing) if missing else set()
        events_of = issued.Events(unit) if sessions else None
        approvals = (
            events_of.naming(
                (session.user_key, session.user_key, session.started_at) for session in sessions.values()
            )
            if events_of is not None
            else {}
        )
        found: dict[Link, Attribution] = {}
        for event in events:
            session = sessions.get(event.link)
            if session is not None:
                seq = approvals.get((session.user_key, session.user_key), 0)
                found[event.link] = _by_session(session, seq)
            elif not event.issuer_key:
                found[event.link] = Attribution(Credential.NONE)
            elif event.issuer_key in ours and event.kind is not Kind.REFUSED:
                found[event.link] = Attribution(Credential.UNKNOWN)
            else:
                found[event.link] = Attribution(Credential.FOREIGN)
        return found


def _approvals(
    unit: Unit,
    tokens: dict[str, IssuedToken],
    sessions: dict[str, LetIn],
    rest: Sequence[Mark],
) -> dict[tuple[str, str], int]:
    """By subject and hash: the events that issued them."""
    events = issued.Events(unit)
    found = events.naming((token.public, token.sha256, token.issued_at) for token in tokens.values())
    # What was taken in from elsewhere is older than its event.
    found |= events.naming(
        (token.public, token.sha256, token.stored_at)
        for token in tokens.values()
        if (token.public, token.sha256) not in found and token.stored_at != token.issued_at
    )
    return found | events.naming(
        (mark.sub, mark.sha256, sessions[mark.sub].started_at) for mark in rest if mark.sub in sessions
    )


def _by_session(session: LetIn, approval: int) -> Attribution:
    return Attribution(
        Credential.CALLOUT,
        session.user_key,
        role=session.role,
        approval=approval,
        session_id=session.id,
        subject=f"{session.issuer} {session.subject}",
        identity=session.identity,
    )


def _stranger(mark: Mark, text: str, ours: set[str]) -> Credential:
    if not mark.iss:
        return Credential.UNPROVED
    if mark.iss not in ours:
        return Credential.FOREIGN
    try:
        decode(text, UserClaims)
    except PeerError:
        return Credential.UNPROVED
    return Credential.UNKNOWN
