"""Another policy while logins are under way, and a service in the shadow: nobody's login is lost by either."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import nats.errors
import pytest

from tests.processes import wait_until
from tests.system.broker.callout.scene import Which
from tests.system.callout.front import Front, front
from tests.system.callout.test_front import login, with_key

SECONDS = 60
CALLERS = 4
VERSIONS = 4


@pytest.fixture(params=["real", "ours"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Front]:
    which: Which = request.param
    with front(which, tmp_path) as made:
        made.run("callout", "enable", "--into", "APP")
        yield made


def bound(name: str, directory: str = "services") -> dict[str, Any]:
    binding = {"name": name, "match": {"directory": directory}, "account": "APP", "role": "reader"}
    return {"version": 1, "bindings": [binding]}


def put(desk: Front, policy: dict[str, Any]) -> None:
    desk.run("callout", "policy", "set", desk.write("policy.yaml", policy))


def granted(desk: Front) -> set[tuple[int, str]]:
    """The versions and bindings by which somebody was let in."""
    events = desk.document("audit", "list", "--code", "login.granted")
    return {(event["detail"]["policy"], event["detail"]["bindings"]) for event in events}


def test_no_login_is_dropped_when_another_policy_comes_in_force(desk: Front) -> None:
    put(desk, bound("v1"))
    key, configuration = with_key(desk)
    came = 0

    async def story() -> None:
        done = asyncio.Event()

        async def coming_and_going() -> None:
            nonlocal came
            while not done.is_set():
                client = await login(desk, key)  # whoever is not let in fails here
                await client.close()
                came += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(coming_and_going())
            for number in range(2, VERSIONS + 1):
                await asyncio.to_thread(put, desk, bound(f"v{number}"))
                await asyncio.to_thread(
                    wait_until,
                    partial(decided, number),
                    seconds=SECONDS,
                    what=f"version {number} to decide",
                )
            done.set()

    def decided(number: int) -> bool:
        """Whether somebody was let in by this version."""
        return any(version == number for version, _ in granted(desk))

    with desk.serving(configuration):
        asyncio.run(asyncio.wait_for(story(), SECONDS))
    assert desk.document("audit", "list", "--code", "login.refused") == []
    assert came
    # Each was decided by one policy, whole: the version and the binding belong together.
    assert granted(desk) == {(number, f"v{number}") for number in range(1, VERSIONS + 1)}


def test_a_service_in_the_shadow_hears_every_login_and_answers_none(desk: Front) -> None:
    put(desk, bound("staff"))
    key, configuration = with_key(desk)
    shadow = {**configuration, "timing": {"shadow": True}}

    async def come_and_go() -> None:
        client = await login(desk, key)
        await client.close()

    def shadowed() -> list[Any]:
        found: list[Any] = desk.document("audit", "list", "--code", "login.shadowed")
        return found

    with desk.serving(shadow):
        # Nobody answers: it decides all the same.
        with pytest.raises(nats.errors.Error):
            asyncio.run(come_and_go())
        wait_until(lambda: len(shadowed()) == 1, seconds=SECONDS, what="the login to be written")
        assert desk.document("sessions", "--ended") == desk.document("sessions") == []
        with desk.serving(configuration):
            for _ in range(5):
                asyncio.run(come_and_go())
        wait_until(lambda: len(shadowed()) == 6, seconds=SECONDS, what="all logins to be written")
    assert {event["detail"]["would"] for event in shadowed()} == {"grant"}
    assert len(desk.document("audit", "list", "--code", "login.granted")) == 5
