"""Spans and moments as a policy writes them, and back."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_PART: Final = re.compile(r"([0-9]{1,10})([wdhms])")
_SECONDS: Final = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:[Zz]|[+-][0-9]{2}:[0-9]{2}))?"
)
LAST: Final = 253_402_300_799  # of year 9999


def parse_span(text: str) -> int | None:
    """Seconds of `90s`, `1h30m`, `7d`; None for what is no span, or has its parts out of order."""
    parts = _PART.findall(text)
    units = [unit for _, unit in parts]
    ordered = sorted(set(units), key="wdhms".index)
    if not parts or "".join(number + unit for number, unit in parts) != text or units != ordered:
        return None
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)


def show_span(seconds: int) -> str:
    """The same span in the largest unit that holds it whole."""
    for unit in ("d", "h", "m"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{seconds // _SECONDS[unit]}{unit}"
    return f"{seconds}s"


def parse_moment(text: str) -> int | None:
    """Seconds since 1970 of a date (midnight UTC) or an RFC 3339 time with its offset."""
    if not _MOMENT.fullmatch(text):
        return None
    try:
        found = datetime.fromisoformat(text.upper())
        second = int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
    return second if 0 <= second <= LAST else None


def show_moment(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
