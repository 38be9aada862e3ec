"""Frames of a websocket, server side (RFC 6455 §5, §7), as nats-server reads and writes them.

No I/O. What a frame carries goes on as it arrives: messages mean nothing here, so nothing is
gathered, and no length a client announces costs memory.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from broker.protocol.texts import Closed

CONTINUATION: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

MAX_CONTROL: Final = 125
BROWSER_FRAME: Final = 4096
"""No frame for a browser is longer."""
_FINAL: Final = 0x80
_RESERVED: Final = 0x30
_COMPRESSED: Final = 0x40
_MASKED: Final = 0x80
_STATUS: Final = 2  # bytes of a close frame before its text
_SHORT: Final = 126
_LONG: Final = 127
_CUT: Final = "..."

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
INVALID_PAYLOAD: Final = 1007
POLICY_VIOLATION: Final = 1008
TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
TLS_HANDSHAKE: Final = 1015

_NEVER_SENT: Final = frozenset({1004, 1005, 1006, TLS_HANDSHAKE})
_STATUS_OF: Final = {
    Closed.CLIENT_CLOSED: NORMAL,
    **dict.fromkeys(
        (
            Closed.AUTHENTICATION_TIMEOUT,
            Closed.AUTHENTICATION_FAILURE,
            Closed.AUTHENTICATION_EXPIRED,
            Closed.CREDENTIALS_REVOKED,
            Closed.MAX_ACCOUNT_CONNECTIONS,
            Closed.MAX_CONNECTIONS,
            Closed.MAX_CONTROL_LINE,
            Closed.MAX_SUBSCRIPTIONS,
            Closed.MISSING_ACCOUNT,
        ),
        POLICY_VIOLATION,
    ),
    **dict.fromkeys(
        (Closed.PARSE_ERROR, Closed.PROTOCOL_VIOLATION, Closed.BAD_PROTOCOL_VERSION), PROTOCOL_ERROR
    ),
    Closed.MAX_PAYLOAD: TOO_BIG,
    Closed.STALE_CONNECTION: GOING_AWAY,
    Closed.SERVER_SHUTDOWN: GOING_AWAY,
}
_WITHOUT_WORDS: Final = frozenset(
    {
        Closed.READ_ERROR,
        Closed.WRITE_ERROR,
        Closed.SLOW_CONSUMER_PENDING,
        Closed.SLOW_CONSUMER_DEADLINE,
        Closed.TLS_HANDSHAKE_ERROR,
    }
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A frame to send back at once."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more is read: send the frame, then close. `fault` is what the client did wrong, if it did."""

    data: bytes
    fault: str = ""


Event = bytes | Answer | Ended


