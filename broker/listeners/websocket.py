"""NATS clients over WebSocket: the same conversation, in frames."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from broker.client import Kind
from broker.configuration.model import Websocket
from broker.listeners.tcp import Connection
from broker.protocol import websocket
from broker.protocol.texts import Closed
from broker.protocol.websocket import FrameError, Frames, Origins, UpgradeError, read_upgrade

if TYPE_CHECKING:
    from broker.server import Broker

_GOING: Final = frozenset({Closed.SERVER_SHUTDOWN})
_NORMAL: Final = frozenset({Closed.CLIENT_CLOSED})
_POLICY: Final = frozenset({
    Closed.AUTHENTICATION_FAILURE, Closed.AUTHENTICATION_TIMEOUT, Closed.AUTHENTICATION_EXPIRED,
    Closed.CREDENTIALS_REVOKED, Closed.MAX_ACCOUNT_CONNECTIONS, Closed.MAX_CONNECTIONS,
    Closed.MAX_SUBSCRIPTIONS, Closed.MAX_PAYLOAD, Closed.MAX_CONTROL_LINE, Closed.SLOW_CONSUMER_PENDING,
    Closed.SLOW_CONSUMER_DEADLINE, Closed.PROXY_NOT_TRUSTED, Closed.PROXY_REQUIRED, Closed.KICKED,
})  # fmt: skip


class WebsocketConnection(Connection):
    """A connection that begins with HTTP; `listen_websocket` says what is asked of it."""

    __slots__ = ("_frames", "_head", "_options", "_said_goodbye", "_tls")

    kind = Kind.WEBSOCKET

    def __init__(self, broker: Broker, options: Websocket, *, tls: bool) -> None:
        super().__init__(broker)
        self._options = options
        self._tls = tls
        self._head: bytes | None = b""
        self._frames = Frames()
        self._said_goodbye = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        wait = self._options.handshake_timeout or 2.0
        self._broker.core.later(wait, self._hand_shake_late)

    def _hand_shake_late(self) -> None:
        if self._head is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            data = self._upgrade_with(data)
            if not data:
                return
        try:
            carried = self._frames.feed(data)
        except FrameError as error:
            self._goodbye(error.status, str(error))
            self._broker.core.close(self.client, Closed.PROTOCOL_VIOLATION)
            return
        if self._frames.out:
            self._transport.write(b"".join(self._frames.out))
            self._frames.out.clear()
        if carried:
            super().data_received(carried)
        if self._frames.closed:
            self._said_goodbye = True
            self._broker.core.close(self.client, Closed.CLIENT_CLOSED)

    def _upgrade_with(self, data: bytes) -> bytes:
        """Take in the request; what follows it, once it is whole."""
        head = (self._head or b"") + data
        end = head.find(b"\r\n\r\n")
        if end < 0:
            self._head = head
            if len(head) > websocket.MAX_HEAD:
                self._transport.abort()
            return b""
        options = self._options
        origins = Origins(options.same_origin, options.allowed_origins, self._tls)
        try:
            upgrade = read_upgrade(head[:end], origins, options.headers)
        except UpgradeError as error:
            self._transport.write(error.answer())
            self._transport.close()
            self._head = None
            return b""
        self._head = None
        self._transport.write(upgrade.answer)
        self.begin()
        self.session.cookie = upgrade.cookies.get(options.jwt_cookie, "") if options.jwt_cookie else ""
        return head[end + 4 :]

    def begin(self) -> None:
        # TLS, if any, was there before HTTP: nothing is upgraded inside.
        self._begin(upgrade=None, tls=self._tls)

    def write(self, data: bytes) -> None:
        self._transport.write(websocket.frame(data))

    def end(self, closed: Closed) -> None:
        if not self._said_goodbye and not self._transport.is_closing():
            status = websocket.PROTOCOL_ERROR
            if closed in _GOING:
                status = websocket.GOING_AWAY
            elif closed in _POLICY:
                status = websocket.POLICY_VIOLATION
            elif closed in _NORMAL:
                status = websocket.NORMAL
            self._goodbye(status, closed.value)
        super().end(closed)

    def _goodbye(self, status: int, text: str) -> None:
        self._said_goodbye = True
        self._transport.write(websocket.close_frame(status, text))


async def listen_websocket(broker: Broker, options: Websocket) -> str:
    """Listen as a configuration says; the address.

    Raises:
        Unavailable: the port is taken.
    """
    from broker.server import reachable, tls_context

    context = tls_context(options.tls) if options.tls is not None else None
    server = await broker.listen(
        lambda: WebsocketConnection(broker, options, tls=context is not None),
        options.host,
        options.port,
        context,
    )
    host, port = server.sockets[0].getsockname()[:2]
    return f"{'wss' if context is not None else 'ws'}://{reachable(host)}:{port}"
