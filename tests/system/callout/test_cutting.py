"""Somebody is cut off: gone from every server, kept out, and the record says how long it took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import nats
import nats.errors
import pytest

from issuer.authority.finding import the_account
from issuer.grants import Kind, Session
from issuer.store.grants import add_sessions
from tests.processes import wait_until
from tests.servers import NatsCluster
from tests.system.callout.crowd import (
    callers,
    connected,
    cutter,
    enabled,
    house,
    inside,
    open_sessions,
)
from tests.system.callout.front import Front, front
from web.session_keeping import SERVER_GONE, SessionKeeper

pytestmark = pytest.mark.component("nats-server")
SECONDS = 45
ISSUER = "keys:services"
Town = tuple[Front, NatsCluster]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with house(tmp_path) as made:
        yield made


def told(story: Coroutine[Any, Any, None]) -> None:
    """Run it, and do not wait for ever."""
    asyncio.run(asyncio.wait_for(story, SECONDS))


async def shell(made: Front, *words: str, code: int = 0) -> Any:
    return await asyncio.to_thread(made.document, *words, code=code)


def test_gone_from_every_server_and_kept_out_until_the_denial_is_lifted(town: Town) -> None:
    made, cluster = town
    keys, configuration = enabled(made)

    async def story() -> None:
        urls = cluster.urls
        async with (
            callers(made, [keys["ann"]] * 2, urls) as ann,
            callers(made, [keys["bob"]], urls) as bob,
        ):
            shown = await shell(made, "sessions", "--subject", "ann")
            assert len(shown) == 6
            assert {each["server"] for each in shown} == {server.name for server in cluster}
            assert {each["account_name"] for each in shown} == {"APP"}
            cut = await shell(made, "revoke", "identity", ISSUER, "ann", "--yes", "--reason", "left")
            assert cut["sessions"] == cut["ended"] >= 6
            assert (cut["left"], cut["trouble"]) == ([], "")
            assert set(cut["servers"]) == {server.name for server in cluster}
            assert 0 <= cut["first_kick"] < cut["last_gone"]
            for _ in range(10):  # they knock all the time
                assert connected(cluster, "ann") == 0
                await asyncio.sleep(0.1)
            assert all(each.lost for each in ann)
            assert not any(each.lost for each in bob)
            assert await shell(made, "sessions", "--subject", "ann") == []
            assert len(await shell(made, "sessions")) == 3
            over = await shell(made, "sessions", "--subject", "ann", "--ended")
            assert {each["reason"] for each in over} <= {"cut off: left", "Kicked"}
            (denial,) = await shell(made, "denials")
            await shell(made, "lift", "denial", str(denial["id"]))
            await asyncio.sleep(1.5)  # the callout reads its rules twice a second
            later = await nats.connect(
                urls[0], user_credentials=made.creds("sentinel"), token=keys["ann"], allow_reconnect=False
            )
            await later.close()

    with made.serving(configuration):
        told(story())
    (denied,) = made.document("audit", "list", "--code", "identity.denied")
    (evicted,) = made.document("audit", "list", "--code", "identity.evicted")
    (lifted,) = made.document("audit", "list", "--code", "identity.restored")
    assert denied["seq"] < evicted["seq"] < lifted["seq"]
    assert (denied["reason"], evicted["outcome"]) == ("left", "done")
    detail = evicted["detail"]
    assert detail["first_kick_ms"] <= detail["last_gone_ms"]
    assert (detail["left"], detail["value"]) == (0, "ann")
    assert detail["sessions"] >= 6
    assert all(server.name in detail["servers"] for server in cluster)
    assert made.run("audit", "verify") is not None


def test_kick_alone_does_not_keep_anybody_out(town: Town) -> None:
    made, cluster = town
    keys, configuration = enabled(made)

    async def story() -> None:
        async with callers(made, [keys["ann"]], cluster.urls) as ann:
            with inside(made) as (wiring, _):
                sessions = open_sessions(wiring.authority, wiring.operator.id, subject="ann")
                kicked = await cutter(wiring, cluster.urls).kick(sessions, "group changed")
                assert (kicked.sessions, kicked.ended, kicked.clean) == (3, 3, True)
                await _until(lambda: all(each.again for each in ann))
                assert connected(cluster, "ann") == 3
                fresh = open_sessions(wiring.authority, wiring.operator.id, subject="ann")
                assert not {each.id for each in fresh} & {each.id for each in sessions}

    with made.serving(configuration):
        told(story())
    (evicted,) = made.document("audit", "list", "--code", "identity.evicted")
    assert "denial" not in evicted["detail"]


@pytest.mark.parametrize(
    ("who", "gone"),
    [
        (("--group", "scada"), {"ann", "bob"}),
        (("--group", "scada", "--issuer", "keys:other"), set()),
        (("--source", "services"), {"ann", "bob", "eve"}),
        (("--binding", "scada"), {"ann", "bob"}),
        (("--everybody", "--before", "0"), {"ann", "bob", "eve"}),
    ],
)
def test_by_group_source_and_binding(tmp_path: Path, who: tuple[str, ...], gone: set[str]) -> None:
    with house(tmp_path, servers=1) as (made, cluster):
        keys, configuration = enabled(made)

        async def story() -> None:
            async with callers(made, list(keys.values()), cluster.urls):
                plan = await shell(made, "revoke", "identity", *who, "--dry-run")
                assert (plan["sessions"], plan["dry_run"], plan["denial"]["id"]) == (len(gone), True, None)
                assert await shell(made, "denials") == []
                assert {name for name in keys if connected(cluster, name)} == set(keys)
                cut = await shell(made, "revoke", "identity", *who, "--yes")
                assert cut["ended"] >= len(gone)
                assert {name for name in keys if connected(cluster, name)} == set(keys) - gone

        with made.serving(configuration):
            told(story())


def test_our_own_broker_is_kicked_and_asked_in_the_same_words(tmp_path: Path) -> None:
    with front("ours", tmp_path) as made:
        keys, configuration = enabled(made)

        async def story() -> None:
            async with callers(made, [keys["ann"], keys["bob"]], [made.url]) as (ann, bob):
                cut = await shell(made, "revoke", "identity", ISSUER, "ann", "--yes")
                assert (cut["left"], cut["trouble"]) == ([], "")
                assert cut["ended"] >= 1
                assert ann.lost
                assert not ann.client.is_connected
                assert (bob.lost, bob.client.is_connected) == (0, True)

        with made.serving(configuration):
            told(story())


def test_portable_tokens_are_revoked_in_their_account(town: Town) -> None:
    made, cluster = town
    made.run("add", "user", "carried", "-a", "APP")
    time.sleep(1.1)  # a revocation reaches the second it is made in
    (user,) = [each for each in made.document("list", "users", "-a", "APP") if each["name"] == "carried"]
    creds = made.creds("carried", "APP")

    async def story() -> None:
        client = await nats.connect(cluster.urls[1], user_credentials=creds, allow_reconnect=False)
        with inside(made) as (wiring, workspace):
            now = int(time.time())
            account = workspace.ask(_account, wiring.operator)
            with wiring.database.noting() as unit:
                add_sessions(unit, wiring.operator.id, [_portable(user["public_key"], account, now)])
        plan = await shell(made, "revoke", "identity", ISSUER, "zoe", "--dry-run")
        assert (plan["sessions"], plan["portable"], plan["servers"]) == (1, 1, {})
        cut = await shell(made, "revoke", "identity", ISSUER, "zoe", "--yes")
        assert (cut["portable"], cut["unproved"], cut["trouble"]) == (1, [], "")
        await _until(lambda: client.is_closed)
        with pytest.raises(nats.errors.Error):
            await nats.connect(cluster.urls[2], user_credentials=creds, allow_reconnect=False)

    told(story())
    assert made.document("sessions") == []


def test_servers_that_cannot_be_asked_are_no_proof(town: Town) -> None:
    made, cluster = town
    keys, configuration = enabled(made)

    async def story() -> None:
        async with callers(made, [keys["ann"]], cluster.urls[:1]):
            cut = await shell(
                made, "revoke", "identity", ISSUER, "ann", "--yes", "-u", "nats://127.0.0.1:1", code=7
            )
            assert cut["trouble"]
            assert len(cut["left"]) == 1
            assert len(await shell(made, "denials")) == 1

    with made.serving(configuration):
        told(story())
    (evicted,) = made.document("audit", "list", "--code", "identity.evicted")
    assert (evicted["outcome"], evicted["detail"]["left"]) == ("failed", 1)


def test_sessions_end_as_servers_say_and_with_servers_that_are_gone(town: Town) -> None:
    made, cluster = town
    keys, configuration = enabled(made)

    async def story() -> None:
        stop = asyncio.Event()
        with inside(made) as (wiring, _):
            connect = SessionKeeper.over(wiring, cluster.urls[:1])._connect
            keepers = [
                SessionKeeper(wiring.database, wiring.operator.id, connect, grace=1, look=1.0)
                for _ in range(2)  # as two replicas
            ]
            running = [asyncio.create_task(each.run(stop)) for each in keepers]
            async with callers(made, [keys["ann"]], cluster.urls) as ann:
                await asyncio.sleep(2.5)  # looked at, and nobody is taken for gone
                assert len(await shell(made, "sessions")) == 3
                await ann[0].client.close()
                await _until(lambda: _count(wiring) == 2)
                (over,) = await shell(made, "sessions", "--ended")
                assert over["reason"] == "Client Closed"
                await ann[2].client.close()
                await _until(lambda: _count(wiring) == 1)
                # A server that dies says nothing of anybody.
                was = cluster[1].port
                (dead,) = [server for server in cluster if server.port == was]
                await asyncio.to_thread(dead.kill)
                await _until(lambda: bool(_over(wiring, SERVER_GONE)))
            stop.set()
            await asyncio.gather(*running)

    with made.serving(configuration):
        told(story())


def _count(wiring: Any) -> int:
    return len(open_sessions(wiring.authority, wiring.operator.id))


def _over(wiring: Any, reason: str) -> list[Session]:
    rows = open_sessions(wiring.authority, wiring.operator.id, ended=True)
    return [each for each in rows if each.reason == reason]


async def _until(seen: Any) -> None:
    await asyncio.to_thread(wait_until, seen, seconds=20, what="the sessions to be so")


def _account(unit: Any, operator: Any) -> str:
    return the_account(unit, operator, "APP").public


def _portable(user: str, account: str, now: int) -> Session:
    return Session(
        user_key=user,
        identity="0" * 32,
        issuer=ISSUER,
        subject="zoe",
        name="zoe",
        kind=Kind.PERSON,
        directory="services",
        groups_hash="",
        bindings=("rest",),
        policy_version=1,
        account=account,
        role="reader",
        server_id="",
        server="",
        client_id=0,
        address="",
        started_at=now,
        expires_at=now + 3600,
    )
