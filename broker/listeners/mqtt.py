"""MQTT clients: their conversations in terms of the broker's core (enforcement spec §2.5)."""

from __future__ import annotations

import asyncio
import string
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from broker.account import Account
from broker.client import Kind
from broker.configuration.model import Mqtt
from broker.core import Core
from broker.listeners.carrier import Carrier
from broker.listeners.tcp import tls_facts
from broker.mqtt import packets
from broker.mqtt.conversation import HEADER, Conversation, Settings
from broker.mqtt.memory import Memory
from broker.mqtt.port import Deliver, Handle
from broker.mqtt.port import Message as MqttMessage
from broker.mqtt.topics import OWN_PREFIX
from broker.protocol import texts, writer
from broker.protocol.connect import ConnectOptions
from broker.protocol.texts import Closed
from broker.routing import Message
from broker.session import AFTER_LIMIT
from broker.trie import Subscription

if TYPE_CHECKING:
    from broker.server import Broker

_QUALITY: Final = b"\r\nNmqtt-Pub:"
_REFUSED: Final = writer.error(texts.AUTHORIZATION_VIOLATION)
_RESERVED: Final = ("_GR_.", "$NRG.")
_LETTERS: Final = string.digits + string.ascii_letters
_UNIQUE: Final = 22

_memories: WeakKeyDictionary[Core, dict[str, Memory]] = WeakKeyDictionary()
"""What each broker keeps for its accounts; connections over sockets and over websockets share it."""


def memory_of(core: Core, account: Account) -> Memory:
    """What an account keeps for its MQTT clients."""
    options = core.options.mqtt
    known = _memories.setdefault(core, {})
    memory = known.get(account.public)
    if memory is None:
        memory = known[account.public] = Memory(
            _Ground(core, account), ack_wait=options.ack_wait, max_unacknowledged=options.max_ack_pending
        )
    memory.ack_wait, memory.max_unacknowledged = options.ack_wait, options.max_ack_pending
    return memory


class _Ground:
    """An account, for sessions whose client is away."""

    def __init__(self, core: Core, account: Account) -> None:
        self._core = core
        self._account = account

    def listen(self, subject: str, deliver: Deliver) -> Handle:
        def hear(message: Message) -> bool:
            deliver(_as_mqtt(message))
            return False  # nobody got it yet: who asks for an answer must not wait for this one

        return self._core.subscribe(self._account, subject, hear)

    def forget(self, handle: Handle) -> None:
        if isinstance(handle, Subscription):
            self._core.unsubscribe_inner(self._account, handle)


