"""The server's side of WebSocket, without I/O: the request to upgrade, and frames (RFC 6455).

What nats-server asks of both is asked here: no extension is taken, frames of clients are masked,
what they carry is a stream of bytes, and where it is cut means nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import urlsplit

MAX_HEAD: Final = 16_384
MAX_CONTROL: Final = 125
MAX_FRAME: Final = 64 * 1024 * 1024
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
NORMAL, GOING_AWAY, PROTOCOL_ERROR, POLICY_VIOLATION, TOO_BIG = 1000, 1001, 1002, 1008, 1009
_NO_STATUS: Final = 1005


class UpgradeError(Exception):
    """Not a request to upgrade that may be granted; `status` and the message are for the client."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def answer(self) -> bytes:
        words = {400: "Bad Request", 403: "Forbidden", 405: "Method Not Allowed"}[self.status]
        body = self.message.encode()
        return (
            f"HTTP/1.1 {self.status} {words}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Sec-Websocket-Version: 13\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        ).encode() + body


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A request that may be granted."""

    path: str
    cookies: Mapping[str, str]
    answer: bytes


@dataclass(frozen=True, slots=True)
class Origins:
    """Which pages may connect. No origin at all, as programs have none, always may."""

    same: bool = False
    allowed: tuple[str, ...] = ()
    tls: bool = False

    def permit(self, origin: str, host: str) -> bool:
        if not origin or (not self.same and not self.allowed):
            return True
        port = 443 if self.tls else 80
        if self.same and _place(origin, port)[1:] != _place(f"//{host}", port)[1:]:
            return False
        return not self.allowed or _place(origin, port) in {_place(each, port) for each in self.allowed}


def _place(url: str, default: int) -> tuple[str, str, int]:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    usual = {"https": 443, "http": 80}.get(parts.scheme, default)
    return parts.scheme, (parts.hostname or "").lower(), usual if port is None else port


def read_upgrade(head: bytes, origins: Origins, headers: Mapping[str, str]) -> Upgrade:
    """The request whose head is `head`, up to its empty line; `headers` are added to the answer.

    Raises:
        UpgradeError: it asks for something else, or may not have it.
    """
    lines = head.split(b"\r\n")
    try:
        method, target, version = lines[0].decode("ascii").split(" ")
        found = dict(_header(line) for line in lines[1:] if line)
    except (ValueError, UnicodeDecodeError):
        raise UpgradeError(400, "malformed request") from None
    if method != "GET":
        raise UpgradeError(405, "request method must be GET")
    if version != "HTTP/1.1" or not found.get("host"):
        raise UpgradeError(400, "'Host' missing in request")
    if not _has(found, "upgrade", "websocket"):
        raise UpgradeError(400, "invalid value for header 'Upgrade'")
    if not _has(found, "connection", "upgrade"):
        raise UpgradeError(400, "invalid value for header 'Connection'")
    key = found.get("sec-websocket-key", "")
    if not _is_key(key):
        raise UpgradeError(400, "key missing")
    if found.get("sec-websocket-version") != "13":
        raise UpgradeError(400, "invalid version")
    if not origins.permit(found.get("origin", ""), found["host"]):
        raise UpgradeError(403, "origin not allowed")
    accepted = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest())  # noqa: S324  the RFC's own
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    answer += b"Sec-WebSocket-Accept: " + accepted + b"\r\n"
    answer += "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
    return Upgrade(urlsplit(target).path, _cookies(found.get("cookie", "")), answer + b"\r\n")


def _header(line: bytes) -> tuple[str, str]:
    name, colon, value = line.decode("latin-1").partition(":")
    if not colon or not name or name != name.strip():
        raise ValueError(line)
    return name.lower(), value.strip()


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def _has(headers: Mapping[str, str], name: str, word: str) -> bool:
    return word in [part.strip().lower() for part in headers.get(name, "").split(",")]


def _cookies(text: str) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(text).items()}
    except CookieError:
        return {}


class FrameError(Exception):
    """The peer broke the protocol; `status` is what the close frame says."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Frames:
    """Reads a client's frames: `feed` gives the bytes they carry; control frames are answered in `out`."""

    __slots__ = ("_held", "_in_message", "closed", "out")

    def __init__(self) -> None:
        self._held = bytearray()
        self._in_message = False
        self.out: list[bytes] = []
        self.closed = False
        """The client said goodbye; the answer to it is in `out`."""

    @property
    def buffered(self) -> int:
        return len(self._held)

    def feed(self, data: bytes) -> bytes:
        """What the frames in `data` carry.

        Raises:
            FrameError: they break the protocol.
        """
        held = self._held
        held += data
        carried: list[bytes] = []
        position = 0
        while not self.closed:
            head = self._head(position)
            if head is None:
                break
            final, kind, start, end = head
            if end > len(held):
                break
            payload = _unmasked(bytes(held[start:end]), bytes(held[start - 4 : start]))
            position = end
            if kind >= CLOSE:
                self._control(kind, payload)
            else:
                self._in_message = not final
                carried.append(payload)
        del held[:position]
        return b"".join(carried)

    def _head(self, position: int) -> tuple[bool, int, int, int] | None:
        """Of the frame at `position`: last of its message, kind, where its payload begins and ends."""
        held = self._held
        if len(held) < position + 2:
            return None
        first, second = held[position], held[position + 1]
        final, kind, size = bool(first & 0x80), first & 0x0F, second & 0x7F
        if first & 0x70:
            raise FrameError(PROTOCOL_ERROR, "no extension was agreed on")
        if not second & 0x80:
            raise FrameError(PROTOCOL_ERROR, "frame is not masked")
        if kind >= CLOSE:
            if kind > PONG or not final or size > MAX_CONTROL:
                raise FrameError(PROTOCOL_ERROR, "malformed control frame")
        elif kind > BINARY or (kind == CONTINUATION) != self._in_message:
            raise FrameError(PROTOCOL_ERROR, "frame out of order")
        start = position + 2
        more = {126: 2, 127: 8}.get(size, 0)
        if more:
            if len(held) < start + more:
                return None
            size = int.from_bytes(held[start : start + more], "big")
            start += more
        if size > MAX_FRAME:
            raise FrameError(TOO_BIG, "frame is too big")
        start += 4
        return final, kind, start, start + size

    def _control(self, kind: int, payload: bytes) -> None:
        if kind == PING:
            self.out.append(frame(payload, PONG))
        elif kind == CLOSE:
            self.closed = True
            status = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else _NO_STATUS
            self.out.append(frame(b"", CLOSE) if status == _NO_STATUS else close_frame(status, ""))


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    if not size:
        return b""
    repeated = mask * (size // 4 + 1)
    # One operation on large numbers beats one on each byte.
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(repeated[:size], "big")
    return mixed.to_bytes(size, "big")


def frame(payload: bytes, kind: int = BINARY) -> bytes:
    """One whole frame, unmasked as servers send them."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | kind, size)) + payload
    if size < 65_536:
        return bytes((0x80 | kind, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | kind, 127)) + size.to_bytes(8, "big") + payload


def close_frame(status: int, text: str) -> bytes:
    return frame(status.to_bytes(2, "big") + text.encode()[: MAX_CONTROL - 2], CLOSE)
