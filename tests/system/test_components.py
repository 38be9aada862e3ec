"""Each real component starts, answers, and goes away again."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import nats
import psycopg
import pytest

from tests import peers
from tests.components import ROOT
from tests.servers import NatsServer, ServerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers import NatsCluster, Postgres


def vectors() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "tests" / "vectors" / "vectors.json").read_text("utf-8"))
    return found


async def echo(publish_at: str, listen_at: str) -> bytes:
    listener, speaker = await nats.connect(listen_at), await nats.connect(publish_at)
    try:
        heard = await listener.subscribe("greeting")
        await listener.flush()
        # Interest travels along the routes a moment after the server that took the subscription answers.
        for _ in range(50):
            await speaker.publish("greeting", b"hello")
            try:
                return (await heard.next_msg(timeout=0.2)).data
            except TimeoutError:
                continue
        raise AssertionError("nothing was heard")
    finally:
        await speaker.close()
        await listener.close()


def test_a_server_alone_carries_a_message(start_nats: Callable[..., NatsServer]) -> None:
    server = start_nats(name="alone")
    assert server.monitor("/varz")["server_name"] == "alone"
    assert asyncio.run(echo(server.url, server.url)) == b"hello"


def test_a_server_comes_back_where_it_was(start_nats: Callable[..., NatsServer]) -> None:
    server = start_nats()
    before, first = server.url, server.monitor("/varz")["server_id"]
    server.kill()
    assert not server.running()
    server.restart()
    assert server.url == before
    assert server.monitor("/varz")["server_id"] != first


def test_a_bad_configuration_is_refused_with_the_servers_words(nats_server_binary: object) -> None:
    server = NatsServer("max_payload: many")
    try:
        with pytest.raises(ServerError, match=r"server\.conf:1:"):
            server.check_config()
        with pytest.raises(ServerError, match="stopped while starting"):
            server.start()
    finally:
        server.close()


def test_a_cluster_of_three_carries_a_message_across(start_cluster: Callable[..., NatsCluster]) -> None:
    cluster = start_cluster({"max_payload": 65536})
    assert asyncio.run(echo(cluster[0].url, cluster[2].url)) == b"hello"
    cluster[1].stop()
    cluster[1].start()
    cluster.wait_routes()
    assert asyncio.run(echo(cluster[1].url, cluster[0].url)) == b"hello"


def test_postgresql_gives_each_test_a_database_of_its_own(postgres: Postgres) -> None:
    first, second = (postgres.new_database().replace("+psycopg", "") for _ in range(2))
    with psycopg.connect(first) as link:
        link.execute("CREATE TABLE only_here (n int)")
        version = link.info.server_version
    with psycopg.connect(second) as link:
        found = link.execute("SELECT to_regclass('only_here')").fetchone()
    assert found == (None,)
    assert version >= 150000


@pytest.mark.component("node")
def test_the_javascript_libraries_make_and_read_a_token() -> None:
    account, user = peers.node_tokens({"op": "create", "role": "account"}, {"op": "create", "role": "user"})
    [made] = peers.node_tokens(
        {"op": "encode_user", "name": "ann", "user_public": user["public"], "issuer": account["seed"]}
    )
    [read] = peers.node_tokens({"op": "decode", "token": made["token"]})
    assert read["claims"]["sub"] == user["public"]
    assert read["claims"]["iss"] == account["public"]


@pytest.mark.component("node")
def test_the_javascript_client_connects_and_hears_itself(start_nats: Callable[..., NatsServer]) -> None:
    server = start_nats()
    wish = {"url": server.url, "subscribe": ["greeting"], "publish": [["greeting", "hello"]]}
    with peers.NodeProcess("client", wish) as client:
        client.wait_for("connected")
        assert client.wait_for("message")["text"] == "hello"
        server.stop()
        client.wait_for("closed")


@pytest.mark.component("go")
def test_the_go_libraries_agree_with_the_vectors() -> None:
    tokens = vectors()["jwts"]
    answers = peers.go_oracle({"op": "decode", "token": vector["token"]} for vector in tokens)
    refused = {v["id"]: a["error"] for v, a in zip(tokens, answers, strict=True) if not a["ok"]}
    assert refused == {}


@pytest.mark.component("go")
def test_the_go_oracle_survives_what_it_refuses() -> None:
    bad, unknown, good = peers.go_oracle(
        [
            {"op": "decode", "token": "a.b.c"},
            {"op": "no such op"},
            {"op": "nkey", "public": vectors()["keys"][0]["public"]},
        ]
    )
    assert not bad["ok"]
    assert "no such op" in unknown["error"]
    assert good["role"] == vectors()["keys"][0]["role"]
