"""Packets of MQTT 3.1.1: bytes to values and back, as strict as nats-server. No I/O."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

CONNECT: Final = 0x10
CONNACK: Final = 0x20
PUBLISH: Final = 0x30
PUBACK: Final = 0x40
PUBREC: Final = 0x50
PUBREL: Final = 0x60
PUBCOMP: Final = 0x70
SUBSCRIBE: Final = 0x80
SUBACK: Final = 0x90
UNSUBSCRIBE: Final = 0xA0
UNSUBACK: Final = 0xB0
PINGREQ: Final = 0xC0
PINGRESP: Final = 0xD0
DISCONNECT: Final = 0xE0

REFUSED_FILTER: Final = 0x80
"""In place of the granted quality in SUBACK."""
MAX_TEXT: Final = 0xFFFF
_ANSWERS: Final = frozenset({PUBACK, PUBREC, PUBREL, PUBCOMP})
_FLAGS: Final = {
    **dict.fromkeys((CONNECT, PUBACK, PUBREC, PUBCOMP, PINGREQ, DISCONNECT), 0),
    **dict.fromkeys((PUBREL, SUBSCRIBE, UNSUBSCRIBE), 2),
}
"""The low bits that each packet of a client must have; those of PUBLISH mean something."""
_SIZES: Final = {**dict.fromkeys(_ANSWERS, 2), PINGREQ: 0, DISCONNECT: 0}
_MAX_SIZE_BYTES: Final = 4
_LEVEL: Final = 4


class Refusal(IntEnum):
    """Return codes of CONNACK that mean no."""

    PROTOCOL_LEVEL = 1
    CLIENT_ID = 2
    USER_OR_PASSWORD = 4
    NOT_AUTHORIZED = 5
    WILL_QOS_2 = 0x10
    """None of the standard's: the listener takes no messages of quality 2."""


class PacketFault(Exception):
    """What no client may send: the connection ends, after a CONNACK if there is a `refusal`."""

    def __init__(self, words: str, refusal: Refusal | None = None) -> None:
        super().__init__(words)
        self.refusal = refusal


class TooLong(Exception):
    """A packet longer than the limit."""


@dataclass(frozen=True, slots=True)
class Will:
    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass(frozen=True, slots=True)
class Connect:
    client_id: str
    clean: bool
    keep_alive: int
    will: Will | None = None
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Publish:
    topic: str
    payload: bytes
    qos: int = 0
    number: int = 0
    retain: bool = False
    dup: bool = False


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """PUBACK, PUBREC, PUBREL or PUBCOMP."""

    kind: int
    number: int


@dataclass(frozen=True, slots=True)
class Subscribe:
    number: int
    filters: tuple[tuple[str, int], ...]
    """Each with the quality asked for."""


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    number: int
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PingRequest:
    pass


@dataclass(frozen=True, slots=True)
class Disconnect:
    pass


Packet = Connect | Publish | Acknowledgement | Subscribe | Unsubscribe | PingRequest | Disconnect


