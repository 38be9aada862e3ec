"""Admission while it runs: who waits is told in time, and nobody is left behind."""

from __future__ import annotations

import asyncio

from callout.admission import Admission, State, Ticket
from callout.admission_settings import AdmissionSettings, Rate
from callout.doorway import Doorway
from callout.policy.model import Priority


def doorway(*, at_once: int = 1, rate: Rate | None = None, most: int = 64) -> Doorway:
    settings = AdmissionSettings(at_once=at_once, kept_free=0, least=0, address=rate)
    return Doorway(Admission(settings, most=most))


def ticket(seconds: float = 5, priority: Priority = Priority.NORMAL) -> Ticket:
    deadline = asyncio.get_running_loop().time() + seconds
    return Ticket(directory="okta", address="192.0.2.1", priority=priority, deadline=deadline)


def test_the_next_one_is_told_when_one_leaves() -> None:
    async def run() -> None:
        door = doorway()
        first, second = ticket(), ticket()
        assert await door.enter(first)
        entering = asyncio.create_task(door.enter(second))
        await asyncio.sleep(0)
        assert (door.working, door.waiting) == (1, 1)
        door.leave(first)
        assert await entering
        door.leave(second)
        assert (door.working, door.waiting) == (0, 0)

    asyncio.run(run())


def test_who_waits_in_vain_is_told_at_his_deadline() -> None:
    async def run() -> None:
        door = doorway()
        assert await door.enter(ticket())
        assert not await asyncio.wait_for(door.enter(ticket(0.05)), 5)
        assert door.waiting == 0

    asyncio.run(run())


def test_a_rate_lets_in_later() -> None:
    async def run() -> None:
        door = doorway(at_once=10, rate=Rate(per_second=20, burst=1))
        entered = await asyncio.wait_for(asyncio.gather(*(door.enter(ticket()) for _ in range(4))), 5)
        assert entered == [True] * 4

    asyncio.run(run())


def test_a_sooner_deadline_than_the_one_waited_for_is_kept() -> None:
    async def run() -> None:
        door = doorway()
        assert await door.enter(ticket())
        later = asyncio.create_task(door.enter(ticket(5)))
        await asyncio.sleep(0)
        assert not await asyncio.wait_for(door.enter(ticket(0.05)), 2)
        later.cancel()
        await asyncio.wait({later})

    asyncio.run(run())


def test_who_is_cancelled_takes_nobodys_place() -> None:
    async def run() -> None:
        door = doorway()
        first, gone, last = ticket(), ticket(), ticket()
        assert await door.enter(first)
        going = asyncio.create_task(door.enter(gone))
        staying = asyncio.create_task(door.enter(last))
        await asyncio.sleep(0)
        # It is his turn already, and he does not know it yet.
        door.leave(first)
        going.cancel()
        await asyncio.wait({going})
        assert gone.state is State.OVER
        assert await staying
        door.leave(last)
        assert (door.working, door.waiting) == (0, 0)

    asyncio.run(run())


def test_who_makes_room_for_a_better_class_is_told_at_once() -> None:
    async def run() -> None:
        door = doorway(most=2)
        first = ticket()
        assert await door.enter(first)
        low = asyncio.create_task(door.enter(ticket(priority=Priority.LOW)))
        await asyncio.sleep(0)
        best = asyncio.create_task(door.enter(ticket(priority=Priority.CRITICAL)))
        assert not await asyncio.wait_for(low, 1)
        door.leave(first)
        assert await best

    asyncio.run(run())
