"""An account without a broker: a clock that is set, timers, subscriptions, and clients of MQTT in it."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any

from broker.mqtt.conversation import Conversation, Settings
from broker.mqtt.memory import Memory
from broker.mqtt.packets import Connect
from broker.mqtt.port import Deliver, Handle, Message
from broker.protocol.texts import Closed
from broker.trie import Subscription, Trie
from tests.broker.mqtt.wire import mqtt_connect, mqtt_publish, packets_of

ACK_WAIT = 30.0


class Timer:
    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class World:
    """The account; as a ground it holds those who are away."""

    def __init__(self, *, max_unacknowledged: int = 1024, max_bytes: int = 1 << 20) -> None:
        self.time = 1000.0
        self.trie = Trie()
        self.memory = Memory(
            self, ack_wait=ACK_WAIT, max_unacknowledged=max_unacknowledged, max_bytes=max_bytes
        )
        self.heard: list[Message] = []
        """Everything that was published."""
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()

    # --- as the ground -----------------------------------------------------------------------------

    def listen(self, subject: str, deliver: Deliver) -> Handle:
        subscription = Subscription(subject, handler=deliver)
        self.trie.insert(subscription)
        return subscription

    def forget(self, handle: Handle) -> None:
        assert isinstance(handle, Subscription)
        handle.closed = True
        self.trie.remove(handle)

    def number(self) -> int:
        return next(self._numbers)

    # --- time --------------------------------------------------------------------------------------

    def later(self, seconds: float, action: Callable[[], None]) -> Timer:
        timer = Timer(action)
        heapq.heappush(self._timers, (self.time + seconds, next(self._numbers), timer))
        return timer

    def pass_time(self, seconds: float) -> None:
        end = self.time + seconds
        while self._timers and self._timers[0][0] <= end:
            self.time, _, timer = heapq.heappop(self._timers)
            if timer.action is not None:
                timer.action()
        self.time = end

    # --- messages ----------------------------------------------------------------------------------

    def publish(self, subject: str, payload: bytes = b"", *, qos: int = 0, from_mqtt: bool = False) -> None:
        """As any client of NATS does, with a header that says a quality if there is one."""
        message = Message(subject, payload, qos, from_mqtt)
        self.heard.append(message)
        for subscription in self.trie.match(subject).plain:
            if subscription.handler is not None and not subscription.closed:
                subscription.handler(message)

    def client(self, client_id: str = "c", **how: Any) -> Peer:
        """One that is in."""
        peer = Peer(self, **{name: how.pop(name) for name in ("settings", "payload") if name in how})
        peer.send(mqtt_connect(client_id, user=None, **how))
        return peer


class Peer:
    """One connection: the port of its conversation, and what it is told."""

    def __init__(self, world: World, *, settings: Settings | None = None, payload: int = 1 << 20) -> None:
        self.world = world
        self.payload = payload
        self.out: list[bytes] = []
        self.why: Closed | None = None
        self.asked: Connect | None = None
        self.decides = "yes"
        self.not_publish: set[str] = set()
        self.not_subscribe: set[str] = set()
        self.not_deliver: set[str] = set()
        self.maps: dict[str, str] = {}
        self.limit = 100
        self.subs: dict[str, Subscription] = {}
        self.conversation = Conversation(_Port(self), settings)

    # --- as a client -------------------------------------------------------------------------------

    def send(self, *packets: bytes) -> None:
        self.conversation.feed(b"".join(packets))

    def heard(self) -> list[bytes]:
        """The packets that came since the last time."""
        found = packets_of(b"".join(self.out))
        self.out.clear()
        return found

    def ask(self, *packets: bytes) -> list[bytes]:
        self.heard()
        self.send(*packets)
        return self.heard()

    def publish(self, topic: str, payload: bytes = b"", **how: Any) -> None:
        self.send(mqtt_publish(topic, payload, **how))

    def end(self) -> Closed | None:
        """Why it ended, if it did."""
        return self.why

    def go(self) -> None:
        """The connection is cut."""
        self.close(Closed.CLIENT_CLOSED)

    def close(self, closed: Closed) -> None:
        if self.why is None:
            self.why = closed
            for sid in list(self.subs):
                self.take_away(sid)
            self.conversation.closed()

    def take_away(self, sid: str) -> None:
        """A subscription ends, as a change of permissions makes it end."""
        subscription = self.subs.pop(sid, None)
        if subscription is not None:
            self.world.forget(subscription)


class _Port:
    """What the conversation sees of it."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._world = peer.world

    def authenticate(self, connect: Connect) -> None:
        peer = self._peer
        peer.asked = connect
        if peer.decides == "yes":
            peer.conversation.admitted(self._world.memory)
        elif peer.decides == "no":
            self.send(peer.conversation.refusal())
            peer.close(Closed.AUTHENTICATION_FAILURE)

    def publish(self, subject: str, payload: bytes, *, qos: int) -> str | None:
        if subject in self._peer.not_publish:
            return None
        subject = self._peer.maps.get(subject, subject)
        self._world.publish(subject, payload, qos=qos, from_mqtt=True)
        return subject

    def subscribe(self, subject: str, sid: str, deliver: Deliver) -> Handle | None:
        peer = self._peer
        if subject in peer.not_subscribe or len(peer.subs) >= peer.limit:
            return None
        if sid in peer.subs:
            return peer.subs[sid]
        subscription = Subscription(subject, sid=sid, handler=deliver)
        if not self._world.trie.insert(subscription):
            return None
        peer.subs[sid] = subscription
        return subscription

    def unsubscribe(self, sid: str) -> None:
        self._peer.take_away(sid)

    def may_deliver(self, subject: str) -> bool:
        return subject not in self._peer.not_deliver

    def max_payload(self) -> int:
        return self._peer.payload

    def send(self, packet: bytes) -> None:
        if self._peer.why is None:
            self._peer.out.append(packet)

    def close(self, closed: Closed) -> None:
        self._peer.close(closed)

    def now(self) -> float:
        return self._world.time

    def later(self, seconds: float, action: Callable[[], None]) -> Timer:
        return self._world.later(seconds, action)

    def unique(self) -> str:
        return f"unique{self._world.number()}"
