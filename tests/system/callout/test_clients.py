"""What unmodified clients make of it, and what servers show of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats
import nats.errors
import pytest

from tests.system.broker.callout.scene import Which
from tests.system.callout.front import Front, front

pytestmark = pytest.mark.component("nats-server")
SECONDS = 40


def policy(**more: Any) -> dict[str, Any]:
    binding = {"name": "all", "match": {"directory": "services"}, "account": "APP", "role": "reader"}
    return {"version": 1, "bindings": [binding | more]}


@pytest.fixture(params=["real", "ours"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Front]:
    which: Which = request.param
    with front(which, tmp_path) as found:
        found.run("callout", "enable", "--into", "APP")
        yield found


def key_of(made: Front, subject: str, *more: str) -> tuple[str, dict[str, Any]]:
    told = made.document("generate", "api-key", "-d", "services", "-s", subject, *more)
    return told["key"], {"directories": [{"name": "services", "kind": "keys", "entries": [told["entry"]]}]}


def test_nats_py_closes_for_good_when_its_token_ends_and_comes_again_as_the_page_says(made: Front) -> None:
    key, configuration = key_of(made, "scada")
    made.run("callout", "policy", "set", made.write("policy.yaml", policy(**{"max-lifetime": "6s"})))

    async def plain() -> None:
        closed = asyncio.Event()

        async def gone() -> None:
            closed.set()

        await nats.connect(
            made.url, user_credentials=made.creds("sentinel"), token=key,
            allow_reconnect=True, max_reconnect_attempts=-1, reconnect_time_wait=0.1, closed_cb=gone, error_cb=_quiet,
        )  # fmt: skip
        await closed.wait()

    async def as_the_page_says() -> int:
        came = 0
        while came < 2:
            closed = asyncio.Event()

            async def gone(closed: asyncio.Event = closed) -> None:
                closed.set()

            await nats.connect(
                made.url, user_credentials=made.creds("sentinel"), token=key, closed_cb=gone, error_cb=_quiet
            )
            came += 1
            await closed.wait()
        return came

    with made.serving(configuration):
        asyncio.run(asyncio.wait_for(plain(), SECONDS))
        assert asyncio.run(asyncio.wait_for(as_the_page_says(), SECONDS)) == 2


def test_a_credential_that_is_good_once_is_refused_the_second_time(made: Front) -> None:
    key, configuration = key_of(made, "scada", "--expiry", "1d")
    made.run("callout", "policy", "set", made.write("policy.yaml", policy(**{"single-use": True})))

    async def come() -> None:
        client = await nats.connect(
            made.url, user_credentials=made.creds("sentinel"), token=key, allow_reconnect=False
        )
        await client.close()

    # Of two replicas it does not matter which one hears it.
    with made.serving(configuration), made.serving(configuration):
        asyncio.run(come())
        for _ in range(4):
            with pytest.raises(nats.errors.Error, match=r"(?i)authorization violation"):
                asyncio.run(come())
        entries = made.document("audit", "list", "--code", "login.refused")
    assert {each["detail"]["code"] for each in entries} == {"credentials.used"}
    assert len(made.document("audit", "list", "--code", "login.granted")) == 1


async def _quiet(_: Exception) -> None: ...
