"""The servers of the system account: those that answer, those that say they are there, and no others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from issuer.delivery import fleet as questions
from issuer.keys.nkeys import Role, Seed
from tests.fleet_simulator import SimulatedFleet
from web.calling import roster
from web.calling.roster import ServerRoster


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "QUIET_SECONDS", 0.03)
    monkeypatch.setattr(roster, "AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(roster, "WATCH_SECONDS", 0.01)


@asynccontextmanager
async def following(fleet: SimulatedFleet) -> AsyncIterator[ServerRoster]:
    known, stop = ServerRoster(fleet.connect), asyncio.Event()
    task = asyncio.create_task(known.run(stop))
    try:
        async with asyncio.timeout(10):
            yield known
    finally:
        stop.set()
        await task


async def _met(known: ServerRoster, server: str) -> None:
    for _ in range(500):
        if await known.meet(server):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("never met")


def test_those_who_answer_are_known_and_a_stranger_is_not() -> None:
    async def story() -> None:
        fleet = SimulatedFleet(Seed.generate(Role.OPERATOR).public, "a", "b")
        async with following(fleet) as known:
            await known.met.wait()
            assert known.servers == {server.id for server in fleet.up()}
            assert await known.meet(fleet["a"].id)
            assert not await known.meet(Seed.generate(Role.SERVER).public)

    asyncio.run(story())


def test_a_server_that_joins_is_met_when_it_asks() -> None:
    async def story() -> None:
        fleet = SimulatedFleet(Seed.generate(Role.OPERATOR).public, "a", "b")
        await fleet.stop("b")
        async with following(fleet) as known:
            await known.met.wait()
            await fleet.start("b")
            joined = fleet["b"].id
            await _met(known, joined)
            assert joined in known.servers

    asyncio.run(story())


def test_strangers_cannot_make_us_ask_all_servers_at_every_question() -> None:
    async def story() -> None:
        fleet = SimulatedFleet(Seed.generate(Role.OPERATOR).public, "a")
        async with following(fleet) as known:
            await known.met.wait()
            asked = 0
            real = questions.roster

            async def counted(*args: object, **how: object) -> object:
                nonlocal asked
                asked += 1
                return await real(*args, **how)  # type: ignore[arg-type]

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(questions, "roster", counted)
                strangers = [Seed.generate(Role.SERVER).public for _ in range(200)]
                await asyncio.gather(*(known.meet(stranger) for stranger in strangers))
                assert asked <= 1

    asyncio.run(story())


def test_a_lost_connection_is_made_anew() -> None:
    async def story() -> None:
        fleet = SimulatedFleet(Seed.generate(Role.OPERATOR).public, "a", "b")
        await fleet.stop("b")
        async with following(fleet) as known:
            await known.met.wait()
            fleet.cut_off()
            await fleet.start("b")
            await _met(known, fleet["b"].id)

    asyncio.run(story())
