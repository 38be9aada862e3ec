"""Who is worked on now, who waits, and who is told no at once, when more log in than can be answered.

Pure; for one thread. Times are handed in, on one clock that does not go back. The rules:

1. Nobody is begun whose server will have given up before there can be an answer.
2. Of one directory so many are under way at once: a slow one holds up nobody else's.
3. A rate counts what is begun, of a directory, an account or an address.
4. Who cannot begin waits; the better class goes first, and in a class the shortest deadline.
5. All together there are so many. Beyond it, who waits makes room for a better class, or for one of the
   same class that need not wait; else the newcomer is told no. The last places are for the better classes.

Whoever waits lies in one place only: at the room of a directory that is full, or at the rate that is
used up. What he lacks may come while he lacks something else by then; then he lies down there.
"""

from __future__ import annotations

import heapq
from enum import Enum
from typing import Final, NamedTuple

from callout.admission_settings import AdmissionSettings
from callout.buckets import Buckets
from callout.policy.model import Priority

RANKS: Final = {priority: rank for rank, priority in enumerate(Priority)}
"""0 goes first."""
_FAVOURED: Final = RANKS[Priority.HIGH]
"""This rank and those before it may use what is kept free."""
_LEAST_PAUSE: Final = 0.001


class State(Enum):
    """What has become of a login."""

    NEW = "new"
    WAITING = "waiting"
    BEGUN = "begun"
    SHED = "shed"
    OVER = "over"


class Ticket:
    """One login on its way in."""

    __slots__ = ("begun", "came", "latest", "names", "number", "rank", "state")

    def __init__(
        self,
        *,
        directory: str,
        account: str = "",
        address: str = "",
        priority: Priority = Priority.NORMAL,
        deadline: float,
    ) -> None:
        """An empty name is held to no rate. After `deadline` an answer is worth nothing."""
        self.names = (directory, account, address)
        self.rank = RANKS[priority]
        self.latest = deadline
        """After this moment it is not begun; `Admission.come` takes off what a decision needs."""
        self.number = 0
        self.state = State.NEW
        self.came = 0.0
        self.begun = 0.0


class _Place(NamedTuple):
    """Where a ticket lies in a queue; the least goes first."""

    rank: int
    at: float
    number: int
    ticket: Ticket


class _Room:
    """The logins of one directory."""

    __slots__ = ("queue", "working")

    def __init__(self) -> None:
        self.working = 0
        self.queue: list[_Place] = []


