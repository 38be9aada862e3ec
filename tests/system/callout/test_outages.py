"""What docs/callout/outages.md says, made to happen: on the real server and on ours."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, get_args

import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError

from callout.admission_settings import AdmissionSettings
from callout.answer import Voice
from callout.connection import Connection
from callout.directories.directory import Credentials, Directory
from callout.refusals import DirectoryDownError, Reason
from callout.request import Rules
from callout.responder import Responder, Settings
from issuer.tokens.signer import SeedSigner
from tests.callout.counter import Counter, Names
from tests.system.broker.callout.scene import Server, Which
from tests.system.callout.house import PATIENCE, House, login, serving

BOTH = pytest.mark.parametrize("which", get_args(Which))
DOWN = DirectoryDownError("the directory gives no answer")


@dataclass
class Two(Counter):
    """A second directory, for users whose name begins with `slow`."""

    slow: Names = field(default_factory=lambda: Names({}, name="slow"))

    def choose(self, credentials: Credentials) -> Directory:
        if credentials.user.startswith("slow"):
            return self.slow
        return super().choose(credentials)


@dataclass
class Town(House):
    """A house whose service has an admission, and perhaps a clock of its own."""

    admission: AdmissionSettings = field(default_factory=AdmissionSettings)
    ahead: float = 0.0

    def responder(self, settings: Settings | None = None) -> Responder:
        voice = Voice(account=self.door.public, signer=SeedSigner(self.door), curve=None)
        rules = Rules(account=self.door.public, curve=None)
        self.counter.now = time.time()
        return Responder(
            self.counter.desk(),
            lambda: voice,
            lambda: rules,
            self.counter,
            now=lambda: time.time() + self.ahead,
            settings=settings,
            admission=self.admission,
        )


def staff(**more: Any) -> dict[str, Any]:
    binding = {"match": {"directory": "names"}, "account": "GRID", "roles": ["reader"], **more}
    return {"version": 1, "bindings": [{"name": "staff", **binding}]}


async def in_(server: Server, user: str = "ann") -> Client:
    return await login(server, user=user, password="secret")


async def away(server: Server, user: str = "ann") -> None:
    with pytest.raises(NatsError, match=r"(?i)authorization violation"):
        await in_(server, user)


async def knock(server: Server, user: str) -> None:
    """Try; what it came to is in the book. The client library does not always see a refusal in a crowd."""
    with contextlib.suppress(NatsError, TimeoutError):
        client = await in_(server, user)
        await client.close()


@asynccontextmanager
async def someone_in(server: Server) -> AsyncIterator[Client]:
    """Somebody who came in before, and must not notice anything."""
    client = await in_(server)
    try:
        yield client
        await client.flush(5)
        assert client.is_connected
    finally:
        await client.close()


def reasons(house: House) -> list[Reason | None]:
    return [outcome.reason for _, outcome in house.counter.told]


@BOTH
def test_a_directory_that_is_down_lets_nobody_in_and_who_is_in_does_not_notice(which: Which) -> None:
    house = House()

    async def run() -> None:
        async with serving(house, which) as (server, _), someone_in(server):
            house.counter.directory.fault = DOWN
            await away(server)
            house.counter.directory.fault = None
            await (await in_(server)).close()

    asyncio.run(run())
    assert reasons(house) == [None, Reason.DIRECTORY_DOWN, None]


@BOTH
def test_by_grace_who_was_known_comes_in_and_nobody_else(which: Which) -> None:
    house = House()
    house.counter.directory.people["bob"] = "secret"
    house.counter.policy_data = staff(grace="1h")

    async def run() -> None:
        async with serving(house, which) as (server, _), someone_in(server):
            house.counter.directory.fault = DOWN
            await (await in_(server)).close()
            await away(server, "bob")
            house.counter.now += 3600
            await away(server)

    asyncio.run(run())
    assert reasons(house) == [None, None, Reason.DIRECTORY_DOWN, Reason.DIRECTORY_DOWN]
    first, second = house.counter.written
    assert (first.proved_at, second.first) == (None, True)
    assert second.session.expires_at <= first.session.started_at + 3600


@BOTH
def test_a_slow_directory_does_not_hold_up_another(which: Which) -> None:
    house = Town(timeout=6.0, counter=Two(time.time()), admission=AdmissionSettings(at_once=1, kept_free=0))
    assert isinstance(house.counter, Two)
    slow = house.counter.slow
    slow.wait = 30

    async def run() -> None:
        settings = Settings(patience=6.0, margin=3.0)
        async with serving(house, which, settings=settings) as (server, _):
            crowd = [asyncio.create_task(knock(server, f"slow{number}")) for number in range(4)]
            async with asyncio.timeout(PATIENCE):
                await slow.asked.wait()
            await (await in_(server)).close()
            assert not any(task.done() for task in crowd)
            await asyncio.gather(*crowd)

    asyncio.run(run())
    assert [login_.session.name for login_ in house.counter.written] == ["ann"]
    # One was asked for in vain; the others were not even begun, and told no in time.
    assert sorted(reasons(house)[1:], key=str) == [Reason.OVERLOADED] * 3 + [Reason.TOO_LATE]


@BOTH
def test_in_a_storm_the_better_class_comes_in_first_and_all_are_answered(which: Which) -> None:
    house = Town(timeout=6.0, admission=AdmissionSettings(at_once=1, kept_free=0))
    names = house.counter.directory
    names.people["bob"] = "secret"
    room = {"name": "room", "match": {"subject": "ann"}, "account": "GRID", "roles": ["reader"]}
    rest = {**room, "name": "rest", "match": {"subject": "bob"}}
    house.counter.policy_data = {"version": 1, "bindings": [{**room, "priority": "critical"}, rest]}

    async def run() -> None:
        async with serving(house, which, settings=Settings(patience=6.0)) as (server, _):
            # From now on it is known that she is critical.
            await (await in_(server)).close()
            house.counter.written.clear()
            names.asked.clear()
            names.wait = 0.1
            crowd = [asyncio.create_task(in_(server, "bob")) for _ in range(20)]
            async with asyncio.timeout(PATIENCE):
                await names.asked.wait()
            best = asyncio.create_task(in_(server))
            for client in await asyncio.gather(*crowd, best):
                await client.close()

    asyncio.run(run())
    order = [login_.session.name for login_ in house.counter.written]
    assert len(order) == 21
    # Not behind all who came before her.
    assert order.index("ann") < 15


@BOTH
def test_more_than_can_be_answered_are_told_so_at_once(which: Which) -> None:
    house = Town(timeout=6.0)
    house.counter.directory.wait = 1.0

    async def run() -> None:
        settings = Settings(patience=6.0, most_under_way=3)
        async with serving(house, which, settings=settings) as (server, _):
            arriving = [asyncio.create_task(in_(server)) for _ in range(12)]
            done = await asyncio.gather(*arriving, return_exceptions=True)
            for client in done:
                if isinstance(client, Client):
                    await client.close()
            assert sum(isinstance(each, Client) for each in done) == 3

    asyncio.run(run())
    assert reasons(house)[:9] == [Reason.OVERLOADED] * 9


@BOTH
def test_without_a_service_nobody_comes_in_and_who_is_in_does_not_notice(which: Which) -> None:
    house = House(timeout=1.0)

    async def run() -> None:
        async with serving(house, which) as (server, connection), someone_in(server):
            await connection.close(patience=PATIENCE)
            with pytest.raises((NatsError, TimeoutError)):
                await in_(server)
            again: Connection = house.connection(server.port, house.responder())
            await again.open()
            try:
                await (await in_(server)).close()
            finally:
                await again.close(patience=PATIENCE)

    asyncio.run(run())


@BOTH
@pytest.mark.parametrize(("ahead", "let"), [(3, True), (-3, True), (30, False), (-30, False)])
def test_clocks_may_differ_by_so_much(which: Which, ahead: int, let: bool) -> None:
    house = Town(timeout=1.0, ahead=ahead)

    async def run() -> None:
        async with serving(house, which) as (server, _):
            if let:
                await (await in_(server)).close()
            else:
                with pytest.raises((NatsError, TimeoutError)):
                    await in_(server)

    asyncio.run(run())
    assert reasons(house) == [None if let else Reason.REQUEST_EXPIRED]


@BOTH
def test_another_policy_counts_for_the_next_login_and_who_is_in_does_not_notice(which: Which) -> None:
    house = House()

    async def run() -> None:
        async with serving(house, which) as (server, _), someone_in(server):
            house.counter.policy_data = staff(match={"directory": "others"})
            await away(server)
            house.counter.policy_data = staff()
            await (await in_(server)).close()

    asyncio.run(run())
    assert reasons(house) == [None, Reason.NO_BINDING, None]


@BOTH
def test_guessing_takes_longer_each_time_and_the_right_one_does_not_wait(which: Which) -> None:
    house = House()

    async def run() -> None:
        async with serving(house, which) as (server, connection):
            responder: Any = connection._responder
            pauses: list[float] = []
            refused = responder._slow.refused

            def counted(address: str, *, now: float) -> float:
                pauses.append(refused(address, now=now))
                return pauses[-1]

            responder._slow.refused = counted
            for _ in range(6):
                await away(server, "eve")
            await (await in_(server)).close()
            assert pauses == [0, 0, 0, 0, 0.05, 0.1]

    asyncio.run(run())
