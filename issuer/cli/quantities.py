"""What people type for times, durations, sizes and switches, as nsc takes them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from issuer.errors import PeerError

_RELATIVE: Final = re.compile(r"(-?[0-9]{1,9})([mhdwMy])")
_SECONDS: Final = {"m": 60, "h": 3600, "d": 86400, "w": 604800}
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_SIZE: Final = re.compile(r"(-?)([0-9]{1,18})\s*([kmgtp]?)(i?)b?", re.IGNORECASE)
_STEPS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SPAN: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h|d)")
_NANOSECONDS: Final = {
    "ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
    "d": 86400 * 10**9,
}  # fmt: skip
_MAX_SECOND: Final = 253_402_300_799  # the last one of year 9999
_MONTHS: Final = 12


class QuantityError(PeerError):
    """Not a time, duration or size."""

    code = "quantity.malformed"


def moment(text: str, now: int, *, at: str) -> int:
    """A point in time in unix seconds; 0 is never. `10m 4h 3d 2w 1M 1y`, a date, RFC 3339."""
    text = text.strip()
    if text in {"", "0"}:
        return 0
    found = _RELATIVE.fullmatch(text)
    second = _shifted(now, int(found[1]), found[2]) if found else _absolute(text, at)
    if not 0 < second <= _MAX_SECOND:
        raise QuantityError(f"{text!r} lies outside the years a token can hold", at=at)
    return second


def stamp(text: str, now: int, *, at: str) -> int:
    """As `moment`, and a number is unix seconds; 0 is now (`revocations --at`)."""
    text = text.strip()
    if text.isascii() and text.isdecimal() and len(text) <= len(str(_MAX_SECOND)):
        return int(text) or now
    return moment(text, now, at=at)


def size(text: str, *, at: str) -> int:
    """A number of bytes: k m g t count thousands, kib mib gib tib 1024s; -1 is unlimited."""
    found = _SIZE.fullmatch(text.strip())
    if not found or (found[4] and not found[3]):
        raise QuantityError(
            f"{text!r} is not a size", at=at, hint="a number, with k m g t or kib mib gib tib"
        )
    base = 1024 if found[4] else 1000
    value: int = int(found[2]) * base ** _STEPS[found[3].lower()]
    value = -value if found[1] else value
    if not -1 <= value < 2**63:
        raise QuantityError(f"{text!r} is not a size a token can hold", at=at)
    return value


def count(text: str, *, at: str) -> int:
    """A number of things; -1 is unlimited."""
    return size(text, at=at)


def nanoseconds(text: str, *, at: str) -> int:
    """A span as Go writes it: `500ms`, `1m30s`; a bare 0 is none."""
    text = text.strip()
    if text == "0":
        return 0
    parts = _SPAN.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise QuantityError(f"{text!r} is not a span of time", at=at, hint="as 500ms, 2s, 1m30s")
    return int(sum(float(number) * _NANOSECONDS[unit] for number, unit in parts))


def iso(second: int) -> str:
    """A second as RFC 3339, UTC."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def distance(second: int, now: int) -> str:
    """How far away a second is, in the largest unit that fits."""
    gap = abs(second - now)
    for unit, length in (("year", 31_536_000), ("month", 2_592_000), ("week", 604_800), ("day", 86_400),
                         ("hour", 3600), ("minute", 60), ("second", 1)):  # fmt: skip
        if gap >= length:
            number = gap // length
            words = f"{number} {unit}{'s' if number > 1 else ''}"
            return f"in {words}" if second > now else f"{words} ago"
    return "now"


def _shifted(now: int, number: int, unit: str) -> int:
    if unit in _SECONDS:
        return now + number * _SECONDS[unit]
    # Months and years are those of the calendar, as in nsc: the 31st of a short month runs over.
    start = datetime.fromtimestamp(now, UTC)
    months = start.month - 1 + (number if unit == "M" else number * _MONTHS)
    year, month = start.year + months // _MONTHS, months % _MONTHS + 1
    if not 1 <= year <= 9999:
        return -1
    first = start.replace(year=year, month=month, day=1)
    return int(first.timestamp()) + (start.day - 1) * _SECONDS["d"]


def _absolute(text: str, at: str) -> int:
    try:
        if _DAY.fullmatch(text):
            return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
        found = datetime.fromisoformat(text.removesuffix(" UTC"))
    except ValueError:
        raise QuantityError(
            f"{text!r} is not a time", at=at, hint="0 for never, 2026-12-31, or 10m 4h 3d 2w 1M 1y from now"
        ) from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