class Admission:
    """All logins of one process.

    Every call returns the tickets that it decided: their state is `BEGUN` or `SHED`. Who has begun
    must `leave`; who waits may.
    """

    def __init__(self, settings: AdmissionSettings, *, most: int) -> None:
        """`most` are waiting or under way at once."""
        self._settings = settings
        self._most = most
        self._reserve = min(settings.reserve, most // 8)
        self._rates = [
            (kind, Buckets(rate))
            for kind, rate in enumerate((settings.directory, settings.account, settings.address))
            if rate is not None
        ]
        self._buckets = dict(self._rates)
        self._rooms: dict[str, _Room] = {}
        self._dams: dict[tuple[int, str], list[_Place]] = {}
        """Who waits for a rate, by its kind and whose it is."""
        self._wakes: list[tuple[float, int, str]] = []
        """When the next of each dam may go."""
        self._ends: list[_Place] = []
        """When each who waits has waited in vain."""
        self._worst: list[list[_Place]] = [[] for _ in Priority]
        """Who waits, by rank; the longest deadline first."""
        self._count = 0
        self._decided: list[Ticket] = []
        self.waiting = 0
        self.working = 0

    def come(self, ticket: Ticket, *, now: float) -> list[Ticket]:
        """Take in one that is new."""
        self._count += 1
        ticket.number = self._count
        ticket.came = now
        ticket.latest -= self._settings.least
        if self._ends or self._wakes:
            self._wake(now)
        if self.waiting + self.working >= self._bound(ticket.rank) and not self._make_room(ticket, now):
            ticket.state = State.SHED
            self._decided.append(ticket)
        else:
            self._settle(ticket, now)
        return self._told()

    def leave(self, ticket: Ticket, *, now: float) -> list[Ticket]:
        """Its work is done, or it waits no more. Harmless when there was nothing left to end."""
        match ticket.state:
            case State.BEGUN:
                self.working -= 1
                name = ticket.names[0]
                room = self._rooms[name]
                room.working -= 1
                self._pump(room, now)
                if not room.working and not room.queue:
                    del self._rooms[name]
            case State.WAITING:
                self.waiting -= 1
            case _:
                return []
        ticket.state = State.OVER
        return self._told()

    def wake(self, *, now: float) -> list[Ticket]:
        """Look again, at the time that `next_wake` told, or at any other."""
        self._wake(now)
        return self._told()

    def next_wake(self) -> float | None:
        """When something will change by itself; None: never."""
        _prune(self._ends)
        times = [self._ends[0].at] if self._ends else []
        if self._wakes:
            times.append(self._wakes[0][0])
        return min(times) if times else None

    # --- places ------------------------------------------------------------------------------------

    def _settle(self, ticket: Ticket, now: float) -> None:
        """Begin it, or lay it where what it lacks will come, or tell it no."""
        if now >= ticket.latest:
            self._shed(ticket)
            return
        for kind, buckets in self._rates:
            name = ticket.names[kind]
            if not name:
                continue
            at = buckets.next(name, now=now)
            if at >= ticket.latest:
                self._shed(ticket)
                return
            if at > now:
                self._lie_at_dam(ticket, kind, name, at)
                return
        room = self._rooms.get(ticket.names[0])
        if room is None:
            room = self._rooms[ticket.names[0]] = _Room()
        if room.working >= self._slots(ticket.rank):
            self._lie(room.queue, ticket)
            return
        for kind, buckets in self._rates:
            if ticket.names[kind]:
                buckets.take(ticket.names[kind], now=now)
        room.working += 1
        self.working += 1
        if ticket.state is State.WAITING:
            self.waiting -= 1
        ticket.state = State.BEGUN
        ticket.begun = now
        self._decided.append(ticket)

    def _lie_at_dam(self, ticket: Ticket, kind: int, name: str, at: float) -> None:
        dam = self._dams.get((kind, name))
        if dam is None:
            dam = self._dams[kind, name] = []
            heapq.heappush(self._wakes, (at, kind, name))
        self._lie(dam, ticket)

    def _lie(self, queue: list[_Place], ticket: Ticket) -> None:
        self._push(queue, _Place(ticket.rank, ticket.latest, ticket.number, ticket))
        if ticket.state is State.WAITING:
            return
        ticket.state = State.WAITING
        self.waiting += 1
        self._push(self._ends, _Place(0, ticket.latest, ticket.number, ticket))
        self._push(self._worst[ticket.rank], _Place(0, -ticket.latest, -ticket.number, ticket))

    def _push(self, queue: list[_Place], place: _Place) -> None:
        # Who has left is only found at the front; in a storm that does not end they would pile up.
        if len(queue) > 2 * self._most:
            queue[:] = [each for each in queue if each.ticket.state is State.WAITING]
            heapq.heapify(queue)
        heapq.heappush(queue, place)

    def _shed(self, ticket: Ticket) -> None:
        if ticket.state is State.WAITING:
            self.waiting -= 1
        ticket.state = State.SHED
        self._decided.append(ticket)

    # --- who goes next -----------------------------------------------------------------------------

    def _wake(self, now: float) -> None:
        _prune(self._ends)
        while self._ends and self._ends[0].at <= now:
            self._shed(heapq.heappop(self._ends).ticket)
            _prune(self._ends)
        while self._wakes and self._wakes[0][0] <= now:
            _, kind, name = heapq.heappop(self._wakes)
            # Out of the way, so that who lies down here again is not looked at twice.
            dam = self._dams.pop((kind, name))
            buckets = self._buckets[kind]
            while dam and (at := buckets.next(name, now=now)) <= now:
                ticket = heapq.heappop(dam).ticket
                if ticket.state is State.WAITING:
                    self._settle(ticket, now)
            _prune(dam)
            if dam:
                self._dams[kind, name] = dam
                heapq.heappush(self._wakes, (max(at, now + _LEAST_PAUSE), kind, name))

    def _pump(self, room: _Room, now: float) -> None:
        queue = room.queue
        while queue:
            ticket = queue[0].ticket
            if ticket.state is State.WAITING and room.working >= self._slots(ticket.rank):
                return
            heapq.heappop(queue)
            if ticket.state is State.WAITING:
                self._settle(ticket, now)

    def _make_room(self, ticket: Ticket, now: float) -> bool:
        """Tell no to one who waits, for the sake of a newcomer."""
        for rank in range(len(self._worst) - 1, ticket.rank - 1, -1):
            queue = self._worst[rank]
            _prune(queue)
            if queue and (rank > ticket.rank or self._need_not_wait(ticket, now)):
                self._shed(heapq.heappop(queue).ticket)
                return True
        return False

    def _need_not_wait(self, ticket: Ticket, now: float) -> bool:
        room = self._rooms.get(ticket.names[0])
        if room is not None and room.working >= self._slots(ticket.rank):
            return False
        return all(
            not ticket.names[kind] or buckets.next(ticket.names[kind], now=now) <= now
            for kind, buckets in self._rates
        )

    def _slots(self, rank: int) -> int:
        settings = self._settings
        return settings.at_once - (0 if rank <= _FAVOURED else settings.reserve)

    def _bound(self, rank: int) -> int:
        return self._most - (0 if rank <= _FAVOURED else self._reserve)

    def _told(self) -> list[Ticket]:
        decided, self._decided = self._decided, []
        return decided


def _prune(queue: list[_Place]) -> None:
    """Who does not wait any more goes from the front."""
    while queue and queue[0].ticket.state is not State.WAITING:
        heapq.heappop(queue)
