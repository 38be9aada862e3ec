"""Deliveries to the real nats-server, and what an unmodified client notices of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats.errors
import pytest
from nats.aio.client import Client

from issuer.delivery import fleet
from issuer.delivery.ledger import DeliveryReport
from issuer.delivery.lookup import answer_lookups
from issuer.delivery.progress import State
from issuer.delivery.pusher import Pusher
from issuer.delivery.system_account import NatsSystemAccount, connect_system_account
from issuer.errors import Unavailable
from issuer.keys.creds import format_creds
from issuer.keys.nkeys import Role
from issuer.tokens.envelope import Token
from issuer.tokens.signer import SeedSigner
from tests.issuer.delivery.contract import RULES, Rule
from tests.issuer.delivery.town import Town, signer
from tests.servers import NatsCluster, NatsServer

StartNats = Callable[..., NatsServer]
StartCluster = Callable[..., NatsCluster]


@pytest.fixture
def town(sqlite_url: str) -> Iterator[Town]:
    made = Town(sqlite_url)
    yield made
    made.close()


async def system_of(town: Town, urls: Sequence[str]) -> NatsSystemAccount:
    return await connect_system_account(urls, lambda: town.user("SYS"))


@asynccontextmanager
async def running(town: Town, urls: Sequence[str]) -> AsyncIterator[Pusher]:
    pusher = Pusher.over(
        town.database,
        lambda: system_of(town, urls),
        operator=town.operator.public,
        clock=town.clock,
        who="test",
        deletion_signer=lambda: town.operator,
    )
    stop = asyncio.Event()
    task = asyncio.create_task(pusher.run(stop))
    try:
        yield pusher
    finally:
        stop.set()
        await task
        pusher.close()


async def once(town: Town, urls: Sequence[str], **how: Any) -> list[DeliveryReport]:
    pusher = Pusher.over(
        town.database,
        lambda: system_of(town, urls),
        operator=town.operator.public,
        clock=town.clock,
        who="test",
        deletion_signer=lambda: town.operator,
    )
    try:
        return await pusher.push_once(**{"deadline": 3.0, **how})
    finally:
        pusher.close()


async def until(seen: Callable[[], bool], seconds: float = 20.0) -> None:
    end = asyncio.get_running_loop().time() + seconds
    while not seen():
        assert asyncio.get_running_loop().time() < end, "waited in vain"
        await asyncio.sleep(0.01)


class Visitor:
    """An unmodified nats-py client with a creds file."""

    def __init__(self, town: Town, folder: Path, account: str) -> None:
        # A second ago: a revocation reaches the second it is made in, and nothing later.
        self.token, self.who = town.user(account, ago=2)
        self.creds = folder / f"{self.who.public}.creds"
        self.creds.write_text(format_creds(self.token, self.who._seed), encoding="utf-8")
        self.clients: list[Client] = []
        self.closed = 0

    @property
    def public(self) -> str:
        return self.who.public

    async def connect(self, url: str) -> Client:
        before = self.closed

        async def gone() -> None:
            self.closed += 1

        async def said(error: Exception) -> None:
            del error

        client = Client()
        try:
            await client.connect(
                url,
                user_credentials=str(self.creds),
                closed_cb=gone,
                error_cb=said,
                allow_reconnect=False,
                connect_timeout=5,
            )
        except Exception:
            await client.close()  # the library leaves the socket open
            self.closed = before
            raise
        self.clients.append(client)
        return client

    async def refused(self, url: str) -> bool:
        try:
            client = await self.connect(url)
        except (nats.errors.Error, OSError) as error:
            return "authorization violation" in str(error).lower()
        await client.close()
        return False

    async def leave(self) -> None:
        for client in self.clients:
            with contextlib.suppress(nats.errors.Error):
                await client.close()


@pytest.mark.parametrize("servers", [1, 3])
def test_the_real_servers_keep_the_contract(town: Town, start_cluster: StartCluster, servers: int) -> None:
    cluster = start_cluster(town.config(allow_delete=True), n=servers)

    async def ask(rule: Rule) -> None:
        system = await system_of(town, cluster.urls)
        try:
            # Their routes are up before their system accounts have heard of each other.
            while len(await fleet.roster(system)) < servers:  # noqa: ASYNC110  asking is the only way
                await asyncio.sleep(0.05)
            await rule(system, town, servers)
        finally:
            await system.close()

    for rule in RULES:
        asyncio.run(ask(rule))


@pytest.mark.parametrize("servers", [1, 3])
def test_a_revocation_cuts_the_client_and_keeps_it_out(
    town: Town, start_cluster: StartCluster, tmp_path: Path, servers: int
) -> None:
    cluster = start_cluster(town.config(), n=servers)
    town.add("Orders")

    async def story() -> None:
        async with running(town, cluster.urls) as pusher:
            await until(lambda: not town.pending())
            bob, ann = Visitor(town, tmp_path, "Orders"), Visitor(town, tmp_path, "Orders")
            for url in cluster.urls:
                await bob.connect(url)
                await ann.connect(url)
            pusher.wake(await asyncio.to_thread(town.revoke, "Orders", bob.public))
            await until(lambda: bob.closed == servers)
            assert all("user authentication revoked" in str(c.last_error).lower() for c in bob.clients)
            await until(lambda: not town.pending())
            assert set(town.states("Orders").values()) == {"in-force"}
            assert town.events()[-1] == "delivery.proved"
            for url in cluster.urls:
                assert await bob.refused(url)
            assert ann.closed == 0
            await ann.leave()

    asyncio.run(story())


def test_a_server_that_was_down_during_the_revocation_keeps_the_client_out_soon(
    town: Town, start_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = start_cluster(town.config(interval="1h"), n=3)  # its peers would not tell it in time
    town.add("Orders")

    async def story() -> None:
        async with running(town, [cluster[0].url, cluster[1].url]):
            await until(lambda: not town.pending())
            bob = Visitor(town, tmp_path, "Orders")
            await asyncio.to_thread(cluster[2].stop)
            await bob.connect(cluster[0].url)
            await asyncio.to_thread(town.revoke, "Orders", bob.public)
            await until(lambda: bob.closed == 1)
            await until(lambda: town.states("Orders")["test-2"] == "silent")
            (due,) = town.pending()
            await until(lambda: town.pending()[0].last_words == "waiting for test-2 to be seen again")
            assert due.action == "update"
            await asyncio.to_thread(cluster[2].start)
            await until(lambda: not town.pending())
            assert town.states("Orders")["test-2"] in {"stored", "in-force"}
            assert await bob.refused(cluster[2].url)

    asyncio.run(story())


def test_a_server_restored_from_an_old_disk_is_put_right(
    town: Town, start_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = start_cluster(town.config(interval="1h"), n=3)
    old = town.add("Orders")

    async def story() -> None:
        async with running(town, [cluster[0].url]):
            await until(lambda: not town.pending())
            bob = Visitor(town, tmp_path, "Orders")
            await asyncio.to_thread(town.revoke, "Orders", bob.public)
            await until(lambda: not town.pending())
            await asyncio.to_thread(cluster[2].stop)
            (cluster[2].directory / "jwt" / f"{town.public('Orders')}.jwt").write_text(old, encoding="utf-8")
            await asyncio.to_thread(cluster[2].start)
            await until(lambda: "delivery.lost" in town.events())
            await until(lambda: set(town.states("Orders").values()) <= {"stored", "in-force"})
            assert await bob.refused(cluster[2].url)

    asyncio.run(story())


def test_push_reports_each_server(town: Town, start_cluster: StartCluster) -> None:
    cluster = start_cluster(town.config(), n=3)
    town.add("Orders")
    (report,) = asyncio.run(once(town, cluster.urls))
    assert report.settled
    assert {name: s.state for name, s in report.servers.items()} == {
        f"test-{i}": State.STORED for i in range(3)
    }
    assert all(s.server_id.startswith("N") for s in report.servers.values())
    again = asyncio.run(once(town, cluster.urls, everything=True))
    assert all(report.settled for report in again)


def test_a_token_over_the_limit_is_refused_and_never_shown_as_done(town: Town, start_nats: StartNats) -> None:
    server = start_nats(town.config() + "max_payload: 4096\n", name="small")
    town.add("Orders", description="x" * 5000)
    (report,) = asyncio.run(once(town, [server.url]))
    assert not report.settled
    assert "over the 4096 that the server takes in one message" in report.words
    assert town.events("Orders")[-1] == "delivery.refused"
    assert town.pending()[0].due_at > town.clock() + 30


def test_a_server_that_hangs_up_over_the_size_says_so(town: Town, start_nats: StartNats) -> None:
    server = start_nats(town.config() + "max_payload: 4096\n", name="small")

    async def story() -> None:
        system = await system_of(town, [server.url])
        system._client._max_payload = 1 << 20  # as if the limit had been lowered behind our back
        with pytest.raises(Unavailable, match=r"(?i)maximum payload violation"):
            await fleet.push(system, "x" * 5000, ["N1"])
        await until(lambda: system.closed)
        await system.close()

    asyncio.run(story())


def test_a_full_store_is_a_refusal_in_the_servers_words(town: Town, start_nats: StartNats) -> None:
    server = start_nats(town.config(limit=1), name="full")
    town.add("Orders")
    (report,) = asyncio.run(once(town, [server.url]))
    assert report.words == "full refused: jwt update resulted in error - jwt store is full"
    assert town.states("Orders") == {"full": "refused"}


def test_a_foreign_token_does_not_reach_the_server(town: Town, start_nats: StartNats) -> None:
    server = start_nats(town.config(), name="one")
    good = town.add("Orders")

    async def story() -> None:
        await once(town, [server.url])
        town.change("Orders", by=signer(Role.OPERATOR))
        (report,) = await once(town, [server.url])
        assert "is not trusted by operator Town" in report.words
        system = await system_of(town, [server.url])
        assert (await fleet.lookup(system, town.public("Orders"), expected=1)).stored == (good,)
        assert await fleet.fetch_all(system) == {
            town.public("Orders"): good,
            town.public("SYS"): town.head("SYS"),
        }
        await system.close()

    asyncio.run(story())


def test_a_deleted_account_is_gone_even_where_it_was_missed(
    town: Town, start_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = start_cluster(town.config(allow_delete=True, interval="1s"), n=3)
    town.add("Orders")

    async def story() -> None:
        account = town.public("Orders")
        async with running(town, [cluster[0].url]):
            await until(lambda: not town.pending())
            bob = Visitor(town, tmp_path, "Orders")
            await bob.connect(cluster[0].url)
            await asyncio.to_thread(cluster[2].stop)
            town.delete("Orders")
            await until(lambda: bob.closed == 1)
            await until(lambda: bool(town.pending()[0].last_words))
            assert "account.deletion-proved" not in town.events()
            await asyncio.to_thread(cluster[2].start)
            await until(lambda: "account.deletion-proved" in town.events())
            await asyncio.sleep(2.5)  # two intervals, in which a server could give it back to the others
            system = await system_of(town, [cluster[0].url])
            lists = await fleet.listed(system, {s.id for s in await fleet.roster(system)})
            assert len(lists) == 3
            assert not any(account in accounts for accounts in lists.values())
            await system.close()
            assert await bob.refused(cluster[2].url)

    asyncio.run(story())


def test_a_deletion_the_server_does_not_allow_is_refused(town: Town, start_nats: StartNats) -> None:
    server = start_nats(town.config(), name="keeper")
    town.add("Orders")

    async def story() -> None:
        await once(town, [server.url])
        town.delete("Orders")
        (report,) = await once(town, [server.url])
        assert report.servers["keeper"].state is State.REFUSED
        assert "delete must be enabled in server config" in report.words

    asyncio.run(story())


def test_a_memory_server_is_reached_and_caught_up_when_it_loads(
    town: Town, start_nats: StartNats, tmp_path: Path
) -> None:
    town.add("Orders")
    server = start_nats(town.config("memory", ("Orders",)), name="memory")

    async def story() -> None:
        async with running(town, [server.url]):
            bob = Visitor(town, tmp_path, "Orders")
            await until(lambda: town.states("Orders") == {"memory": "unloaded"})
            await asyncio.to_thread(town.revoke, "Orders", bob.public)
            await until(lambda: bool(town.pending()) and town.pending()[0].attempts > 0)
            # Its configuration lets him in; seeing the account loaded is what tells us to push again.
            with contextlib.suppress(nats.errors.Error):
                await bob.connect(server.url)
            await until(lambda: town.states("Orders") == {"memory": "in-force"})
            await until(lambda: bob.closed == len(bob.clients))
            assert await bob.refused(server.url)

    asyncio.run(story())


def test_a_cache_server_asks_us_for_accounts(town: Town, start_nats: StartNats, tmp_path: Path) -> None:
    server = start_nats(town.config("cache"), name="cache")
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


def test_connections_are_listed_by_user_on_all_servers(
    town: Town, start_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = start_cluster(town.config(), n=3)
    town.add("Orders")

    async def story() -> None:
        await once(town, cluster.urls)
        bob, ann = Visitor(town, tmp_path, "Orders"), Visitor(town, tmp_path, "Orders")
        for url in cluster.urls:
            await bob.connect(url)
        await ann.connect(cluster.urls[0])
        system = await system_of(town, cluster.urls)
        found = await fleet.connections_of(system, town.public("Orders"), bob.public)
        assert sorted(connection.server for connection in found) == ["test-0", "test-1", "test-2"]
        assert {connection.jwt for connection in found} == {bob.token}
        assert len(await fleet.connections_of(system, town.public("Orders"))) == 4
        left = await fleet.still_connected(system, town.public("Orders"), {bob.public: town.clock()})
        assert len(left) == 3
        assert not await fleet.still_connected(system, town.public("Orders"), {bob.public: 1})
        await system.close()
        await bob.leave()
        await ann.leave()

    asyncio.run(story())


def test_wrong_credentials_and_no_server_are_told_apart(town: Town, start_nats: StartNats) -> None:
    server = start_nats(town.config(), name="one")

    def stranger() -> tuple[Token, SeedSigner]:
        town.signers["Stranger"] = signer(Role.ACCOUNT)
        return town.user("Stranger")

    async def story() -> None:
        with pytest.raises(Unavailable, match="refuse our system account credentials"):
            await connect_system_account([server.url], stranger)
        with pytest.raises(Unavailable, match="no connection to the servers"):
            await connect_system_account(["nats://127.0.0.1:1"], lambda: town.user("SYS"))
        system = await connect_system_account(["nats://127.0.0.1:1", server.url], lambda: town.user("SYS"))
        assert len(await fleet.roster(system)) == 1
        await system.close()
        with pytest.raises(Unavailable):
            await fleet.roster(system)

    asyncio.run(story())


def test_a_killed_server_ends_our_connection_and_the_pusher_moves_on(
    town: Town, start_cluster: StartCluster
) -> None:
    cluster = start_cluster(town.config(), n=3)

    async def story() -> None:
        async with running(town, cluster.urls):
            town.add("Orders")
            await until(lambda: not town.pending())
            for server in cluster:  # one of them is the one we are connected to
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
            await asyncio.to_thread(cluster.wait_routes)
            town.change("Orders", description="after")
            await until(lambda: not town.pending())
            assert set(town.states("Orders").values()) <= {"stored", "in-force"}

    asyncio.run(story())
