"""Windows of time: `mon-fri 08:00-18:00` by the clocks of a zone."""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from callout.policy.model import Window, Windows

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY: Final = tuple(range(7))
_DAY: Final = 86_400
_WINDOW: Final = re.compile(r"(?:([a-z,-]+) )?([0-9:]{5,8})-([0-9:]{5,8})")
_CLOCK: Final = re.compile(r"([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?")
_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*")
# Windows that meet are one; so many, and no further: no token lives for ever.
_LINKS: Final = 32


def parse_window(text: str) -> Window | None:
    """`mon-fri 08:00-18:00`, `sat,sun 22:00-06:00`, `08:00-18:00:30`; None for anything else."""
    found = _WINDOW.fullmatch(text)
    if found is None:
        return None
    days = EVERY_DAY if found[1] is None else _days(found[1])
    start, end = _clock(found[2]), _clock(found[3])
    if days is None or start is None or end is None or start in {_DAY, end}:
        return None
    return Window(days, start, end)


def show_window(window: Window) -> str:
    days = "" if window.days == EVERY_DAY else ",".join(DAYS[day] for day in window.days) + " "
    return f"{days}{_shown(window.start)}-{_shown(window.end)}"


@lru_cache(maxsize=256)
def zone_of(name: str) -> tzinfo | None:
    """A time zone by its IANA name; None where there is none of that name."""
    if name == "UTC":
        return UTC
    # Else a name could be a path to some other file.
    if not _ZONE.fullmatch(name):
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def open_until(windows: Windows, now: int) -> int | None:
    """When the windows that are open now close, those that meet taken together; None: none is open."""
    zone = zone_of(windows.zone)
    if zone is None:
        return None
    until = _closes(windows, zone, now)
    for _ in range(_LINKS):
        further = None if until is None else _closes(windows, zone, until)
        if further is None:
            break
        until = further
    return until


def _closes(windows: Windows, zone: tzinfo, now: int) -> int | None:
    try:
        today = datetime.fromtimestamp(now, zone).date()
    except (ValueError, OverflowError, OSError):
        return None
    last: int | None = None
    for window in windows.entries:
        # One that crosses midnight opened the day before.
        for day in (today - timedelta(days=1), today):
            if day.weekday() not in window.days:
                continue
            over = window.end <= window.start
            opens = _instant(zone, day, window.start)
            closes = _instant(zone, day + timedelta(days=1) if over else day, window.end)
            if opens <= now < closes and (last is None or closes > last):
                last = closes
    return last


def _instant(zone: tzinfo, day: date, seconds: int) -> int:
    whole, rest = divmod(seconds, _DAY)
    shown = datetime.combine(day + timedelta(days=whole), datetime.min.time(), zone)
    # By the clock on the wall, not by what has gone by: the day may have 23 hours.
    shown = shown.replace(hour=rest // 3600, minute=rest // 60 % 60, second=rest % 60)
    return int(shown.timestamp())


def _days(text: str) -> tuple[int, ...] | None:
    days: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        last = last if dash else first
        if first not in DAYS or last not in DAYS:
            return None
        begin, end = DAYS.index(first), DAYS.index(last)
        # `sat-mon` goes over the end of the week.
        days += [(begin + n) % 7 for n in range((end - begin) % 7 + 1)]
    return tuple(sorted(days)) if len(set(days)) == len(days) else None


def _clock(text: str) -> int | None:
    found = _CLOCK.fullmatch(text)
    if found is None:
        return None
    hours, minutes, seconds = int(found[1]), int(found[2]), int(found[3] or 0)
    if minutes > 59 or seconds > 59:
        return None
    value = hours * 3600 + minutes * 60 + seconds
    return value if value <= _DAY else None


def _shown(seconds: int) -> str:
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}"
    return f"{text}:{seconds % 60:02}" if seconds % 60 else text
