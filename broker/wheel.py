"""Many deadlines, one timer: connections wait in slots of a tenth of a second.

Nothing is ever taken out early; whoever is called looks whether the matter still stands. That
makes a connection that comes and goes cost two appends, not two timers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

Clock = Callable[[], float]

SLOTS_A_SECOND: Final = 10


class Wheel:
    """Actions by the slot of time they are due in."""

    __slots__ = ("_slots",)

    def __init__(self) -> None:
        self._slots: dict[int, list[Callable[[float], None]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def add(self, due: float, action: Callable[[float], None]) -> None:
        """Call `action` with the time, at the end of the slot that holds `due`."""
        self._slots.setdefault(int(due * SLOTS_A_SECOND) + 1, []).append(action)

    def due(self, now: float) -> Iterator[Callable[[float], None]]:
        """What is to be done by now, oldest first."""
        current = int(now * SLOTS_A_SECOND)
        for slot in sorted(slot for slot in self._slots if slot <= current):
            yield from self._slots.pop(slot)
