"""So many in a while: token buckets, one for each name, in bounded memory.

Pure; for one thread. Times are seconds on any clock that does not go back.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec

from callout.admission_settings import Rate

MAX_KEPT: Final = 20_000
_NEARLY: Final = 1e-9
"""Sums of fractions fall short of one by less."""


class Bucket(msgspec.Struct):
    """How much of its burst one name has left."""

    left: float
    at: float


class Buckets:
    """One rate for each of many names. A name that was forgotten begins with a full bucket."""

    def __init__(self, rate: Rate, *, most: int = MAX_KEPT) -> None:
        self._rate = rate
        self._most = most
        self._kept: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def next(self, name: str, *, now: float) -> float:
        """When one may be taken: `now`, if at once."""
        bucket = self._kept.get(name)
        if bucket is None:
            return now
        left = self._filled(bucket, now)
        if left >= 1 - _NEARLY:
            return now
        return now + (1 - left) / self._rate.per_second

    def ask(self, name: str, *, now: float) -> float:
        """Take one, if there is one; else the seconds until there is."""
        at = self.next(name, now=now)
        if at > now:
            return at - now
        self.take(name, now=now)
        return 0.0

    def take(self, name: str, *, now: float) -> None:
        """Take one, which `next` said is there."""
        bucket = self._kept.get(name)
        if bucket is None:
            bucket = self._kept[name] = Bucket(self._rate.burst, now)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        bucket.left = self._filled(bucket, now) - 1
        bucket.at = max(bucket.at, now)
        self._kept.move_to_end(name)

    def _filled(self, bucket: Bucket, now: float) -> float:
        passed = max(now - bucket.at, 0.0)
        return min(self._rate.burst, bucket.left + passed * self._rate.per_second)