class Reader:
    """Packets out of a stream of bytes; `next` gives one at a time, so that a reader can wait."""

    __slots__ = ("_at", "_buffer", "limit", "reject_qos2")

    def __init__(self, limit: int, *, reject_qos2: bool = False) -> None:
        self._buffer = bytearray()
        self._at = 0
        self.limit = limit
        """The most bytes a packet may have."""
        self.reject_qos2 = reject_qos2

    def feed(self, data: bytes) -> None:
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += data

    @property
    def buffered(self) -> int:
        return len(self._buffer) - self._at

    def starts_with(self, data: bytes) -> bool:
        return self._buffer.startswith(data, self._at)

    def next(self) -> Packet | None:
        """The next packet, once it is all there.

        Raises:
            PacketFault: it is none that a client may send.
            TooLong: it announces more than `limit`.
        """
        buffer, at = self._buffer, self._at
        if at == len(buffer):
            return None
        first = buffer[at]
        kind, flags = first & 0xF0, first & 0x0F
        if kind != PUBLISH and kind not in _FLAGS:
            raise PacketFault(f"unknown packet type {kind >> 4}")
        if flags != _FLAGS.get(kind, flags):
            raise PacketFault(f"invalid fixed header flags {flags:x} for packet type {kind:x}")
        head = self._head()
        if head is None:
            return None
        start, size = head
        if start + size - at > self.limit:
            raise TooLong
        expected = _SIZES.get(kind)
        if expected is not None and size != expected:
            raise PacketFault(f"invalid remaining length {size} for packet type {kind:x}")
        if start + size > len(buffer):
            return None
        self._at = start + size
        body = _Body(bytes(memoryview(buffer)[start : self._at]))
        return self._packet(kind, flags, body)

    def _head(self) -> tuple[int, int] | None:
        """Where the body starts, and its size."""
        size = 0
        for count in range(_MAX_SIZE_BYTES):
            place = self._at + 1 + count
            if place >= len(self._buffer):
                return None
            byte = self._buffer[place]
            size |= (byte & 0x7F) << (7 * count)
            if byte < 0x80:
                return place + 1, size
        raise PacketFault("malformed variable int")

    def _packet(self, kind: int, flags: int, body: _Body) -> Packet:
        if kind == PUBLISH:
            return _publish(flags, body, reject_qos2=self.reject_qos2)
        if kind in _ANSWERS:
            return Acknowledgement(kind, body.number())
        if kind == SUBSCRIBE:
            return _subscribe(body)
        if kind == UNSUBSCRIBE:
            return _unsubscribe(body)
        if kind == PINGREQ:
            return PingRequest()
        if kind == DISCONNECT:
            return Disconnect()
        return _connect(body, reject_qos2=self.reject_qos2)


