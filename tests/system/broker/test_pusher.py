"""Deliveries to our own broker: the pusher finds in it what it finds in nats-server, and nothing special."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import nats.errors
import pytest

from issuer.delivery import fleet
from issuer.delivery.lookup import answer_lookups
from issuer.delivery.progress import State
from issuer.tokens.envelope import Token
from tests.issuer.delivery.contract import RULES, Rule
from tests.issuer.delivery.town import Town
from tests.servers import NatsServer
from tests.system.broker.pair import starter
from tests.system.test_delivery import Visitor, once, running, system_of, until

Start = Callable[..., NatsServer]


@pytest.fixture
def town(sqlite_url: str) -> Iterator[Town]:
    made = Town(sqlite_url)
    yield made
    made.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start(config, **)`: our broker as a process of its own."""
    with starter(tmp_path) as started:
        yield lambda config, **how: started("ours", config, **how)


@pytest.fixture
def keeper(town: Town, start: Start) -> NatsServer:
    return start(town.config(allow_delete=True), name="keeper")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_it_keeps_the_contract(rule: Rule, town: Town, keeper: NatsServer) -> None:
    async def ask() -> None:
        system = await system_of(town, [keeper.url])
        try:
            await rule(system, town, 1)
        finally:
            await system.close()

    asyncio.run(ask())


def test_a_revocation_cuts_the_client_and_keeps_it_out(
    town: Town, keeper: NatsServer, tmp_path: Path
) -> None:
    town.add("Orders")

    async def story() -> None:
        async with running(town, [keeper.url]) as pusher:
            await until(lambda: not town.pending())
            bob, ann = Visitor(town, tmp_path, "Orders"), Visitor(town, tmp_path, "Orders")
            await bob.connect(keeper.url)
            await ann.connect(keeper.url)
            pusher.wake(await asyncio.to_thread(town.revoke, "Orders", bob.public))
            await until(lambda: bob.closed == 1)
            assert "user authentication revoked" in str(bob.clients[0].last_error).lower()
            await until(lambda: not town.pending())
            assert town.states("Orders") == {"keeper": "in-force"}
            assert town.events()[-1] == "delivery.proved"
            assert await bob.refused(keeper.url)
            assert ann.closed == 0
            await ann.leave()

    asyncio.run(story())


def test_a_restarted_broker_is_found_to_hold_what_it_held(town: Town, keeper: NatsServer) -> None:
    town.add("Orders")
    (report,) = asyncio.run(once(town, [keeper.url]))
    assert report.settled
    before = report.servers["keeper"].server_id
    keeper.restart()
    again = asyncio.run(once(town, [keeper.url], everything=True))
    assert all(report.settled for report in again)
    assert all(report.servers["keeper"].server_id != before for report in again)


def test_a_full_store_is_a_refusal_in_the_servers_words(town: Town, start: Start) -> None:
    server = start(town.config(limit=1), name="full")
    town.add("Orders")
    (report,) = asyncio.run(once(town, [server.url]))
    assert report.words == "full refused: jwt update resulted in error - jwt store is full"
    assert town.states("Orders") == {"full": "refused"}


def test_a_token_over_the_limit_is_never_shown_as_done(town: Town, start: Start) -> None:
    server = start(town.config() + "max_payload: 4096\n", name="small")
    town.add("Orders", description="x" * 5000)
    (report,) = asyncio.run(once(town, [server.url]))
    assert not report.settled
    assert "over the 4096 that the server takes in one message" in report.words


def test_a_deleted_account_is_proved_to_be_gone(town: Town, keeper: NatsServer, tmp_path: Path) -> None:
    town.add("Orders")

    async def story() -> None:
        async with running(town, [keeper.url]):
            await until(lambda: not town.pending())
            bob = Visitor(town, tmp_path, "Orders")
            await bob.connect(keeper.url)
            await asyncio.to_thread(town.delete, "Orders")
            await until(lambda: bob.closed == 1)
            await until(lambda: "account.deletion-proved" in town.events())
            assert await bob.refused(keeper.url)

    asyncio.run(story())


def test_a_deletion_that_is_not_allowed_is_refused(town: Town, start: Start) -> None:
    server = start(town.config(), name="keeper")
    town.add("Orders")

    async def story() -> None:
        await once(town, [server.url])
        town.delete("Orders")
        (report,) = await once(town, [server.url])
        assert report.servers["keeper"].state is State.REFUSED
        assert "delete must be enabled in server config" in report.words

    asyncio.run(story())


def test_one_with_its_accounts_in_memory_is_caught_up_when_it_loads(
    town: Town, start: Start, tmp_path: Path
) -> None:
    town.add("Orders")
    server = start(town.config("memory", ("Orders",)), name="memory")

    async def story() -> None:
        async with running(town, [server.url]):
            bob = Visitor(town, tmp_path, "Orders")
            await until(lambda: town.states("Orders") == {"memory": "unloaded"})
            await asyncio.to_thread(town.revoke, "Orders", bob.public)
            await until(lambda: bool(town.pending()) and town.pending()[0].attempts > 0)
            with contextlib.suppress(nats.errors.Error):
                await bob.connect(server.url)
            await until(lambda: town.states("Orders") == {"memory": "in-force"})
            await until(lambda: bob.closed == len(bob.clients))
            assert await bob.refused(server.url)

    asyncio.run(story())


@pytest.mark.parametrize("kind", ["cache", "full"])
def test_who_lacks_an_account_asks_us_for_it(kind: str, town: Town, start: Start, tmp_path: Path) -> None:
    server = start(town.config(kind), name=kind)
    tokens: dict[str, Token] = {}

    async def story() -> None:
        system = await system_of(town, [server.url])
        await answer_lookups(system, tokens.get)
        tokens[str(town.public("SYS"))] = Token(town.head("SYS"))
        token = town.add("Orders")
        tokens[str(town.public("Orders"))] = token
        bob = Visitor(town, tmp_path, "Orders")
        await bob.connect(server.url)
        (effect,) = await fleet.applied(system, town.public("Orders"), [])
        assert effect.token == token
        (report,) = await once(town, [server.url])
        assert report.settled
        tokens[str(town.public("Orders"))] = await asyncio.to_thread(town.revoke, "Orders", bob.public)
        (report,) = await once(town, [server.url])
        assert report.settled
        await until(lambda: bob.closed == 1)
        assert await bob.refused(server.url)
        await system.close()

    asyncio.run(story())


def test_connections_are_listed_by_user(town: Town, keeper: NatsServer, tmp_path: Path) -> None:
    town.add("Orders")

    async def story() -> None:
        await once(town, [keeper.url])
        bob, ann = Visitor(town, tmp_path, "Orders"), Visitor(town, tmp_path, "Orders")
        await bob.connect(keeper.url)
        await ann.connect(keeper.url)
        system = await system_of(town, [keeper.url])
        (found,) = await fleet.connections_of(system, town.public("Orders"), bob.public)
        assert (found.jwt, found.server) == (bob.token, "keeper")
        assert len(await fleet.connections_of(system, town.public("Orders"))) == 2
        left = await fleet.still_connected(system, town.public("Orders"), {bob.public: town.clock()})
        assert [connection.authorized_user for connection in left] == [bob.public]
        assert not await fleet.still_connected(system, town.public("Orders"), {bob.public: 1})
        await system.close()
        await bob.leave()
        await ann.leave()

    asyncio.run(story())
