"""Who speaks: the `server` object around every answer and event, and times as servers write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from broker.core import Core
from broker.routing import Message

# What a server of this version says it can do; none of it is about us, but tools read it.
FEATURE_FLAGS: Final = {
    "js_ack_fc_v2": False,
    "js_api_reply_v2": False,
    "js_raft_delete_range": True,
    "js_snapshot_sources": False,
}
_ESCAPED: Final = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)


class Envelope:
    """Numbers and signs what the broker says."""

    __slots__ = ("_core", "_sequence")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._sequence = 0

    def server(self) -> dict[str, Any]:
        self._sequence += 1
        identity = self._core.identity
        found: dict[str, Any] = {
            "name": identity.name,
            "host": self._core.options.host,
            "id": identity.id,
            "ver": identity.version,
        }
        if self._core.options.server_tags:
            found["tags"] = self._core.options.server_tags
        found |= {
            "feature_flags": FEATURE_FLAGS,
            "jetstream": False,
            "flags": 0,
            "seq": self._sequence,
            "time": moment(self._core.now()),
        }
        return found

    def answer(self, message: Message, **said: Any) -> None:
        """Answer a request, if it wants an answer; the requester's mappings hold for answers, too."""
        account = message.account
        if message.reply:
            body = encoded({"server": self.server(), **said})
            to = message.reply
            if not account.system:
                to = account.mappings.choose(to, self._core.router.chance) or ""
            self._core.publish(account, to, body, answering=True)

    def fail(self, message: Message, description: str, *, code: int = 500, **said: Any) -> None:
        self.answer(message, **said, error={"code": code, "description": description})


def encoded(document: Any) -> bytes:
    """JSON as servers write it: what could hurt in a page or a script is escaped."""
    text = msgspec.json.encode(document)
    for raw, escaped in _ESCAPED:
        if raw in text:
            text = text.replace(raw, escaped)
    return text


def moment(at: float) -> str:
    """A time as RFC 3339 with fractions."""
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def duration(seconds: float) -> str:
    """A span as Go writes whole seconds: 1h2m3s."""
    left = int(seconds)
    days, left = divmod(left, 86_400)
    hours, left = divmod(left, 3600)
    minutes, secs = divmod(left, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "m")]
    first = next((place for place, (count, _) in enumerate(parts) if count), len(parts))
    return "".join(f"{count}{unit}" for count, unit in parts[first:]) + f"{secs}s"
