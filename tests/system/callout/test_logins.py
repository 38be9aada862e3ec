"""Unmodified clients, let in and refused by the service, on the real server and on ours."""

from __future__ import annotations

import asyncio
import time
from typing import get_args

import pytest
from nats.errors import Error as NatsError

from callout.refusals import Reason
from callout.responder import Settings
from tests.system.broker.callout.scene import Which
from tests.system.callout.house import PATIENCE, House, login, serving

BOTH = pytest.mark.parametrize("which", get_args(Which))


async def turned_away(*args: object, **who: str) -> tuple[str, float]:
    """What a refused client learns, and the seconds it took."""
    begun = time.monotonic()
    with pytest.raises(NatsError) as refused:
        await login(*args, **who)  # type: ignore[arg-type]
    return str(refused.value), time.monotonic() - begun


@BOTH
@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
def test_in_by_password_and_under_the_role(which: Which, sealed: bool) -> None:
    house = House(sealed=sealed)

    async def run() -> None:
        async with serving(house, which) as (server, _):
            client = await login(server, user="ann", password="secret")
            inbox = await client.subscribe("_INBOX.test")
            denied: asyncio.Future[str] = asyncio.get_running_loop().create_future()

            async def trouble(error: Exception) -> None:
                if not denied.done():
                    denied.set_result(str(error))

            client._error_cb = trouble
            await client.publish("grid.north", b"x")
            await client.publish("other", b"x")
            async with asyncio.timeout(PATIENCE):
                assert 'permissions violation for publish to "other"' in (await denied).lower()
            assert inbox
            await client.close()

    asyncio.run(run())
    (login_,) = house.counter.written
    assert (login_.session.name, login_.session.account) == ("ann", house.counter.account.public)


@BOTH
def test_a_refusal_is_at_once_and_says_nothing(which: Which) -> None:
    house = House()

    async def run() -> None:
        async with serving(house, which) as (server, _):
            for who in ({"user": "ann", "password": "wrong"}, {"user": "eve", "password": "secret"}, {}):
                words, took = await turned_away(server, **who)
                assert words == "nats: 'Authorization Violation'"
                assert took < house.timeout

    asyncio.run(run())
    reasons = [outcome.reason for _, outcome in house.counter.told]
    assert reasons == [Reason.CREDENTIALS_WRONG, Reason.CREDENTIALS_WRONG, Reason.NO_DIRECTORY]
    assert house.counter.written == []


@BOTH
def test_a_directory_that_hangs_does_not_make_the_server_wait_in_vain(which: Which) -> None:
    house = House(timeout=6.0)
    house.counter.directory.wait = 30

    async def run() -> None:
        async with serving(house, which, settings=Settings(patience=6.0, margin=5.0)) as (server, _):
            words, took = await turned_away(server, user="ann", password="secret")
            assert words == "nats: 'Authorization Violation'"
            assert took < house.timeout

    asyncio.run(run())
    assert [outcome.reason for _, outcome in house.counter.told] == [Reason.TOO_LATE]


@BOTH
def test_who_is_under_way_when_the_service_ends_is_still_let_in(which: Which) -> None:
    house = House(timeout=6.0)
    house.counter.directory.wait = 0.5

    async def run() -> None:
        async with serving(house, which) as (server, connection):
            arriving = asyncio.create_task(login(server, user="ann", password="secret"))
            async with asyncio.timeout(PATIENCE):
                await house.counter.directory.asked.wait()
            await connection.close(patience=PATIENCE)
            client = await arriving
            await client.flush()
            await client.close()

    asyncio.run(run())
    assert len(house.counter.written) == 1
