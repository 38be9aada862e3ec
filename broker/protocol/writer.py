"""Lines from the broker to a client (enforcement spec §1.2, §1.4, §1.7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

OK: Final = b"+OK\r\n"
PING: Final = b"PING\r\n"
PONG: Final = b"PONG\r\n"
_NO_RESPONDERS_LENGTH: Final = 32  # of the 503 block without the subject


def wire(text: str) -> bytes:
    """A subject as it goes out: the bytes it came in with."""
    return text.encode("utf-8", "surrogateescape")


def unwire(raw: bytes) -> str:
    """A subject as it came in, whatever bytes it has."""
    return raw.decode("utf-8", "surrogateescape")


def info(members: Mapping[str, Any]) -> bytes:
    return b"INFO " + msgspec.json.encode(members) + b" \r\n"


def error(text: str) -> bytes:
    return b"-ERR '" + wire(text) + b"'\r\n"


def first_line(subject: bytes, sid: bytes, reply: bytes, header: int, size: int) -> bytes:
    """The line before a message: HMSG if `header` bytes of headers come with it, MSG if it is < 0."""
    if header < 0:
        if reply:
            return b"MSG %b %b %b %d\r\n" % (subject, sid, reply, size)
        return b"MSG %b %b %d\r\n" % (subject, sid, size)
    if reply:
        return b"HMSG %b %b %b %d %d\r\n" % (subject, sid, reply, header, size)
    return b"HMSG %b %b %d %d\r\n" % (subject, sid, header, size)


def no_responders(subject: bytes, sid: bytes, reply: bytes) -> bytes:
    """What a requester gets when nobody took its request."""
    length = _NO_RESPONDERS_LENGTH + len(subject)
    return b"HMSG %b %b %d %d\r\nNATS/1.0 503\r\nNats-Subject: %b\r\n\r\n\r\n" % (
        reply,
        sid,
        length,
        length,
        subject,
    )
