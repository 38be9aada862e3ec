"""Daily windows of time, in a time zone (enforcement spec §2, 18)."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Final, NamedTuple

from issuer.claims.fields import TimeRange

_DAY: Final = 86_400
_TIME: Final = re.compile(r"([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:[.,][0-9]+)?")
_NAMES_OF_LOCAL: Final = frozenset({"", "Local"})


class Window(NamedTuple):
    """Whether it is open, and when it will close; None: not by time."""

    open: bool
    until: float | None = None


_ALWAYS: Final = Window(open=True)
_CLOSED: Final = Window(open=False)


def window_at(
    ranges: Sequence[TimeRange], location: str, now: float, *, local: tzinfo | None = None
) -> Window:
    """What daily ranges say of this moment. Of all that hold it, the one with the latest end counts.

    `local` is the zone of ranges without a location; None is that of this machine.
    """
    if not ranges:
        return _ALWAYS
    zone = local
    if location not in _NAMES_OF_LOCAL:
        zone = _zone(location)
        if zone is None:
            return _CLOSED
    until: float | None = None
    today = (int(now // 1) + _offset(zone, int(now // 1))) // _DAY
    for each in ranges:
        start, end = _seconds(each.start), _seconds(each.end)
        if start is None or end is None:
            return _CLOSED
        closes = _closes(zone, today, start, end, now)
        if closes is not None and (until is None or closes > until):
            until = closes
    return _CLOSED if until is None else Window(open=True, until=until)


def _closes(zone: tzinfo | None, today: int, start: int, end: int, now: float) -> float | None:
    opens, closes = _instant(zone, today, start), _instant(zone, today, end)
    if opens < now < closes:
        return closes
    if opens <= closes:
        return None
    # Across midnight: opened yesterday, or closing tomorrow.
    if closes > now:
        return closes
    closes = _instant(zone, today + 1, end)
    return closes if opens < now < closes else None


def _instant(zone: tzinfo | None, day: int, seconds: int) -> int:
    """The moment at which clocks there show this time of this day.

    Where clocks jump, Go's choice: the offset in force one offset earlier.
    """
    shown = day * _DAY + seconds
    offset = _offset(zone, shown)
    return shown - _offset(zone, shown - offset) if offset else shown


def _offset(zone: tzinfo | None, at: int) -> int:
    there = datetime.fromtimestamp(at, UTC).astimezone(zone)
    offset = there.utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def _seconds(text: str) -> int | None:
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    hours, minutes, seconds = map(int, found.groups())
    return hours * 3600 + minutes * 60 + seconds if hours < 24 and minutes < 60 and seconds < 60 else None


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo | None:
    if name == "UTC":
        return UTC
    if ".." in name or name[0] in "/\\":
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None
