"""Many deadlines, one timer: connections wait in slots of a fiftieth of a second.

Nothing is ever taken out early; whoever is called looks whether the matter still stands. That
makes a connection that comes and goes cost two appends, not two timers.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Final

Clock = Callable[[], float]

SLOTS_A_SECOND: Final = 50


class Wheel:
    """Actions by the slot of time they are due in."""

    __slots__ = ("_order", "_slots")

    def __init__(self) -> None:
        self._order: list[int] = []
        self._slots: dict[int, list[Callable[[float], None]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def add(self, due: float, action: Callable[[float], None]) -> None:
        """Call `action` with the time, at the end of the slot that holds `due`."""
        slot = int(due * SLOTS_A_SECOND) + 1
        waiting = self._slots.get(slot)
        if waiting is None:
            waiting = self._slots[slot] = []
            heapq.heappush(self._order, slot)
        waiting.append(action)

    def next(self) -> float | None:
        """When there is something to do again."""
        return self._order[0] / SLOTS_A_SECOND if self._order else None

    def due(self, now: float) -> Iterator[Callable[[float], None]]:
        """What is to be done by now, oldest first."""
        current = int(now * SLOTS_A_SECOND)
        while self._order and self._order[0] <= current:
            yield from self._slots.pop(heapq.heappop(self._order))
