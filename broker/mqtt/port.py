"""What MQTT needs of the broker around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from broker.mqtt.packets import Connect
from broker.protocol.texts import Closed


@dataclass(frozen=True, slots=True)
class Message:
    """A message as a subscription gets it. `qos` is that of an MQTT publisher, 0 of any other."""

    subject: str
    payload: bytes
    qos: int = 0
    from_mqtt: bool = False


Deliver = Callable[[Message], None]


class Handle(Protocol):
    """A subscription that is in force until it is closed, by whomever."""

    closed: bool


class Timer(Protocol):
    """Something that will happen."""

    def cancel(self) -> None: ...


class Ground(Protocol):
    """An account, without anybody connected to it."""

    def listen(self, subject: str, deliver: Deliver) -> Handle:
        """Hear of messages for a session that is away; no publisher can tell."""

    def forget(self, handle: Handle) -> None: ...


class Port(Protocol):
    """One connection's way into the broker."""

    def authenticate(self, connect: Connect) -> None:
        """Decide who comes in: `Conversation.admitted` is called, now or later, or the connection ends."""

    def publish(self, subject: str, payload: bytes, *, qos: int) -> str | None:
        """Publish; the subject it went to, or None if this client may not."""

    def subscribe(self, subject: str, sid: str, deliver: Deliver) -> Handle | None:
        """Subscribe; the one there is if there is one by this name, None if this client may not."""

    def unsubscribe(self, sid: str) -> None: ...

    def may_deliver(self, subject: str) -> bool:
        """Whether this client's permissions let a message through to it."""

    def max_payload(self) -> int:
        """The most bytes a message may have, its headers among them; -1 for any number."""

    def send(self, packet: bytes) -> None: ...

    def close(self, closed: Closed) -> None:
        """End the connection; `Conversation.closed` is called before this returns."""

    def now(self) -> float: ...

    def later(self, seconds: float, action: Callable[[], None]) -> Timer: ...

    def unique(self) -> str:
        """Letters and digits that nobody else has."""
