"""Sizes, counts, spans and moments as a file writes them, and back. Pure.

What is written is read back as the same value: an exported file plans to no change.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from issuer.claims.fields import UNLIMITED

WORD_UNLIMITED: Final = "unlimited"
WORD_NEVER: Final = "never"

_SIZE: Final = re.compile(r"(\d{1,19})\s*(?:([kmgtp])(i?)b?)?", re.IGNORECASE)
_POWER: Final = {"k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_BINARY: Final = ("KiB", "MiB", "GiB", "TiB", "PiB")
_SPAN_PART: Final = re.compile(r"(\d{1,19})(ns|us|µs|ms|s|m|h|d)")
_SPAN_UNITS: Final = {
    "ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
    "d": 86400 * 10**9,
}  # fmt: skip
_LASTING: Final = re.compile(r"(\d{1,6})([smhdw])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}([Tt ].+)?")
_LAST_SECOND: Final = 253_402_300_799  # of year 9999
MAX_INT: Final = 2**63 - 1


def parse_size(text: str) -> int | None:
    """`10m` is ten million, `10MiB` counts 1024s, as in nsc; None when it is no size."""
    if text in {"-1", WORD_UNLIMITED}:
        return UNLIMITED
    found = _SIZE.fullmatch(text)
    if not found:
        return None
    base = 1024 if found[3] else 1000
    value = int(found[1]) * (base ** _POWER[found[2].lower()] if found[2] else 1)
    return value if value <= MAX_INT else None


def show_size(value: int) -> int | str:
    if value < 0:
        return WORD_UNLIMITED
    for power in range(len(_BINARY), 0, -1):
        if value and value % 1024**power == 0:
            return f"{value // 1024**power}{_BINARY[power - 1]}"
    return value


def parse_count(text: str) -> int | None:
    if text in {"-1", WORD_UNLIMITED}:
        return UNLIMITED
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(MAX_INT)):
        return None
    value = int(text)
    return value if value <= MAX_INT else None


def show_count(value: int) -> int | str:
    return WORD_UNLIMITED if value < 0 else value


def parse_span(text: str) -> int | None:
    """Nanoseconds, as Go writes spans: `500ms`, `1m30s`; a bare 0 is none."""
    if text == "0":
        return 0
    parts = _SPAN_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    value = sum(int(number) * _SPAN_UNITS[unit] for number, unit in parts)
    return value if value <= MAX_INT else None


def show_span(nanoseconds: int) -> int | str:
    if nanoseconds <= 0:
        return nanoseconds
    for unit in ("d", "h", "m", "s", "ms", "us"):
        if nanoseconds % _SPAN_UNITS[unit] == 0:
            return f"{nanoseconds // _SPAN_UNITS[unit]}{unit}"
    return f"{nanoseconds}ns"


def parse_lasting(text: str) -> int | None:
    """Seconds a token shall last: `90d`; months and years have no fixed length and are not taken."""
    found = _LASTING.fullmatch(text)
    return int(found[1]) * _SECONDS[found[2]] or None if found else None


def parse_moment(text: str) -> int | None:
    """A date or RFC 3339 time as unix seconds; 0 and `never` are no bound."""
    if text in {"0", WORD_NEVER}:
        return 0
    if not _DATE.fullmatch(text):
        return None
    try:
        found = datetime.fromisoformat(text.upper())
        second = int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
    return second if 0 < second <= _LAST_SECOND else None


def show_moment(second: int) -> str | int:
    if second == 0:
        return WORD_NEVER
    if not 0 < second <= _LAST_SECOND:
        return second
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
