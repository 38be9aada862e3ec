"""Connections that say nothing: who never comes in, who is gone, who does not read (spec §1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from broker.client import Client, Kind
from broker.protocol import texts, writer
from broker.protocol.texts import Closed

if TYPE_CHECKING:
    from broker.core import Core
    from broker.session import Session

FIRST_PING: Final = 2.0
SPREAD: Final = 0.2
"""Part of the first interval by which first pings are spread."""
RTT_EVERY: Final = 3600.0


class Keepalive:
    """Watches every connection on the core's wheel."""

    __slots__ = ("_core",)

    def __init__(self, core: Core) -> None:
        self._core = core

    def watch(self, session: Session) -> None:
        """From the first byte on: CONNECT in time, then pings."""
        core = self._core
        client = session.client
        now, cid = core.now(), client.cid
        # The wheel keeps numbers, so that who has gone is not kept until its turn comes.
        if session.awaits_connect:
            core.wheel.add(now + core.options.auth_timeout, lambda _: self._too_late(cid))
        first = min(self._interval(client), FIRST_PING)
        core.wheel.add(now + first * (1 + SPREAD * core.router.chance()), lambda at: self._ping(cid, at))

    def _too_late(self, cid: int) -> None:
        client = self._core.clients.get(cid)
        if client is not None and not (client.said_connect or client.authenticated):
            self._core.refuse(
                client,
                Closed.AUTHENTICATION_TIMEOUT,
                texts.AUTHENTICATION_TIMEOUT,
                "authentication timeout",
            )

    def _ping(self, cid: int, now: float) -> None:
        core = self._core
        client = core.clients.get(cid)
        if client is None:
            return
        interval = self._interval(client)
        quiet = now - client.last_activity >= interval and now - client.pinged_at >= interval
        if client.authenticated and (quiet or now - client.pinged_at > RTT_EVERY):
            if client.pending_pings >= core.options.ping_max:
                core.close(client, Closed.STALE_CONNECTION, texts.STALE_CONNECTION)
                return
            client.pending_pings += 1
            client.pinged_at = now
            core.router.tell(client, writer.PING)
        self._look_at_queue(client, now)
        core.wheel.add(now + interval, lambda at: self._ping(cid, at))

    def _interval(self, client: Client) -> float:
        options = self._core.options
        own = options.websocket.ping_interval if client.kind is Kind.WEBSOCKET else 0.0
        return own or options.ping_interval

    def _look_at_queue(self, client: Client, now: float) -> None:
        """Kept for the write deadline, which a stalled receiver misses."""
        if client.stalled_since and now - client.stalled_since > self._core.options.write_deadline:
            self._core.slow_consumer(client, Closed.SLOW_CONSUMER_DEADLINE)
