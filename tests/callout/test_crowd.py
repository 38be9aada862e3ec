"""The responder in a crowd: classes it has seen, directories apart, refusals held back."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from callout.admission_settings import AdmissionSettings, Slowing
from callout.refusals import Reason
from callout.responder import Responder, Settings
from issuer.claims.exchange import AuthorizationResponseClaims
from issuer.keys.nkeys import Role, Seed
from issuer.tokens.envelope import decode
from tests.callout.counter import Names
from tests.callout.test_responder import Asked, Station


@dataclass
class Crowd(Station):
    """A responder for many, each on a connection of its own."""

    admission: AdmissionSettings = field(default_factory=AdmissionSettings)

    def responder(self) -> Responder:
        made = super().responder()
        return Responder(
            made._desk,
            made._voice,
            made._rules,
            made._recorder,
            now=made._now,
            settings=self.settings,
            admission=self.admission,
        )

    def ask(self, **said: Any) -> Asked:
        self.asking.user = Seed.generate(Role.USER)
        return super().ask(**said)


def answer(asked: Asked) -> str:
    """The reason of a refusal; empty for a token."""
    (data,) = asked.answers
    return decode(data.decode(), AuthorizationResponseClaims).claims.nats.error


@pytest.fixture
def crowd() -> Crowd:
    return Crowd()


def test_who_was_critical_the_last_time_goes_first(crowd: Crowd) -> None:
    crowd.counter.directory = Names({"ann": "secret", "bob": "secret"}, wait=0.02)
    crowd.counter.policy_data = {
        "version": 1,
        "bindings": [
            {"name": "room", "match": {"subject": "ann"}, "account": "GRID", "roles": ["reader"], "priority": "critical"},
            {"name": "rest", "match": {"subject": "bob"}, "account": "GRID", "roles": ["reader"]},
        ],
    }  # fmt: skip
    crowd.admission = AdmissionSettings(at_once=1, kept_free=0)

    async def run() -> list[str]:
        responder = crowd.responder()
        await responder.answer(crowd.ask(user="ann"), heard=asyncio.get_running_loop().time())
        crowd.counter.written.clear()
        for name in ("bob", "bob", "bob", "ann"):
            responder.hear(crowd.ask(user=name))
        await asyncio.sleep(0)
        assert await responder.drained(5)
        return [login.session.name for login in crowd.counter.written]

    assert asyncio.run(run()) == ["bob", "ann", "bob", "bob"]
    assert crowd.counter.told[-1][1].waited > 0


def test_who_is_refused_is_of_no_class_any_more(crowd: Crowd) -> None:
    (staff,) = crowd.counter.policy_data["bindings"]
    crowd.counter.policy_data["bindings"] = [{**staff, "priority": "high"}]

    async def run() -> tuple[int, int]:
        responder = crowd.responder()
        loop = asyncio.get_running_loop()
        await responder.answer(crowd.ask(), heard=loop.time())
        before = len(responder._standings)
        crowd.counter.directory.people["ann"] = "another"
        await responder.answer(crowd.ask(), heard=loop.time())
        return before, len(responder._standings)

    assert asyncio.run(run()) == (1, 0)


def test_where_no_binding_has_a_class_nothing_is_kept(crowd: Crowd) -> None:
    async def run() -> int:
        responder = crowd.responder()
        await responder.answer(crowd.ask(), heard=asyncio.get_running_loop().time())
        return len(responder._standings)

    assert asyncio.run(run()) == 0


def test_nobody_is_begun_whose_server_has_given_up(crowd: Crowd) -> None:
    asked = crowd.ask()

    async def run() -> None:
        await crowd.responder().answer(asked, heard=asyncio.get_running_loop().time() - 5)

    asyncio.run(run())
    assert answer(asked) == Reason.OVERLOADED
    assert not crowd.counter.directory.asked.is_set()


def test_who_waits_for_a_place_is_answered_before_the_server_gives_up(crowd: Crowd) -> None:
    crowd.counter.directory.wait = 60
    crowd.settings = Settings(patience=0.4, margin=0.1)
    crowd.admission = AdmissionSettings(at_once=1, kept_free=0)
    asked = [crowd.ask(), crowd.ask()]

    async def run() -> None:
        responder = crowd.responder()
        for each in asked:
            responder.hear(each)
        await asyncio.sleep(0)
        assert await responder.drained(5)

    asyncio.run(run())
    assert [answer(each) for each in asked] == [Reason.TOO_LATE, Reason.OVERLOADED]


def test_a_directory_that_breaks_when_it_is_only_asked_whose_they_are(crowd: Crowd) -> None:
    def broken(_: object) -> bool:
        raise RuntimeError("secret")

    crowd.counter.directory.claims = broken  # type: ignore[method-assign, assignment]
    assert crowd.reason(crowd.ask()) == Reason.FAULT


# --- refusals ----------------------------------------------------------------------------------------


def refused(crowd: Crowd, times: int, **said: Any) -> list[float]:
    """Seconds to each answer, one after another."""
    took: list[float] = []

    async def run() -> None:
        responder = crowd.responder()
        loop = asyncio.get_running_loop()
        for _ in range(times):
            begun = time.monotonic()
            await responder.answer(crowd.ask(**said), heard=loop.time())
            took.append(time.monotonic() - begun)

    asyncio.run(run())
    return took


def test_guessing_from_one_address_takes_longer_each_time(crowd: Crowd) -> None:
    crowd.admission = AdmissionSettings(refusals=Slowing(free=1, first=0.1, longest=0.2))
    took = refused(crowd, 3, password="wrong")
    assert took[1] >= 0.1
    assert took[2] >= 0.2


def test_who_is_let_in_is_never_held_back(crowd: Crowd) -> None:
    crowd.admission = AdmissionSettings(refusals=Slowing(free=0, first=2, longest=2))
    slept: list[float] = []

    async def run() -> None:
        responder = crowd.responder()
        responder._slow.refused("192.0.2.7", now=asyncio.get_running_loop().time())

        async def never(*_: object) -> None:
            slept.append(1)

        responder._hold_back = never  # type: ignore[method-assign, assignment]
        await responder.answer(crowd.ask(), heard=asyncio.get_running_loop().time())

    asyncio.run(run())
    assert len(crowd.counter.written) == 1
    assert slept == []


def test_no_answer_is_held_back_beyond_the_patience_of_the_server(crowd: Crowd) -> None:
    crowd.settings = Settings(patience=0.3, margin=0.1)
    crowd.admission = AdmissionSettings(refusals=Slowing(free=0, first=2, longest=2))
    asked = crowd.ask(password="wrong")
    gaps: list[float] = []

    async def run() -> None:
        responder, loop = crowd.responder(), asyncio.get_running_loop()
        real = asyncio.sleep

        async def sleep(seconds: float) -> None:
            gaps.append(seconds)
            await real(0)

        asyncio.sleep = sleep  # type: ignore[assignment]
        try:
            await responder.answer(asked, heard=loop.time())
        finally:
            asyncio.sleep = real

    asyncio.run(run())
    # The first is the directory's own.
    assert gaps[0] == 0
    assert 0 < gaps[1] <= 0.2
    assert answer(asked) == Reason.CREDENTIALS_WRONG


def test_a_place_is_free_again_before_the_answer_is_held_back(crowd: Crowd) -> None:
    crowd.admission = AdmissionSettings(at_once=1, kept_free=0, refusals=Slowing(free=0, first=0.5))
    wrong, right = crowd.ask(password="wrong"), crowd.ask()

    async def run() -> None:
        responder = crowd.responder()
        responder.hear(wrong)
        await responder.answer(right, heard=asyncio.get_running_loop().time())
        assert not wrong.answers
        assert await responder.drained(5)

    asyncio.run(run())
    assert (answer(right), answer(wrong)) == ("", Reason.CREDENTIALS_WRONG)