class Frames:
    """Reads what a client sends: `feed` gives payloads as bytes, and what control frames ask for."""

    __slots__ = (
        "_buffer",
        "_control",
        "_key",
        "_masked",
        "_opcode",
        "_rest",
        "_turn",
        "_unfinished",
        "ended",
    )

    def __init__(self, *, masked: bool = True) -> None:
        self._masked = masked
        self._buffer = b""
        self._rest = 0
        self._key = b""
        self._turn = 0
        self._opcode = CONTINUATION
        self._control = b""
        self._unfinished = False
        self.ended = False

    def feed(self, data: bytes) -> list[Event]:
        """What these bytes, with those kept from before, make."""
        if self.ended:
            return []
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        found: list[Event] = []
        try:
            self._read(data, found)
        except _Fault as fault:
            self.ended = True
            words = str(fault)
            found.append(Ended(close_frame(PROTOCOL_ERROR, words), words))
        return found

    def _read(self, data: bytes, found: list[Event]) -> None:
        at, end = 0, len(data)
        while True:
            if not self._rest:
                start = self._head(data, at)
                if start is None:
                    self._buffer = data[at:]
                    return
                at = start
            size = min(self._rest, end - at)
            part = self._plain(data[at : at + size]) if size else b""
            at += size
            self._rest -= size
            if self._opcode >= CLOSE:
                self._control += part
                if not self._rest and self._over(found):
                    return
            elif part:
                found.append(part)
            if self._rest:
                return

    def _head(self, data: bytes, at: int) -> int | None:
        """Where the payload begins; None when the head is not all there."""
        available = len(data) - at
        if not available:
            return None
        first = data[at]
        if first & _RESERVED:
            raise _Fault("RSV2 and RSV3 must be clear")
        if first & _COMPRESSED:
            raise _Fault("compressed frame received without negotiated permessage-deflate")
        if available < 2:
            return None
        second = data[at + 1]
        if self._masked and not second & _MASKED:
            raise _Fault("mask bit missing")
        size = second & 0x7F
        opcode, final = first & 0x0F, bool(first & _FINAL)
        self._require_order(opcode, size, final=final)
        start = at + 2 + (2 if size == _SHORT else 8 if size == _LONG else 0)
        if len(data) < start + (4 if self._masked else 0):
            return None
        if size >= _SHORT:
            size = int.from_bytes(data[at + 2 : start], "big")
            if size >> 63:
                raise _Fault("invalid 64-bit payload length")
        if self._masked:
            self._key = data[start : start + 4]
            self._turn = 0
            start += 4
        if opcode < CLOSE:
            self._unfinished = not final
        self._opcode = opcode
        self._rest = size
        return start

    def _require_order(self, opcode: int, size: int, *, final: bool) -> None:
        if opcode in {CLOSE, PING, PONG}:
            if size > MAX_CONTROL:
                raise _Fault(f"control frame length bigger than maximum allowed of {MAX_CONTROL} bytes")
            if not final:
                raise _Fault("control frame does not have final bit set")
        elif opcode in {TEXT, BINARY}:
            if self._unfinished:
                raise _Fault("new message started before final frame for previous message was received")
        elif opcode != CONTINUATION:
            raise _Fault(f"unknown opcode {opcode}")
        elif not self._unfinished:
            raise _Fault("invalid continuation frame")

    def _plain(self, part: bytes) -> bytes:
        if not self._masked:
            return part
        size, turn = len(part), self._turn
        key = (self._key[turn:] + self._key * (size // 4 + 1))[:size]
        self._turn = (turn + size) & 3
        return (int.from_bytes(part, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")

    def _over(self, found: list[Event]) -> bool:
        """Act on a control frame that is all there; whether it was the last."""
        payload, self._control = self._control, b""
        if self._opcode == PING:
            found.append(Answer(bytes([_FINAL | PONG, len(payload)]) + payload))
        elif self._opcode == CLOSE:
            found.append(Ended(_closing(payload)))
            self.ended = True
        return self.ended


class _Fault(Exception):
    """A frame that none may send; its words go back to the client."""


def _closing(payload: bytes) -> bytes:
    """The answer to a close frame: the same again."""
    if not payload:
        return bytes([_FINAL | CLOSE, 0])
    if len(payload) < _STATUS:
        raise _Fault("close frame payload cannot be 1 byte")
    status: int = struct.unpack_from(">H", payload)[0]
    if status in _NEVER_SENT or not (1000 <= status <= TLS_HANDSHAKE or 3000 <= status < 5000):
        raise _Fault(f"invalid close status code {status}")
    try:
        return close_frame(status, payload[_STATUS:].decode())
    except UnicodeDecodeError:
        return close_frame(INVALID_PAYLOAD, "invalid utf8 body in close frame")


def frame(payload: bytes) -> bytes:
    """One binary frame."""
    size = len(payload)
    if size < _SHORT:
        return bytes((_FINAL | BINARY, size)) + payload
    if size < 1 << 16:
        return struct.pack(">BBH", _FINAL | BINARY, _SHORT, size) + payload
    return struct.pack(">BBQ", _FINAL | BINARY, _LONG, size) + payload


def frames_for_browser(payload: bytes) -> bytes:
    """The same in frames of the length browsers take best."""
    if len(payload) <= BROWSER_FRAME:
        return frame(payload)
    return b"".join(frame(payload[at : at + BROWSER_FRAME]) for at in range(0, len(payload), BROWSER_FRAME))


def close_frame(status: int, text: str = "") -> bytes:
    """A frame that ends the conversation; a text too long for it is cut."""
    words = text.encode()
    if len(words) > MAX_CONTROL - _STATUS:
        words = words[: MAX_CONTROL - _STATUS - len(_CUT)] + _CUT.encode()
    return bytes((_FINAL | CLOSE, _STATUS + len(words))) + struct.pack(">H", status) + words


def last_frame(closed: Closed) -> bytes:
    """What a client is told at the end; nothing where nothing can reach it any more."""
    if closed in _WITHOUT_WORDS:
        return b""
    return close_frame(_STATUS_OF.get(closed, INTERNAL_ERROR), closed.value)
