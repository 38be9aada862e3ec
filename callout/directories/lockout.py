"""Against guessing: how often a user's password was wrong lately, from one address and from anywhere.

Pure; for one thread. Times are handed in, in seconds since 1970. An attempt counts as failed from its
beginning until it is known to be right, or many at a time would pass the limit together.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec

MAX_KEPT: Final = 100_000


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Failures within `window` seconds after which nothing more is tried."""

    failures: int = 5
    """For one user from one address."""
    failures_anywhere: int = 50
    """For one user. Higher: whoever knows a name must not be able to shut its owner out from one machine."""
    window: int = 900


class Lockout:
    """The counts of one directory."""

    def __init__(self, limits: Limits, *, most: int = MAX_KEPT) -> None:
        self._limits = limits
        self._most = most
        self._failed: OrderedDict[tuple[str, str | None], list[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._failed)

    def begin(self, user: str, address: str, *, now: float) -> bool:
        """Whether a password may be tried; if so it counts as wrong for now."""
        for place, most in self._places(user, address):
            if len(self._recent(place, now)) >= most:
                return False
        for place, _ in self._places(user, address):
            self._failed.setdefault(place, []).append(now)
            self._failed.move_to_end(place)
        while len(self._failed) > self._most:
            self._failed.popitem(last=False)
        return True

    def right(self, user: str, address: str, *, now: float) -> None:
        """It was right: this address starts from nothing; elsewhere only this attempt is taken back."""
        self._failed.pop((user, address), None)
        self._take_back((user, None), now)

    def undecided(self, user: str, address: str, *, now: float) -> None:
        """It was never compared: it is taken back."""
        self._take_back((user, address), now)
        self._take_back((user, None), now)

    def _places(self, user: str, address: str) -> tuple[tuple[tuple[str, str | None], int], ...]:
        limits = self._limits
        return ((user, address), limits.failures), ((user, None), limits.failures_anywhere)

    def _recent(self, place: tuple[str, str | None], now: float) -> list[float]:
        times = self._failed.get(place)
        if times is None:
            return []
        times[:] = [at for at in times if at > now - self._limits.window]
        if not times:
            del self._failed[place]
        return times

    def _take_back(self, place: tuple[str, str | None], at: float) -> None:
        times = self._failed.get(place)
        if times is not None and at in times:
            times.remove(at)
            if not times:
                del self._failed[place]
