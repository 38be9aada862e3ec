"""Clients over WebSocket: the conversations of NATS and of MQTT, in frames (enforcement spec §2.5)."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from broker import websocket
from broker.client import Client, Kind
from broker.configuration.model import ConfiguredUser, Websocket
from broker.entrance import Entrance
from broker.listeners.carrier import Carrier
from broker.listeners.mqtt import MqttSpeaker
from broker.listeners.tcp import tls_facts
from broker.protocol import texts
from broker.protocol.texts import Closed
from broker.session import Session
from broker.websocket import Answer, Ended, Frames
from broker.websocket_upgrade import Opened, Rules, Upgrade

if TYPE_CHECKING:
    from broker.server import Broker

log = logging.getLogger("accredit.broker")


class WebsocketEntrance(Entrance):
    """The same door, as those find it who come this way."""

    def __init__(self, door: Entrance, host: str, *, tls: bool) -> None:
        super().__init__(door._core, door._delegation)  # noqa: SLF001  one door with two sides
        self._host = host
        self._tls = tls
        self._seen: object = None

    @property
    def required(self) -> bool:
        return super().required or bool(self._core.options.websocket.no_auth_user)

    def members(self, *, tls: bool = False) -> dict[str, Any]:
        found = super().members(tls=tls or self._tls)
        return {**found, "host": self._host}

    def refresh(self) -> None:
        """What is said of the server may have changed since it was last said."""
        seen = (self._core.options, self._core.lame_duck)
        if self._seen != seen:
            self._seen = seen
            self.listens(self._port)

    def decide(self, session: Session) -> None:
        client = session.client
        said = client.options
        user = self._default_user() if self._core.trust is None else None
        if user is not None and not (said.user or said.nkey or said.auth_token):
            client.options = msgspec.structs.replace(said, user=user.name, password=user.password)
        super().decide(session)

    def without_connect(self, session: Session) -> bool:
        user = self._default_user() if self._core.trust is None else None
        if user is None:
            return super().without_connect(session)
        self._bind_configured(session.client, user)
        return True

    def _default_user(self) -> ConfiguredUser | None:
        options = self._core.options
        name = options.websocket.no_auth_user
        return next((user for user in options.users if name and user.name == name), None)


class _Session(Session):
    """A conversation of NATS that lets its carrier read on."""

    __slots__ = ("carrier",)

    carrier: Carrier

    def go_on(self) -> None:
        super().go_on()
        self.carrier.resume()


class NatsSpeaker:
    """A NATS client."""

    def __init__(self, broker: Broker, carrier: Carrier, entrance: WebsocketEntrance, *, cookie: str) -> None:
        core = broker.core
        entrance.refresh()
        self.client: Client = core.open(Kind.WEBSOCKET, carrier, *carrier.peer)
        session = self._session = _Session(core, entrance, self.client)
        session.carrier = carrier
        session.cookie = cookie
        tls = carrier.transport.get_extra_info("ssl_object")
        if tls is not None:
            self.client.tls = tls_facts(tls)
        carrier.write(entrance.info(self.client, tls=tls is not None))
        if core.full():
            core.close(self.client, Closed.MAX_CONNECTIONS, texts.TOO_MANY_CONNECTIONS)
        else:
            broker.watch_entrance(session)

    def feed(self, data: bytes) -> None:
        self._session.reader.feed(data)

    def held(self) -> int:
        reader = self._session.reader
        return reader.buffered if reader.paused else 0

    def stop(self) -> None:
        self._session.reader.stop()


class WebsocketConnection(Carrier):
    """A socket that begins with HTTP."""

    __slots__ = ("_browser", "_entrance", "_frames", "_last", "_upgrade")

    def __init__(self, broker: Broker, entrance: WebsocketEntrance, rules: Rules) -> None:
        super().__init__(broker)
        self._entrance = entrance
        self._upgrade: Upgrade | None = Upgrade(rules)
        self._frames = Frames()
        self._browser = False
        self._last: bytes | None = None
        """The close frame, where the client has caused it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        core = self.broker.core
        core.wheel.add(core.now() + core.options.websocket.handshake_timeout, lambda _: self._too_late())
        self.broker.tick()

    def _too_late(self) -> None:
        if self._upgrade is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._upgrade is not None:
            self._hear_request(self._upgrade, data)
            return
        for event in self._frames.feed(data):
            if isinstance(event, bytes):
                self.give(event)
            elif isinstance(event, Answer):
                self.transport.write(event.data)
            else:
                self._ended(event)

    def _hear_request(self, upgrade: Upgrade, data: bytes) -> None:
        while (reply := upgrade.feed(data, now=self.broker.core.now())) is not None:
            data = b""
            self.transport.write(reply.data)
            if reply.reason:
                log.error("%s:%d - websocket handshake error: %s", *self.peer, reply.reason)
            if reply.opened is not None:
                self._upgrade = None
                self._open(reply.opened)
                return
            if reply.last:
                self._upgrade = None
                self.hang_up()
                return

    def _open(self, opened: Opened) -> None:
        self._frames = Frames(masked=opened.masked)
        self._browser = opened.browser
        if opened.forwarded_for:
            log.debug("%s/%s:%d - Client connection created", opened.forwarded_for, *self.peer)
        if opened.way == "mqtt":
            self.speaker = MqttSpeaker(self.broker, self, over_websocket=True)
        else:
            self.speaker = NatsSpeaker(self.broker, self, self._entrance, cookie=opened.token)

    def _ended(self, event: Ended) -> None:
        self._last = event.data
        if event.fault and self.speaker is not None:
            log.error("%r - read error: %s", self.speaker.client, event.fault)
        if self.speaker is not None:
            closed = Closed.READ_ERROR if event.fault else Closed.CLIENT_CLOSED
            self.broker.core.close(self.speaker.client, closed)

    # --- as the core's port ------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        self.transport.write(websocket.frames_for_browser(data) if self._browser else websocket.frame(data))

    def end(self, closed: Closed) -> None:
        if not self.transport.is_closing():
            self.transport.write(websocket.last_frame(closed) if self._last is None else self._last)
        super().end(closed)


async def listen_websocket(broker: Broker, options: Websocket) -> str:
    """Listen as a configuration says; the address.

    Raises:
        Unavailable: the port is taken.
    """
    from broker.server import reachable, tls_context

    context = tls_context(options.tls) if options.tls is not None else None
    entrance = WebsocketEntrance(broker.entrance, options.host, tls=context is not None)

    def connection() -> WebsocketConnection:
        rules = Rules(
            same_origin=options.same_origin,
            allowed_origins=options.allowed_origins,
            jwt_cookie=options.jwt_cookie,
            headers=options.headers,
            mqtt=bool(broker.options.mqtt.port),
            tls=context is not None,
        )
        return WebsocketConnection(broker, entrance, rules)

    server = await broker.listen(connection, options.host, options.port, context)
    host, port = server.sockets[0].getsockname()[:2]
    entrance.listens(port)
    return f"{'wss' if context is not None else 'ws'}://{reachable(host)}:{port}"
