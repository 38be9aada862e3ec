"""Plain and TLS connections of NATS clients."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, Final

from broker.client import Client, Kind, TlsFacts
from broker.protocol import texts
from broker.protocol.texts import Closed
from broker.session import Session

if TYPE_CHECKING:
    from broker.server import Broker

MAX_HELD: Final = 65_536
"""Bytes a client may send ahead while it is being decided; then its socket is read no more."""
LINGER: Final = 2.0
"""Seconds a closed connection has to take its last words."""
_AT_ONCE: Final = frozenset(
    {Closed.SLOW_CONSUMER_DEADLINE, Closed.SLOW_CONSUMER_PENDING, Closed.WRITE_ERROR, Closed.READ_ERROR}
)


class Connection(asyncio.Protocol):
    """One socket and its session."""

    __slots__ = ("_broker", "_clock", "_early", "_held", "_transport", "client", "reader", "session")

    kind = Kind.NATS

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._clock = broker.core.now
        self._transport: Any = None
        self._held = False
        self._early: list[bytes] | None = None
        self.client: Client
        self.session: Session

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        if not hasattr(self, "client"):
            self.begin()

    def begin(self) -> None:
        """Say INFO, and wait for CONNECT."""
        inside = self._transport.get_extra_info("ssl_object") is not None
        self._begin(upgrade=None if inside else self._broker.tls, tls=inside or self._broker.tls is not None)

    def _begin(self, *, upgrade: ssl.SSLContext | None, tls: bool) -> None:
        broker, core = self._broker, self._broker.core
        peer = self._transport.get_extra_info("peername") or ("", 0)
        self.client = client = core.open(self.kind, self, str(peer[0]), int(peer[1]))
        self.session = Session(core, broker.entrance, client)
        self.reader = self.session.reader
        session = self._transport.get_extra_info("ssl_object")
        if session is not None:
            client.tls = tls_facts(session)
        info = broker.entrance.info(client, tls=tls)
        if core.full():
            self.write(info)
            core.close(client, Closed.MAX_CONNECTIONS, texts.TOO_MANY_CONNECTIONS)
            return
        if upgrade is None:
            self.write(info)
        else:
            broker.spawn(self._upgrade(upgrade, info))
        broker.watch_entrance(self.session)

    async def _upgrade(self, context: ssl.SSLContext, info: bytes) -> None:
        # Only here: uvloop reads on after `connection_made` whatever was asked for in it, and a client
        # that has INFO says its hello at once, which must not be read as text.
        self._transport.pause_reading()
        self.write(info)
        # What comes inside TLS before we know with whom waits: a CONNECT would be judged without its
        # certificate.
        self._early = []
        options = self._broker.core.options
        timeout = options.tls.timeout if options.tls is not None else 2.0
        loop = asyncio.get_running_loop()
        try:
            self._transport = await loop.start_tls(
                self._transport, self, context, server_side=True, ssl_handshake_timeout=max(timeout, 0.05)
            )
        except (OSError, ssl.SSLError, ConnectionError, TimeoutError):
            self._broker.core.close(self.client, Closed.TLS_HANDSHAKE_ERROR)
            return
        if self._transport is None:
            self._broker.core.close(self.client, Closed.TLS_HANDSHAKE_ERROR)
            return
        self.client.tls = tls_facts(self._transport.get_extra_info("ssl_object"))
        early, self._early = self._early, None
        for data in early or ():
            self.data_received(data)

    def data_received(self, data: bytes) -> None:
        if self._early is not None:
            self._early.append(data)
            return
        self.client.last_activity = self._clock()
        reader = self.reader
        reader.feed(data)
        if reader.paused and not self._held and reader.buffered > MAX_HELD:
            self._held = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if hasattr(self, "client"):
            self._broker.core.close(self.client, Closed.CLIENT_CLOSED if exc is None else Closed.READ_ERROR)
            self.reader.release()

    # --- as the core's port ------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def pending(self) -> int:
        return int(self._transport.get_write_buffer_size())

    def resume(self) -> None:
        if self._held:
            self._held = False
            self._transport.resume_reading()

    def end(self, closed: Closed) -> None:
        self.reader.stop()
        transport = self._transport
        if transport is None:
            return
        if closed in _AT_ONCE:
            transport.abort()
            return
        if transport.get_write_buffer_size():
            self._broker.core.wheel.add(self._clock() + LINGER, lambda _: transport.abort())
            self._broker.tick()
        transport.close()


def tls_facts(session: Any) -> TlsFacts:
    """What is known of a TLS session, for the callout and for monitoring."""
    cipher = session.cipher()
    certificate = session.getpeercert(binary_form=True)
    certificates = (ssl.DER_cert_to_PEM_cert(certificate),) if certificate else ()
    return TlsFacts(
        version=(session.version() or "").removeprefix("TLSv"),
        cipher=cipher[0] if cipher else "",
        certificates=certificates,
        chains=(_verified(session),) if certificates else (),
    )


def _verified(session: Any) -> tuple[str, ...]:
    """The chain that was verified, the client's own certificate first, as the real server tells it."""
    chain = session._sslobj.get_verified_chain()  # noqa: SLF001  public from Python 3.13 on
    return tuple(each.public_bytes(1) for each in chain)  # 1: PEM


__all__ = ["Connection", "tls_facts"]
