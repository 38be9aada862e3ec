"""The sessions and retained messages of one account."""

from __future__ import annotations

import logging
from typing import Final

from broker.mqtt.packets import MAX_TEXT
from broker.mqtt.port import Ground
from broker.mqtt.retained import Retained, RetainedMessages
from broker.mqtt.session import Ledger, Line, Session

log = logging.getLogger("accredit.broker")

MAX_BYTES: Final = 256 * 1024 * 1024
"""What one account may have kept."""
MAX_SESSIONS: Final = 65_536
"""Sessions one account may have; beyond it those longest away are forgotten."""
JAIL: Final = 1.0
"""Seconds during which nobody else may take over a client identifier that was just taken over."""


class Memory:
    """Everything of MQTT that an account's connections share."""

    __slots__ = ("_jail", "ack_wait", "ground", "ledger", "max_unacknowledged", "retained", "sessions")

    def __init__(
        self, ground: Ground, *, ack_wait: float, max_unacknowledged: int, max_bytes: int = MAX_BYTES
    ) -> None:
        self.ground = ground
        self.ack_wait = ack_wait
        self.max_unacknowledged = max_unacknowledged
        self.ledger = Ledger(max_bytes)
        self.sessions: dict[str, Session] = {}
        """Those longest away first."""
        self.retained = RetainedMessages()
        self._jail: dict[str, float] = {}

    # --- sessions ----------------------------------------------------------------------------------

    def jailed(self, client_id: str, now: float) -> bool:
        """Whether connections with this identifier chase each other away too fast."""
        since = self._jail.get(client_id)
        if since is None:
            return False
        if now - since > JAIL:
            del self._jail[client_id]
            return False
        return True

    def take(self, client_id: str, line: Line, *, clean: bool, now: float) -> tuple[Session, bool]:
        """The session of a client that has come in, and whether it was there already."""
        session = self.sessions.get(client_id)
        present = session is not None and not (clean or session.clean)
        if session is None:
            self._make_room()
            session = self.sessions[client_id] = Session(
                client_id, self.ledger, ack_wait=self.ack_wait, max_unacknowledged=self.max_unacknowledged
            )
        before = session.owner
        if before is not None:
            session.detach()
        session.listen_no_more(self.ground)
        if not present:
            session.clear()
        session.owner, session.clean = line, clean
        if before is not None:
            self._jail[client_id] = now
            before.evicted()
        return session, present

    def leave(self, session: Session, line: Line) -> bool:
        """A connection is gone; False if the session was not its own any more."""
        if session.owner is not line:
            return False
        session.detach()
        self._jail.pop(session.client_id, None)
        self.sessions.pop(session.client_id, None)
        if session.clean:
            session.clear()
        else:
            self.sessions[session.client_id] = session
            session.listen(self.ground)
        return True

    def _make_room(self) -> None:
        if len(self.sessions) < MAX_SESSIONS:
            return
        for client_id, session in self.sessions.items():
            if session.owner is None:
                log.warning("MQTT session %r forgotten: there are too many", client_id)
                session.listen_no_more(self.ground)
                session.clear()
                del self.sessions[client_id]
                return

    # --- retained messages -------------------------------------------------------------------------

    def retain(self, subject: str, message: Retained) -> None:
        """Keep a message for later subscribers; an empty one ends the one before it."""
        before = self.retained.get(subject)
        if before is not None:
            self.ledger.give_back(_size(before))
            self.retained.remove(subject)
        if not message.payload:
            return
        if len(message.topic) <= MAX_TEXT and self.ledger.take(_size(message)):
            self.retained.put(subject, message)
        else:
            log.error("unable to store retained message for %r: no room", subject)


def _size(message: Retained) -> int:
    return len(message.topic) + len(message.payload)
