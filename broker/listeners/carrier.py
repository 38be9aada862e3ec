"""A socket that carries another conversation than that of NATS in the clear, and who holds it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

from broker.client import Client
from broker.listeners.tcp import LINGER, MAX_HELD
from broker.protocol.texts import Closed

if TYPE_CHECKING:
    from broker.server import Broker

AT_ONCE: Final = frozenset({Closed.SLOW_CONSUMER_DEADLINE, Closed.SLOW_CONSUMER_PENDING, Closed.WRITE_ERROR})
"""Ends after which nothing that waits would arrive."""


class Speaker(Protocol):
    """One side of a conversation over a carrier."""

    client: Client

    def feed(self, data: bytes) -> None: ...

    def held(self) -> int:
        """Bytes that came while the client is being decided."""

    def stop(self) -> None: ...


class Carrier(asyncio.Protocol):
    """The socket. `speaker` is there once it is known who speaks over it."""

    __slots__ = ("_paused", "broker", "speaker", "transport")

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.transport: Any = None
        self.speaker: Speaker | None = None
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    @property
    def peer(self) -> tuple[str, int]:
        peer = self.transport.get_extra_info("peername") or ("", 0)
        return str(peer[0]), int(peer[1])

    def give(self, data: bytes) -> None:
        """Let the speaker have what came."""
        speaker = self.speaker
        if speaker is None:
            return
        speaker.client.last_activity = self.broker.core.now()
        speaker.feed(data)
        if speaker.held() > MAX_HELD and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self.speaker is not None:
            closed = Closed.CLIENT_CLOSED if exc is None else Closed.READ_ERROR
            self.broker.core.close(self.speaker.client, closed)

    def resume(self) -> None:
        """The client is decided: read on."""
        if self._paused:
            self._paused = False
            self.transport.resume_reading()

    # --- as the core's port ------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def pending(self) -> int:
        return int(self.transport.get_write_buffer_size())

    def end(self, closed: Closed) -> None:
        if self.speaker is not None:
            self.speaker.stop()
        if closed in AT_ONCE:
            self.transport.abort()
        else:
            self.hang_up()

    def hang_up(self) -> None:
        """Close, when what waits is sent or after a while."""
        transport = self.transport
        if transport.get_write_buffer_size():
            self.broker.core.later(LINGER, transport.abort)
        transport.close()
