"""How often somebody may ask: a token bucket for each, in memory, for as many as there is room for."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import Final

MOST_KEPT: Final = 50_000
_HOST_BITS: Final = 64


class Allowance:
    """`burst` at once, `rate` a second in the long run, for each key. Times are seconds, of any clock."""

    def __init__(self, *, rate: float, burst: int, most: int = MOST_KEPT) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._most = most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def take(self, key: str, *, now: float) -> float:
        """Take one; 0 if it was there, else the seconds until there is one."""
        left, at = self._left.pop(key, (self._burst, now))
        left = min(self._burst, left + max(now - at, 0.0) * self._rate)
        wait = 0.0
        if left >= 1:
            left -= 1
        else:
            wait = (1 - left) / self._rate
        self._left[key] = (left, now)
        if len(self._left) > self._most:
            # The one that asked longest ago has most of its burst back anyway.
            self._left.popitem(last=False)
        return wait


def neighbourhood(address: str) -> str:
    """Whom an address is counted with: of IPv6 everybody in its /64, which one host can have whole."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(found) >> _HOST_BITS << _HOST_BITS, _HOST_BITS)))
    return str(found)
