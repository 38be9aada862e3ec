"""Packets as clients send them, and streams cut into packets."""

from __future__ import annotations

import struct
from typing import Final


def packet(kind: int, body: bytes = b"") -> bytes:
    size, length = b"", len(body)
    while True:
        length, low = length >> 7, length & 0x7F
        size += bytes([low | (0x80 if length else 0)])
        if not length:
            return bytes([kind]) + size + body


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(raw)) + raw


def mqtt_connect(
    client_id: str | bytes = "c",
    *,
    user: str | bytes | None = "u",
    password: str | bytes | None = None,
    clean: bool = True,
    keep_alive: int = 0,
    will: tuple[str | bytes, bytes] | None = None,
    will_qos: int = 0,
    will_retain: bool = False,
    name: str = "MQTT",
    level: int = 4,
    flags: int | None = None,
) -> bytes:
    said = 0x02 if clean else 0
    body = text(client_id)
    if will is not None:
        said |= 0x04 | will_qos << 3 | (0x20 if will_retain else 0)
        body += text(will[0]) + text(will[1])
    if user is not None:
        said |= 0x80
        body += text(user)
    if password is not None:
        said |= 0x40
        body += text(password)
    head = text(name) + bytes([level, said if flags is None else flags]) + struct.pack(">H", keep_alive)
    return packet(0x10, head + body)


def mqtt_publish(
    topic: str | bytes,
    payload: bytes = b"",
    *,
    qos: int = 0,
    number: int = 0,
    retain: bool = False,
    dup: bool = False,
) -> bytes:
    kind = 0x30 | qos << 1 | int(retain) | (8 if dup else 0)
    return packet(kind, text(topic) + (struct.pack(">H", number) if qos else b"") + payload)


def mqtt_subscribe(number: int, *filters: tuple[str | bytes, int]) -> bytes:
    return packet(0x82, struct.pack(">H", number) + b"".join(text(f) + bytes([q]) for f, q in filters))


def mqtt_unsubscribe(number: int, *filters: str | bytes) -> bytes:
    return packet(0xA2, struct.pack(">H", number) + b"".join(text(f) for f in filters))


def mqtt_answer(kind: int, number: int) -> bytes:
    return packet(kind, struct.pack(">H", number))


PING: Final = b"\xc0\x00"
PINGED: Final = b"\xd0\x00"
DISCONNECT: Final = b"\xe0\x00"


def ends(data: bytes, at: int = 0) -> int | None:
    size, shift = 0, 0
    for place in range(at + 1, min(len(data), at + 5)):
        size |= (data[place] & 0x7F) << shift
        if data[place] < 0x80:
            end = place + 1 + size
            return end if end <= len(data) else None
        shift += 7
    return None


def packets_of(data: bytes) -> list[bytes]:
    """A stream cut into its packets."""
    found, at = [], 0
    while (end := ends(data, at)) is not None:
        found.append(data[at:end])
        at = end
    assert at == len(data), data[at:]
    return found


def ponged(data: bytes) -> int | None:
    at = 0
    while (end := ends(data, at)) is not None:
        if data[at:end] == PINGED:
            return end
        at = end
    return None
