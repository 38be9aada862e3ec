"""RFC 5424: a line with structured data, for a receiver of syslog."""

from __future__ import annotations

from typing import Final

from issuer.audit.formats.cef import line
from issuer.audit.formats.numbers import class_id
from issuer.audit.formats.record import Record, when

# IANA's number for examples: ours is not registered.
ID: Final = "accredit@32473"
_AUDIT: Final = 13  # facility: log audit
_LEVELS: Final = {"done": 6, "refused": 4}
_VALUE: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "]": "\\]"})


class Syslog:
    """`syslog`: a message a line. `host` is who says it."""

    name = "syslog"
    in_clear = True

    def __init__(self, host: str = "-") -> None:
        self._host = host if host.isascii() and host.isprintable() and " " not in host else "-"

    def head(self) -> bytes:
        return b""

    def render(self, record: Record) -> bytes:
        return self.message(record) + b"\n"

    def message(self, record: Record) -> bytes:
        """One message, without an end: how it is framed is the transport's business (RFC 5425, 6587)."""
        body = record.body
        priority = _AUDIT * 8 + _LEVELS.get(body.outcome, 3)
        number = class_id(body.code, body.outcome)
        told = {
            "seq": str(record.seq),
            "code": body.code,
            "outcome": body.outcome,
            "actor": body.actor,
            "target": body.target,
            "origin": record.origin,
            "leaf": record.leaf,
        }
        data = " ".join(
            f'{name}="{_plain(value).translate(_VALUE)}"' for name, value in told.items() if value
        )
        head = f"<{priority}>1 {when(body.at)} {self._host} accredit - {number} [{ID} {data}] "
        return head.encode() + b"\xef\xbb\xbf" + line(record).encode()


def _plain(value: str) -> str:
    """Without what would end a line where receivers read lines."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in value)
