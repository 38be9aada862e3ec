"""Stories of deliveries to servers that behave and servers that do not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from issuer.claims.user import new_user
from issuer.delivery import fleet as questions
from issuer.delivery.guard import OversizeToken
from issuer.delivery.ledger import DeliveryReport
from issuer.delivery.progress import State
from issuer.delivery.pusher import Pace, Pusher
from issuer.errors import Unavailable
from issuer.keys.nkeys import Role
from issuer.tokens.envelope import Token
from tests.fleet_simulator import SimulatedFleet
from tests.issuer.delivery.town import Town, signer

QUICK = Pace(poll=0.005, query=0.02, roster=0.02, gather=0.005, look_again=0.3, finish=0.5, ahead=0.001)
Story = Callable[[], Awaitable[None]]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "QUIET_SECONDS", 0.03)


def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait long for servers that will not answer."""
    monkeypatch.setattr(questions, "SLOW_SECONDS", 0.1)
    for function in (questions.push, questions.applied, questions.listed, questions.delete):
        assert function.__kwdefaults__ is not None
        monkeypatch.setitem(function.__kwdefaults__, "deadline", 0.1)


def pusher(town: Town, fleet: SimulatedFleet, **how: Any) -> Pusher:
    how = {"deletion_signer": lambda: town.operator, "pace": QUICK, **how}
    return Pusher(town.ledger(), fleet.connect, clock=town.clock, **how)


@asynccontextmanager
async def running(town: Town, fleet: SimulatedFleet, **how: Any) -> AsyncIterator[Pusher]:
    made = pusher(town, fleet, **how)
    stop = asyncio.Event()
    task = asyncio.create_task(made.run(stop))
    try:
        yield made
    finally:
        stop.set()
        await task
        made.close()


async def until(seen: Callable[[], bool], seconds: float = 8.0) -> None:
    end = asyncio.get_running_loop().time() + seconds
    while not seen():
        assert asyncio.get_running_loop().time() < end, "waited in vain"
        await asyncio.sleep(0.01)


async def once(town: Town, fleet: SimulatedFleet, *accounts: str, **how: Any) -> list[DeliveryReport]:
    made = pusher(town, fleet)
    chosen = [town.public(name) for name in accounts] or None
    try:
        return await made.push_once(chosen, **{"deadline": 0.3, **how})
    finally:
        made.close()


def three(town: Town, **how: Any) -> SimulatedFleet:
    fleet = SimulatedFleet(town.operator.public, "a", "b", "c", **how)
    for server in fleet.up():  # as their configuration has it
        server.stored[town.public("SYS")] = town.head("SYS")
    return fleet


def test_a_push_reaches_everybody_and_is_settled(town: Town) -> None:
    token = town.add("Orders")
    fleet = three(town)
    (report,) = asyncio.run(once(town, fleet))
    assert report.settled
    assert {name: s.state for name, s in report.servers.items()} == dict.fromkeys("abc", State.STORED)
    assert [fleet[name].stored[town.public("Orders")] for name in "abc"] == [token] * 3
    assert town.pending() == []
    assert town.states("Orders") == dict.fromkeys("abc", "stored")
    assert town.events()[-1] == "delivery.proved"


def test_it_is_in_force_where_it_is_loaded(town: Town) -> None:
    town.add("Orders")

    async def story() -> None:
        fleet = three(town)
        await once(town, fleet)
        await fleet.load("b", town.public("Orders"))
        token = town.change("Orders", description="new")
        (report,) = await once(town, fleet)
        assert report.settled
        assert [s.state for s in report.servers.values()] == [State.STORED, State.IN_FORCE, State.STORED]
        assert fleet["b"].loaded[town.public("Orders")] == token

    asyncio.run(story())


def test_a_server_that_acknowledges_and_rolls_back_is_not_done(town: Town) -> None:
    town.add("Orders")

    async def story() -> None:
        fleet = three(town)
        await once(town, fleet)
        await fleet.load("b", town.public("Orders"))
        fleet["b"].rolls_back = True
        town.change("Orders", description="new")
        (report,) = await once(town, fleet)
        assert not report.settled
        assert report.servers["b"].state is State.AWAITED
        assert "b awaited: applies another token" in report.words
        assert len(town.pending()) == 1
        fleet["b"].rolls_back = False
        (report,) = await once(town, fleet)
        assert report.settled

    asyncio.run(story())


