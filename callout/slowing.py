"""How long refusals of one address are held back (callout spec §0.4).

An answer at once lets a guesser try hundreds in a second; none at all costs the server its whole
time-out. So who is refused again and again waits for his answer, longer each time and never long. Pure.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from callout.admission_settings import Slowing
from callout.neighbours import neighbours
from callout.refusals import Reason

MAX_KEPT: Final = 20_000
_OURS: Final = frozenset({Reason.AMBIGUOUS, Reason.GROUPS_INCOMPLETE})
"""Faults of the directory, and not of who shows himself."""


def theirs(reason: Reason) -> bool:
    """Whether a refusal says something about who was refused."""
    return reason not in _OURS and reason.value.partition(".")[0] in {"credentials", "identity"}


class Slow:
    """The refusals of each address in the last while."""

    def __init__(self, settings: Slowing, *, most: int = MAX_KEPT) -> None:
        self._settings = settings
        self._most = most
        self._kept: OrderedDict[str, list[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def refused(self, address: str, *, now: float) -> float:
        """Count one; the seconds its answer should wait."""
        settings = self._settings
        if not address or not settings.longest:
            return 0.0
        name = neighbours(address)
        # More than the longest pause asks for need not be remembered.
        times = [at for at in self._kept.get(name, ()) if at > now - settings.window][-settings.free - 16 :]
        times.append(now)
        self._kept[name] = times
        self._kept.move_to_end(name)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        beyond = len(times) - settings.free
        if beyond <= 0:
            return 0.0
        return min(settings.first * 2.0 ** (beyond - 1), settings.longest)
