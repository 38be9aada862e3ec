"""From an empty folder to a client that is let in, by the commands of the docs alone."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from tests.processes import wait_until
from tests.system.broker.callout.scene import Which
from tests.system.callout.front import Front, front

POLICY = {
    "version": 1,
    "bindings": [
        {"name": "services", "match": {"directory": "services"}, "account": "APP", "role": "reader"}
    ],
}


@pytest.fixture(params=["real", "ours"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Front]:
    which: Which = request.param
    with front(which, tmp_path) as made:
        yield made


async def come(desk: Front, creds: str, **more: Any) -> Client:
    """A client of the official library.

    Raises:
        nats.errors.Error: it is not let in.
    """
    client = Client()
    try:
        # Where nobody answers, the server takes two seconds to say no.
        await client.connect(
            desk.url, user_credentials=creds, allow_reconnect=False, connect_timeout=10, **more
        )
    except nats.errors.Error:
        await client.close()  # the library leaves the socket open
        raise
    return client


async def login(desk: Front, token: str) -> Client:
    return await come(desk, desk.creds("sentinel"), token=token)


def refused(desk: Front, token: str) -> None:
    async def knock() -> None:
        with pytest.raises(nats.errors.Error, match=r"(?i)authorization violation"):
            await login(desk, token)

    asyncio.run(knock())


def let_in(desk: Front, token: str) -> None:
    async def work() -> None:
        client = await login(desk, token)
        errors: list[str] = []

        async def trouble(error: Exception) -> None:
            errors.append(str(error))

        client._error_cb = trouble
        await client.subscribe("grid.north")
        await client.publish("grid.north", b"no")
        await client.flush()
        await asyncio.sleep(0.1)
        await client.close()
        assert any("permissions violation for publish" in each.lower() for each in errors), errors

    asyncio.run(work())


def with_key(desk: Front, *more: str) -> tuple[str, dict[str, Any]]:
    """A new API key, and a configuration that has it."""
    made = desk.document("generate", "api-key", "-d", "services", "-s", "scada", *more)
    entries = [made["entry"]]
    return made["key"], {"directories": [{"name": "services", "kind": "keys", "entries": entries}]}


def test_enabled_served_let_in_and_written_down(desk: Front) -> None:
    found = desk.document("callout", "enable", "--into", "APP")
    assert [each["good"] for each in found["test"]] == [True] * 5
    desk.run("callout", "policy", "set", desk.write("policy.yaml", POLICY))
    key, configuration = with_key(desk)
    with desk.serving(configuration) as said:
        let_in(desk, key)
        # The server said that it has gone.
        wait_until(lambda: desk.document("sessions") == [], seconds=30, what="the session to end")
        refused(desk, "ak_services_wrong")
        with urllib.request.urlopen(said["http"] + "/healthz", timeout=5) as answer:
            assert json.load(answer)["callout"] == "ok"
        with urllib.request.urlopen(said["http"] + "/metrics", timeout=5) as answer:
            text = answer.read().decode()
        assert 'accredit_callout_logins_total{directory="services",outcome="granted",reason=""} 1.0' in text
    assert "credentials.malformed" in said["log"]
    assert key not in said["log"]
    (granted,) = desk.document("audit", "list", "--code", "login.granted")
    assert granted["detail"]["subject"] == "scada"
    assert desk.document("audit", "list", "--code", "login.refused")
    # The service has gone: nobody is let in, and nobody is told why.
    refused(desk, key)


def test_enabling_tells_what_is_wrong(desk: Front) -> None:
    desk.run("callout", "enable", "--into", "APP", "--no-test")
    # The server was never told: it asks nobody.
    found = desk.run("callout", "enable", "--into", "NOBODY", code=3)
    assert found == ""


def test_two_replicas_share_the_work_and_one_may_go(desk: Front) -> None:
    desk.run("callout", "enable", "--into", "APP")
    desk.run("callout", "policy", "set", desk.write("policy.yaml", POLICY))
    key, configuration = with_key(desk)
    with desk.serving(configuration):
        with desk.serving(configuration):
            for _ in range(4):
                let_in(desk, key)
        let_in(desk, key)


def test_a_policy_that_comes_later_counts_at_once(desk: Front) -> None:
    desk.run("callout", "enable", "--into", "APP")
    key, configuration = with_key(desk)
    with desk.serving(configuration) as said:
        refused(desk, key)
        desk.run("callout", "policy", "set", desk.write("policy.yaml", POLICY))
        asyncio.run(_soon(desk, key))
    assert "policy.none" in said["log"]


async def _soon(desk: Front, key: str) -> None:
    for _ in range(50):
        try:
            await (await login(desk, key)).close()
        except nats.errors.Error:
            await asyncio.sleep(0.1)
        else:
            return
    raise AssertionError("never let in")