class _Body:
    """What follows a packet's fixed header."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def byte(self, what: str) -> int:
        if self.at >= len(self.data):
            raise PacketFault(f"error reading {what}: too short")
        self.at += 1
        return self.data[self.at - 1]

    def two(self, what: str) -> int:
        return self.byte(what) << 8 | self.byte(what)

    def number(self) -> int:
        """A packet identifier, which is never 0."""
        number = self.two("packet identifier")
        if not number:
            raise PacketFault("packet identifier cannot be 0")
        return number

    def raw(self, what: str) -> bytes:
        end = self.two(what) + self.at
        if end > len(self.data):
            raise PacketFault(f"error reading {what}: too short")
        found = self.data[self.at : end]
        self.at = end
        return found

    def text(self, what: str, refusal: Refusal | None = None) -> str:
        """Text, which is UTF-8 and holds no NUL."""
        raw = self.raw(what)
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise PacketFault(f"invalid utf8 for {what} {raw!r}", refusal) from None
        if "\0" in text:
            raise PacketFault(f"invalid null character in {what} {text!r}", refusal)
        return text

    def filled(self, what: str) -> str:
        text = self.text(what)
        if not text:
            raise PacketFault(f"{what} cannot be empty")
        return text

    def rest(self) -> bytes:
        found = self.data[self.at :]
        self.at = len(self.data)
        return found

    def more(self) -> bool:
        return self.at < len(self.data)


def _connect(body: _Body, *, reject_qos2: bool) -> Connect:
    name = body.raw("protocol name")
    if name != b"MQTT":
        raise PacketFault(f"expected connect packet with protocol name 'MQTT', got {name!r}")
    level = body.byte("protocol level")
    if level != _LEVEL:
        raise PacketFault(f"unacceptable protocol version of {level}", Refusal.PROTOCOL_LEVEL)
    flags = body.byte("flags")
    _require_flags(flags, reject_qos2=reject_qos2)
    keep_alive = body.two("keep alive")
    clean = bool(flags & 0x02)
    client_id = body.text("client ID", Refusal.CLIENT_ID)
    if not client_id and not clean:
        words = "when client ID is empty, clean session flag must be set to 1"
        raise PacketFault(words, Refusal.CLIENT_ID)
    if not _is_name(client_id):
        raise PacketFault(f"invalid character in client ID {client_id!r}", Refusal.CLIENT_ID)
    will = None
    if flags & 0x04:
        topic = body.filled("will topic")
        will = Will(topic, body.raw("will message"), flags >> 3 & 3, bool(flags & 0x20))
    user = password = ""
    if flags & 0x80:
        user = body.text("user name", Refusal.USER_OR_PASSWORD)
        if not user:
            raise PacketFault("empty user name not allowed", Refusal.USER_OR_PASSWORD)
    if flags & 0x40:
        password = body.raw("password").decode("utf-8", "replace")
    if body.more():
        raise PacketFault("the packet is longer than what it says")
    return Connect(client_id, clean, keep_alive, will, user, password)


def _require_flags(flags: int, *, reject_qos2: bool) -> None:
    qos, retain = flags >> 3 & 3, bool(flags & 0x20)
    if flags & 0x01:
        raise PacketFault("connect flags reserved bit not set to 0")
    if not flags & 0x04 and qos:
        raise PacketFault(f"if will flag is set to 0, will QoS must be 0 too, got {qos}")
    if not flags & 0x04 and retain:
        raise PacketFault("if will flag is set to 0, will retain flag must be 0 too")
    if qos > 2:
        raise PacketFault(f"if will flag is set to 1, will QoS can be 0, 1 or 2, got {qos}")
    if reject_qos2 and qos == 2:
        raise PacketFault("server does not accept QoS2 for will messages", Refusal.WILL_QOS_2)
    if flags & 0x40 and not flags & 0x80:
        raise PacketFault("password flag set but username flag is not")


def _is_name(client_id: str) -> bool:
    """Whether it can stand as one token of a subject."""
    return not set(client_id) & set(" \t\r\n\f.*>")


def _publish(flags: int, body: _Body, *, reject_qos2: bool) -> Publish:
    qos = flags >> 1 & 3
    if qos > 2:
        raise PacketFault(f"QoS={qos} is invalid in MQTT")
    if reject_qos2 and qos == 2:
        raise PacketFault("QoS=2 is disabled for PUBLISH messages")
    topic = body.filled("topic")
    number = body.number() if qos else 0
    return Publish(topic, body.rest(), qos, number, bool(flags & 1), bool(flags & 8))


def _subscribe(body: _Body) -> Subscribe:
    number = body.number()
    filters: list[tuple[str, int]] = []
    while body.more():
        text = body.filled("topic filter")
        qos = body.byte("QoS")
        if qos > 2:
            raise PacketFault(f"subscribe QoS value must be 0, 1 or 2, got {qos}")
        filters.append((text, qos))
    if not filters:
        raise PacketFault("subscribe protocol must contain at least 1 topic filter")
    return Subscribe(number, tuple(filters))


def _unsubscribe(body: _Body) -> Unsubscribe:
    number = body.number()
    filters: list[str] = []
    while body.more():
        filters.append(body.filled("topic filter"))
    if not filters:
        raise PacketFault("unsubscribe protocol must contain at least 1 topic filter")
    return Unsubscribe(number, tuple(filters))


# --- what the broker sends -------------------------------------------------------------------------


PING_RESPONSE: Final = bytes((PINGRESP, 0))


def connack(code: int = 0, *, present: bool = False) -> bytes:
    return bytes((CONNACK, 2, int(present and not code), code))


def publish(
    topic: bytes, payload: bytes, *, qos: int = 0, number: int = 0, retain: bool = False, dup: bool = False
) -> bytes:
    first = PUBLISH | qos << 1 | int(retain) | (8 if dup else 0)
    named = struct.pack(">H", len(topic)) + topic
    if qos:
        named += struct.pack(">H", number)
    return bytes((first,)) + size_of(len(named) + len(payload)) + named + payload


def answer(kind: int, number: int) -> bytes:
    """PUBACK, PUBREC, PUBREL, PUBCOMP or UNSUBACK."""
    return struct.pack(">BBH", kind | _FLAGS.get(kind, 0), 2, number)


def suback(number: int, granted: tuple[int, ...]) -> bytes:
    return bytes((SUBACK,)) + size_of(2 + len(granted)) + struct.pack(">H", number) + bytes(granted)


def size_of(size: int) -> bytes:
    """A size as the fixed header has it: seven bits in each byte, the lowest first."""
    made = bytearray()
    while size > 0x7F:
        made.append(size & 0x7F | 0x80)
        size >>= 7
    made.append(size)
    return bytes(made)