def test_a_refusal_is_recorded_with_its_words_and_not_repeated_in_a_loop(town: Town) -> None:
    town.add("Orders")

    async def story() -> None:
        fleet = three(town)
        fleet["c"].refuses = "jwt update resulted in error - jwt store is full"
        async with running(town, fleet):
            await until(lambda: "delivery.refused" in town.events())
            await asyncio.sleep(0.2)
        assert fleet["c"].pushes.count(town.head("Orders")) == 1
        assert town.states("Orders") == {"a": "stored", "b": "stored", "c": "refused"}
        (due,) = town.pending()
        assert due.last_words == "c refused: jwt update resulted in error - jwt store is full"
        assert due.due_at > town.clock() + 30
        assert town.events("Orders").count("delivery.refused") == 1
        assert "delivery.proved" not in town.events("Orders")

    asyncio.run(story())


def test_one_that_does_not_answer_is_silent_and_tried_again(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    short(monkeypatch)
    monkeypatch.setattr(questions, "PING_SECONDS", 0.05)
    town.add("Orders")

    async def story() -> None:
        fleet = three(town)
        fleet["b"].silent = True
        (report,) = await once(town, fleet, deadline=0.1)
        assert report.servers["b"].state is State.SILENT
        assert not report.settled
        fleet["b"].silent = False
        (report,) = await once(town, fleet)
        assert report.settled

    asyncio.run(story())


def test_a_slow_server_is_waited_for(town: Town) -> None:
    town.add("Orders")

    async def story() -> None:
        fleet = three(town)
        fleet["b"].lag = 0.02
        (report,) = await once(town, fleet)
        assert report.settled

    asyncio.run(story())


def test_a_known_server_that_is_away_is_waited_for_and_served_when_seen(town: Town) -> None:
    town.add("Orders")

    async def story() -> None:
        fleet = three(town)
        async with running(town, fleet):
            await until(lambda: not town.pending())
            await fleet.stop("c")
            token = town.change("Orders", description="while c was away")
            await until(
                lambda: town.states("Orders").get("a") == "stored" and bool(town.pending()[0].last_words)
            )
            assert town.states("Orders")["c"] == "silent"
            assert town.pending()[0].last_words == "waiting for c to be seen again"
            await fleet.start("c")
            await until(lambda: not town.pending())
            assert fleet["c"].stored[town.public("Orders")] == token
            assert set(town.states("Orders").values()) == {"stored"}

    asyncio.run(story())


def test_a_restarted_server_with_an_old_store_is_brought_up_to_date(town: Town) -> None:
    old = town.add("Orders")

    async def story() -> None:
        fleet = three(town)
        async with running(town, fleet):
            await until(lambda: not town.pending())
            new = town.change("Orders", description="new")
            await until(lambda: not town.pending())
            await fleet.stop("b")
            fleet["b"].stored[town.public("Orders")] = old  # a disk from a backup
            await fleet.start("b")
            await until(lambda: fleet["b"].stored[town.public("Orders")] == new)
            await until(lambda: set(town.states("Orders").values()) == {"stored"})
            assert "delivery.lost" in town.events()

    asyncio.run(story())


def test_a_server_never_seen_before_gets_every_account(town: Town) -> None:
    town.add("Orders")
    town.add("Bills")

    async def story() -> None:
        fleet = three(town)
        async with running(town, fleet):
            await until(lambda: not town.pending())
            await fleet.start("d")
            await until(lambda: len(fleet["d"].stored) == 3)
            await until(lambda: town.states("Bills").get("d") == "stored")

    asyncio.run(story())


def test_a_deletion_is_repeated_until_nobody_has_the_account(town: Town) -> None:
    town.add("Orders")

    async def story() -> None:
        fleet = three(town)
        account = town.public("Orders")
        async with running(town, fleet):
            await until(lambda: not town.pending())
            await fleet.stop("c")
            town.delete("Orders")
            await until(lambda: account not in fleet["a"].stored and bool(town.pending()[0].last_words))
            assert "account.deletion-proved" not in town.events()
            await fleet.start("c")
            fleet.merge()  # c gives it back to the others
            await until(lambda: not town.pending())
            assert not any(account in fleet[name].stored for name in "abc")
            assert "account.deletion-proved" in town.events()

    asyncio.run(story())


def test_an_account_that_comes_back_long_after_its_deletion_is_deleted_again(town: Town) -> None:
    token = town.add("Orders")

    async def story() -> None:
        fleet = three(town)
        account = town.public("Orders")
        async with running(town, fleet):
            await until(lambda: not town.pending())
            town.delete("Orders")
            await until(lambda: not town.pending())
            fleet.servers["old"] = type(fleet["a"])("old", up=False, stored={account: token})
            await fleet.start("old")
            fleet.merge()
            await until(lambda: not any(account in server.stored for server in fleet.up()))

    asyncio.run(story())


def test_a_refused_deletion_is_not_done(town: Town) -> None:
    town.add("Orders")

    async def story() -> None:
        fleet = three(town)
        await once(town, fleet)
        for server in fleet.up():
            server.refuses_deletion = (
                "delete accounts request by O failed - delete must be enabled in server config"
            )
        account = town.public("Orders")
        town.delete("Orders")
        (report,) = await once(town, fleet)
        assert not report.settled
        assert report.head.account == account
        assert {s.state for s in report.servers.values()} == {State.REFUSED}
        assert "delete must be enabled" in report.words

    asyncio.run(story())


def test_a_foreign_token_never_leaves(town: Town) -> None:
    town.add("Orders")

    async def story() -> None:
        fleet = three(town)
        await once(town, fleet)
        town.change("Orders", by=signer(Role.OPERATOR))
        (report,) = await once(town, fleet)
        assert not report.settled
        assert report.words.startswith("not sent: issuer O")
        assert all(len(server.pushes) == 1 for server in fleet.up())
        assert town.events()[-1] == "delivery.refused"
        async with running(town, fleet):
            await until(lambda: town.pending()[0].due_at > town.clock())
        assert all(len(server.pushes) == 1 for server in fleet.up())
        assert town.events().count("delivery.refused") == 1

    asyncio.run(story())


def test_a_token_over_the_servers_limit_is_refused_before_it_is_sent(town: Town) -> None:
    town.add("Orders", description="x" * 3000)
    fleet = three(town, max_payload=2000)
    (report,) = asyncio.run(once(town, fleet))
    assert "over the 2000 that the server takes in one message" in report.words
    assert town.events()[-1] == "delivery.refused"


def test_a_server_that_hangs_up_over_the_size_is_a_refusal(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.add("Orders", description="x" * 3000)

    async def story() -> None:
        fleet = three(town, max_payload=6000)

        async def hang_up(*_: Any, **__: Any) -> list[Any]:
            raise Unavailable("Maximum Payload Violation")

        monkeypatch.setattr(questions, "push", hang_up)
        (report,) = await once(town, fleet)
        assert report.words == "not sent: Maximum Payload Violation"
        assert town.events()[-1] == "delivery.refused"

    asyncio.run(story())


def test_a_lost_connection_is_made_anew_and_nothing_is_lost(town: Town) -> None:
    town.add("Orders")

    async def story() -> None:
        fleet = three(town)
        async with running(town, fleet) as made:
            await until(lambda: not town.pending())
            fleet.reachable = False
            fleet.cut_off()
            await until(lambda: bool(made.trouble))
            town.change("Orders", description="new")
            await asyncio.sleep(0.1)
            fleet.reachable = True
            await until(lambda: not town.pending())
            assert not made.trouble

    asyncio.run(story())


def test_without_servers_push_says_so(town: Town) -> None:
    town.add("Orders")
    fleet = three(town)
    fleet.reachable = False
    with pytest.raises(Unavailable):
        asyncio.run(once(town, fleet))
    assert len(town.pending()) == 1


def test_memory_servers_are_reached_by_the_older_subject(town: Town) -> None:
    old = town.add("Orders")

    async def story() -> None:
        fleet = three(town, kind="memory")
        for name in "abc":
            await fleet.load(name, town.public("Orders"), old)
        new = town.change("Orders", description="new")
        (report,) = await once(town, fleet)
        assert report.settled
        assert {s.state for s in report.servers.values()} == {State.IN_FORCE}
        assert fleet["a"].loaded[town.public("Orders")] == new

    asyncio.run(story())


def test_a_memory_server_that_loads_an_old_token_later_gets_the_new_one(town: Town) -> None:
    old = town.add("Orders")

    async def story() -> None:
        fleet = SimulatedFleet(town.operator.public, "m", kind="memory")
        async with running(town, fleet):
            new = town.change("Orders", description="new")
            await until(lambda: town.states("Orders") == {"m": "unloaded"})
            assert town.pending()
            await fleet.load("m", town.public("Orders"), old)
            await until(lambda: fleet["m"].loaded[town.public("Orders")] == new)
            await until(lambda: town.states("Orders") == {"m": "in-force"})

    asyncio.run(story())


def test_unloaded_is_enough_where_servers_ask_us(town: Town) -> None:
    town.add("Orders")

    async def story() -> None:
        made = pusher(town, SimulatedFleet(town.operator.public, "u", kind="memory"), unloaded_is_enough=True)
        (report,) = await made.push_once(deadline=0.3)
        made.close()
        assert report.settled

    asyncio.run(story())


def test_a_revoked_user_that_is_still_connected_keeps_it_open(town: Town) -> None:
    town.add("Orders")

    async def story() -> None:
        fleet = SimulatedFleet(town.operator.public, "a")
        await once(town, fleet)
        account, user = town.public("Orders"), signer(Role.USER).public
        await fleet.load("a", account)
        stuck = {"cid": 7, "acc": account, "authorized_user": user}
        town.revoke("Orders", user)
        fleet["a"].connections = [stuck]
        (report,) = await once(town, fleet)
        assert report.settled
        assert report.connected == ()
        fleet["a"].connections = [stuck]
        other = signer(Role.USER).public
        fleet["a"].connections.append({"cid": 8, "acc": account, "authorized_user": other})
        fleet["a"].rolls_back = True
        token = town.revoke("Orders", other)
        fleet["a"].loaded[account] = fleet["a"].stored[account] = token  # applied, but nobody was cut
        (report,) = await once(town, fleet)
        assert not report.settled
        assert [connection.cid for connection in report.connected] == [8]
        assert report.words == "1 revoked connections are still open"

    asyncio.run(story())


def test_somebody_let_in_again_with_a_newer_token_is_not_held_against_it(town: Town) -> None:
    from issuer.tokens.envelope import encode

    account = signer(Role.ACCOUNT)
    town.add("Orders", account)
    user = signer(Role.USER).public
    fresh = encode(new_user(user, "x"), account, now=town.clock() + 60).token

    async def story() -> None:
        fleet = SimulatedFleet(town.operator.public, "a")
        system = await fleet.connect()
        fleet["a"].connections = [
            {"cid": 1, "acc": account.public, "authorized_user": user, "jwt": fresh},
            {"cid": 2, "acc": account.public, "authorized_user": user, "jwt": ""},
        ]
        revoked: dict[str, int] = {user: town.clock()}
        left = await questions.still_connected(system, account.public, revoked)
        assert [connection.cid for connection in left] == [2]
        left = await questions.still_connected(system, account.public, {"*": town.clock() + 120})
        assert [connection.cid for connection in left] == [1, 2]

    asyncio.run(story())


def test_a_handed_over_token_leaves_before_its_row_is_claimed(town: Town) -> None:
    town.add("Orders")

    async def story() -> None:
        fleet = three(town)
        slow = Pace(poll=5, query=5, roster=0.02, gather=0.005, ahead=0.001)
        async with running(town, fleet, pace=slow) as made:
            made.wake()
            await until(lambda: not town.pending())
            token = await asyncio.to_thread(town.change, "Orders", description="now")
            made.wake(token)
            await until(lambda: not town.pending())
            assert [server.pushes.count(token) for server in fleet.up()] == [1, 1, 1]
            made.wake(Token(town.head("SYS")))  # never sent from here: left to the store to say
            await asyncio.sleep(0.02)
            # An older one handed over late must not undo it.
            made.wake(Token(fleet["a"].pushes[0]))
            await asyncio.sleep(0.05)
            assert {server.pushes[-1] for server in fleet.up()} == {token}
            made.wake()

    asyncio.run(story())


def test_the_double_refuses_what_the_client_library_would(town: Town) -> None:
    async def story() -> None:
        system = await three(town, max_payload=10).connect()
        with pytest.raises(OversizeToken):
            await system.request_many("x", b"0123456789a", deadline=1)

    asyncio.run(story())