class MqttSpeaker:
    """One MQTT client: what its conversation asks of the core, and what the core asks of it."""

    def __init__(self, broker: Broker, carrier: Carrier, *, over_websocket: bool = False) -> None:
        core = broker.core
        self._broker = broker
        self._core = core
        self._carrier = carrier
        self.client = client = core.open(Kind.MQTT, carrier, *carrier.peer)
        if over_websocket:
            client.type = "MQTT_WS"
        tls = carrier.transport.get_extra_info("ssl_object")
        if tls is not None:
            client.tls = tls_facts(tls)
        # What others tell a client is text; this one would not understand it.
        client.put = self._told
        client.on_closed = self._closed
        options = core.options.mqtt
        self.conversation = Conversation(
            self,
            Settings(
                reject_qos2_publish=options.reject_qos2_publish,
                downgrade_qos2_subscribe=options.downgrade_qos2_subscribe,
            ),
        )
        if core.full():
            core.close(client, Closed.MAX_CONNECTIONS)
        elif broker.entrance.required:
            core.wheel.add(core.now() + core.options.auth_timeout, lambda _: self._too_late())
            broker.tick()

    def __repr__(self) -> str:
        return repr(self.client)

    def _too_late(self) -> None:
        if self.client.closed is None and not self.conversation.connected:
            self._core.refuse(self.client, Closed.AUTHENTICATION_TIMEOUT, None, "authentication timeout")

    # --- as the carrier's speaker ------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        self.conversation.feed(data)

    def held(self) -> int:
        return self.conversation.reader.buffered if self.conversation.waits else 0

    def stop(self) -> None:
        pass  # the conversation knows from `closed`

    # --- as the client's other side ----------------------------------------------------------------

    def _told(self, frame: bytes) -> None:
        if frame == _REFUSED:
            self.client.out.append(self.conversation.refusal())

    def _closed(self) -> None:
        self.conversation.closed()

    # --- as the entrance's session -----------------------------------------------------------------

    def admitted(self) -> None:
        """The entrance let it in."""
        core, client = self._core, self.client
        core.announce(client)
        account = client.account
        if client.closed is not None or account is None:
            return
        limit = client.limits.subscriptions
        if limit >= 0 and len(client.subscriptions) >= limit:
            core.later(AFTER_LIMIT, lambda: core.close(client, Closed.MAX_SUBSCRIPTIONS))
        self.conversation.admitted(memory_of(core, account))
        self._carrier.resume()

    # --- as the conversation's port ----------------------------------------------------------------

    def authenticate(self, connect: packets.Connect) -> None:
        client = self.client
        user, password = connect.user, connect.password
        if not user and self._core.trust is None:
            user, password = self._default_user()
        client.mqtt_id = connect.client_id
        client.options = ConnectOptions(
            verbose=False, pedantic=False, headers=True, user=user, password=password, auth_token=password
        )
        # The entrance asks of a session no more than what is here.
        session: Any = self
        self._broker.entrance.decide(session)

    def _default_user(self) -> tuple[str, str]:
        options = self._core.options
        for user in options.users:
            if user.name and user.name == options.mqtt.no_auth_user:
                return user.name, user.password
        return "", ""

    def publish(self, subject: str, payload: bytes, *, qos: int) -> str | None:
        client, router = self.client, self._core.router
        account = client.account
        if account is None:
            return None
        name = subject if account.mappings.empty else account.mappings.choose(subject, router.chance) or ""
        headers = HEADER % qos
        if client.closed is None:  # a will is not counted
            # Two less than it has: the server takes a line end off that is not there.
            router.received(client, len(headers) + len(payload) - 2)
        if self._refuses(name):
            return None
        router.send(account, client, name, "", len(headers), headers + payload + b"\r\n")
        return name

    def _refuses(self, subject: str) -> bool:
        client = self.client
        permissions = client.permissions
        if permissions is not None and permissions.restricts_publish and not permissions.can_publish(subject):
            replies = client.remembers_replies
            if not (replies and self._core.router.may_reply(client, subject)):
                return True
        system = client.account is not None and client.account.system
        return subject.startswith(_RESERVED[: 1 if system else 2])

    def subscribe(self, subject: str, sid: str, deliver: Deliver) -> Handle | None:
        core, client = self._core, self.client
        if client.closed is not None or not self._may_subscribe(subject):
            return None
        most = core.options.max_subscription_tokens
        if most and subject.count(".") >= most:
            return None
        limit = client.limits.subscriptions
        if limit >= 0 and len(client.subscriptions) >= limit:
            return None
        known = client.subscriptions.get(sid)
        if known is not None:
            return known
        subscription = Subscription(
            subject, "", sid, client=client, handler=lambda message: deliver(_as_mqtt(message))
        )
        if client.permissions is not None:
            subscription.filtered = client.permissions.filters(subject, "")
        return subscription if core.subscribe_client(client, subscription) else None

    def _may_subscribe(self, subject: str) -> bool:
        permissions = self.client.permissions
        if permissions is None or not permissions.restricts_subscribe:
            return True
        if subject.startswith(OWN_PREFIX):
            # Its own queues need no leave, but may be denied.
            return bool(permissions.may_deliver(subject))
        return bool(permissions.can_subscribe(subject))

    def unsubscribe(self, sid: str) -> None:
        subscription = self.client.subscriptions.get(sid)
        if subscription is not None:
            self._core.unsubscribe(self.client, subscription)

    def may_deliver(self, subject: str) -> bool:
        permissions = self.client.permissions
        return permissions is None or bool(permissions.may_deliver(subject))

    def max_payload(self) -> int:
        return self.client.limits.payload if self.client.account else self._core.options.max_payload

    def send(self, packet: bytes) -> None:
        client = self.client
        if client.closed is None:
            client.out.append(packet)
            if not client.dirty:
                self._core.router.touch(client)

    def close(self, closed: Closed) -> None:
        self._core.close(self.client, closed)

    def now(self) -> float:
        return self._core.now()

    def later(self, seconds: float, action: Callable[[], None]) -> Any:
        return self._core.later(seconds, action)

    def unique(self) -> str:
        return "".join(_LETTERS[byte % len(_LETTERS)] for byte in self._core.randomness(_UNIQUE))


class MqttConnection(Carrier):
    """A socket that speaks MQTT from its first byte."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.speaker = MqttSpeaker(self.broker, self)

    def data_received(self, data: bytes) -> None:
        self.give(data)


def _as_mqtt(message: Message) -> MqttMessage:
    client = message.client
    from_mqtt = client is not None and client.kind is Kind.MQTT
    return MqttMessage(message.subject, message.payload, _quality(message.headers), from_mqtt)


def _quality(headers: bytes) -> int:
    """The quality a message was published with, as its headers say."""
    at = headers.find(_QUALITY)
    if at < 0:
        return 0
    value = headers[at + len(_QUALITY) :].lstrip(b" ")[:1]
    return int(value) if value in {b"1", b"2"} else 0


async def listen_mqtt(broker: Broker, options: Mqtt) -> str:
    """Listen as a configuration says; the address.

    Raises:
        Unavailable: the port is taken.
    """
    from broker.server import reachable, tls_context

    context = tls_context(options.tls) if options.tls is not None else None
    server = await broker.listen(lambda: MqttConnection(broker), options.host, options.port, context)
    host, port = server.sockets[0].getsockname()[:2]
    return f"{'mqtts' if context is not None else 'mqtt'}://{reachable(host)}:{port}"
