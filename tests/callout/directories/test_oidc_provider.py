"""When keys are asked for, and how long they are believed. The answers are scripted, the clock is handed in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callout.directories.fetching import Fetched
from callout.directories.jwks import VerificationKey
from callout.directories.oidc import KeyTimes, OidcSettingsError
from callout.directories.oidc.provider import IssuerMismatchError, Provider, freshness
from callout.refusals import DirectoryDownError, LoginRefusedError, Reason
from tests.callout.directories.oidc_world import EC, OTHER_RSA, RSA, Issuer, Scripted, settings_for

URL = "https://idp.test/oauth2/default"
DISCOVERY, KEYS = f"{URL}/.well-known/openid-configuration", f"{URL}/keys"
TIMES = KeyTimes(fresh=900, least_fresh=60, most_fresh=3600, stale=86_400, pause_unknown=30, pause_failure=5)

Story = Callable[[Provider, Scripted], Coroutine[Any, Any, None]]


def tell(story: Story, *, times: KeyTimes = TIMES, **issuer: Any) -> list[str]:
    """Run it; returns what the issuer was asked."""
    scripted = Scripted(Issuer(url=URL, **issuer))

    async def run() -> None:
        provider = Provider(settings_for(scripted.issuer, keys=times), scripted)
        try:
            await story(provider, scripted)
        finally:
            await provider.close()

    asyncio.run(run())
    return scripted.issuer.asked


async def key(provider: Provider, kid: str | None, now: float, *, patience: float = 2.0) -> VerificationKey:
    deadline = asyncio.get_running_loop().time() + patience
    return await provider.key(kid, "ES256" if kid == "ec" else "RS256", now=now, deadline=deadline)


async def reason(provider: Provider, kid: str | None, now: float, *, patience: float = 2.0) -> Reason:
    try:
        await key(provider, kid, now, patience=patience)
    except LoginRefusedError as refused:
        return refused.reason
    except DirectoryDownError as down:
        return down.reason
    raise AssertionError("it was found")


def test_keys_are_asked_for_once_and_then_held() -> None:
    async def story(provider: Provider, issuer: Scripted) -> None:
        assert provider.fresh_keys(0) is None
        for now in (0, 1, 700):
            assert (await key(provider, "rsa", now)).kid == "rsa"

    assert tell(story) == [DISCOVERY, KEYS]


def test_many_who_wait_share_one_question() -> None:
    async def story(provider: Provider, issuer: Scripted) -> None:
        issuer.gate = asyncio.Event()
        waiting = [asyncio.ensure_future(key(provider, "rsa", 0)) for _ in range(200)]
        await asyncio.sleep(0.01)
        issuer.gate.set()
        assert {found.kid for found in await asyncio.gather(*waiting)} == {"rsa"}

    assert tell(story) == [DISCOVERY, KEYS]


def test_who_gives_up_waiting_does_not_end_the_question_for_others() -> None:
    async def story(provider: Provider, issuer: Scripted) -> None:
        issuer.gate = asyncio.Event()
        hasty = asyncio.ensure_future(reason(provider, "rsa", 0, patience=0.05))
        cancelled = asyncio.ensure_future(key(provider, "rsa", 0))
        patient = asyncio.ensure_future(key(provider, "rsa", 0))
        await asyncio.sleep(0.01)
        cancelled.cancel()
        assert await hasty is Reason.DIRECTORY_DOWN
        issuer.gate.set()
        assert (await patient).kid == "rsa"

    assert tell(story) == [DISCOVERY, KEYS]


def test_a_kid_nobody_knows_asks_again_but_not_more_often_than_allowed() -> None:
    async def story(provider: Provider, issuer: Scripted) -> None:
        await key(provider, "rsa", 0)
        for number in range(1000):
            assert await reason(provider, f"unknown-{number}", 29) is Reason.UNKNOWN_KEY
        assert len(issuer.issuer.asked) == 2
        issuer.issuer.keys = [RSA, EC]
        assert (await key(provider, "ec", 30)).kid == "ec"
        for number in range(1000):
            assert await reason(provider, f"unknown-{number}", 59) is Reason.UNKNOWN_KEY

    assert tell(story) == [DISCOVERY, KEYS, KEYS]


def test_after_a_failure_nobody_asks_for_a_while() -> None:
    async def story(provider: Provider, issuer: Scripted) -> None:
        issuer.down = True
        for _ in range(100):
            assert await reason(provider, "rsa", 0) is Reason.DIRECTORY_DOWN
        assert issuer.issuer.asked == [DISCOVERY]
        assert await reason(provider, "rsa", 4.9) is Reason.DIRECTORY_DOWN
        assert issuer.issuer.asked == [DISCOVERY]
        issuer.down = False
        assert (await key(provider, "rsa", 5)).kid == "rsa"

    tell(story)


def test_old_keys_are_asked_for_again() -> None:
    async def story(provider: Provider, issuer: Scripted) -> None:
        await key(provider, "rsa", 0)
        await key(provider, "rsa", 900)
        await key(provider, "rsa", 1800)

    assert tell(story) == [DISCOVERY, KEYS, KEYS, KEYS]


def test_keys_are_stale_when_they_are_old_and_the_issuer_does_not_answer() -> None:
    async def story(provider: Provider, issuer: Scripted) -> None:
        assert not provider.stale(0)
        await key(provider, "rsa", 0)
        # Nobody came, so nobody asked: old they are, but the issuer may well answer.
        assert not provider.stale(2000)
        issuer.down = True
        assert (await key(provider, "rsa", 2000)).kid == "rsa"
        assert provider.stale(2000)
        issuer.down = False
        assert (await key(provider, "rsa", 2010)).kid == "rsa"
        assert not provider.stale(2010)

    tell(story)


def test_keys_that_an_issuer_failed_to_renew_in_time_are_not_stale_before_their_end() -> None:
    async def story(provider: Provider, issuer: Scripted) -> None:
        await key(provider, "rsa", 0)
        issuer.down = True
        await key(provider, "rsa", 800)
        await asyncio.sleep(0.01)
        assert provider.fault is not None
        assert not provider.stale(899)
        assert provider.stale(900)

    tell(story)


def test_keys_that_will_soon_be_old_are_asked_for_while_logins_go_on() -> None:
    async def story(provider: Provider, issuer: Scripted) -> None:
        await key(provider, "rsa", 0)
        issuer.gate = asyncio.Event()
        issuer.issuer.keys = [OTHER_RSA]
        assert (await key(provider, "rsa", 800)).kid == "rsa"  # nobody waits
        issuer.gate.set()
        await asyncio.sleep(0.01)
        assert await reason(provider, "rsa", 801) is Reason.UNKNOWN_KEY
        assert (await key(provider, "other", 801)).kid == "other"

    tell(story)


def test_a_withdrawn_key_is_gone_with_the_next_answer() -> None:
    async def story(provider: Provider, issuer: Scripted) -> None:
        issuer.issuer.keys = [RSA, EC]
        await key(provider, "ec", 0)
        issuer.issuer.keys = [RSA]
        await key(provider, "rsa", 900)
        assert await reason(provider, "ec", 900) is Reason.UNKNOWN_KEY
        issuer.issuer.keys = []
        assert await reason(provider, "rsa", 1800) is Reason.UNKNOWN_KEY

    tell(story)


def test_stale_keys_are_used_while_the_issuer_is_down_and_not_longer_than_allowed() -> None:
    async def story(provider: Provider, issuer: Scripted) -> None:
        await key(provider, "rsa", 0)
        issuer.down = True
        for now in (900, 3600, 86_399):
            assert (await key(provider, "rsa", now)).kid == "rsa"
            assert provider.fresh_keys(now) is None
        assert await reason(provider, "rsa", 86_400) is Reason.DIRECTORY_DOWN
        # That it failed did not make the keys younger.
        assert await reason(provider, "rsa", 86_401) is Reason.DIRECTORY_DOWN
        issuer.down = False
        assert (await key(provider, "rsa", 86_406)).kid == "rsa"

    tell(story)


def test_a_kid_nobody_knows_while_the_issuer_is_down_is_no_proof_against_it() -> None:
    async def story(provider: Provider, issuer: Scripted) -> None:
        await key(provider, "rsa", 0)
        issuer.down = True
        assert await reason(provider, "ec", 31) is Reason.DIRECTORY_DOWN
        assert await reason(provider, "ec", 32) is Reason.DIRECTORY_DOWN

    tell(story)


def test_an_issuer_that_hangs_costs_patience_once() -> None:
    async def story(provider: Provider, issuer: Scripted) -> None:
        loop = asyncio.get_running_loop()
        await key(provider, "rsa", 0)
        issuer.gate = asyncio.Event()
        begun = loop.time()
        assert (await key(provider, "rsa", 901)).kid == "rsa"
        first = loop.time() - begun
        for _ in range(50):
            assert (await key(provider, "rsa", 901)).kid == "rsa"
        assert first >= 0.1
        assert loop.time() - begun < first + 1
        issuer.gate.set()

    tell(story, times=KeyTimes(patience=0.1))


def test_a_clock_that_goes_back_makes_no_key_young() -> None:
    async def story(provider: Provider, issuer: Scripted) -> None:
        await key(provider, "rsa", 1_000_000)
        issuer.down = True
        assert (await key(provider, "rsa", 1_000_000 - 59)).kid == "rsa"
        assert await reason(provider, "rsa", 500_000) is Reason.DIRECTORY_DOWN

    tell(story)


def test_the_place_of_the_keys_is_looked_up_again_after_an_hour_and_after_a_failure() -> None:
    async def story(provider: Provider, issuer: Scripted) -> None:
        await key(provider, "rsa", 0)
        await key(provider, "rsa", 3600)
        issuer.issuer.key_set = b"nonsense"
        assert (await key(provider, "rsa", 4500)).kid == "rsa"
        assert "key set" in str(provider.fault)
        issuer.issuer.key_set = None
        await key(provider, "rsa", 4506)

    assert tell(story) == [DISCOVERY, KEYS, DISCOVERY, KEYS, KEYS, DISCOVERY, KEYS]


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://evil.test"},
        {"issuer": URL + "/"},
        {"issuer": None},
        {"issuer": [URL]},
        {"jwks_uri": "https://evil.test/keys"},
        {"jwks_uri": "http://idp.test/keys"},
        {"jwks_uri": "https://idp.test:8443/keys"},
        {"jwks_uri": "https://idp.test@evil.test/keys"},
        {"jwks_uri": "https://idp.test.evil.test/keys"},
        {"jwks_uri": "//idp.test/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://[idp.test/keys"},
        {"jwks_uri": ""},
        {"jwks_uri": None},
        {"jwks_uri": {}},
    ],
)
def test_discovery_that_speaks_for_another_is_not_followed(discovery: dict[str, Any]) -> None:
    async def story(provider: Provider, issuer: Scripted) -> None:
        assert await reason(provider, "rsa", 0) is Reason.DIRECTORY_DOWN
        assert isinstance(provider.fault, IssuerMismatchError)

    assert tell(story, discovery=discovery) == [DISCOVERY]


def test_keys_may_lie_at_a_host_that_was_named() -> None:
    async def run() -> None:
        issuer = Issuer(url=URL, discovery={"jwks_uri": "https://keys.test/keys"})
        provider = Provider(settings_for(issuer, hosts=("keys.test",)), Scripted(issuer))
        assert (await key(provider, "rsa", 0)).kid == "rsa"
        await provider.close()

    asyncio.run(run())


def test_an_issuer_with_a_slash_at_its_end_keeps_it_and_discovery_has_one_only() -> None:
    async def run() -> None:
        issuer = Issuer(url="https://idp.test/", discovery={"jwks_uri": "https://idp.test/keys"})
        provider = Provider(settings_for(issuer), Scripted(issuer))
        assert (await key(provider, "rsa", 0)).kid == "rsa"
        await provider.close()
        assert issuer.asked == ["https://idp.test/.well-known/openid-configuration", "https://idp.test/keys"]

    asyncio.run(run())


@pytest.mark.parametrize("body", [b"", b"[]", b'{"issuer": "a", "issuer": "b"}', b"<html>", b"\xff"])
def test_discovery_that_is_none(body: bytes) -> None:
    async def fetch(url: str, *, deadline: float, headers: Any = None) -> Fetched:
        return Fetched(status=200, body=body)

    async def run() -> None:
        provider = Provider(settings_for(Issuer(url=URL)), fetch)
        assert await reason(provider, "rsa", 0) is Reason.DIRECTORY_DOWN

    asyncio.run(run())


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 900),
        ({"cache-control": "max-age=1200"}, 1200),
        ({"cache-control": "public, Max-Age=1200, must-revalidate"}, 1200),
        ({"cache-control": 'max-age="1200"'}, 1200),
        ({"cache-control": "max-age=1200", "age": "200"}, 1000),
        ({"cache-control": "max-age=1"}, 60),
        ({"cache-control": "max-age=100", "age": "5000"}, 60),
        ({"cache-control": "max-age=31536000"}, 3600),
        ({"cache-control": "max-age=" + "9" * 5000}, 3600),
        ({"cache-control": "no-cache, no-store"}, 60),
        ({"cache-control": "max-age=1200, no-cache"}, 60),
        ({"cache-control": "no-store"}, 60),
        ({"cache-control": "max-age=-5"}, 900),
        ({"cache-control": "max-age=x"}, 900),
        ({"cache-control": "max-age=²"}, 900),
        ({"cache-control": "s-maxage=5"}, 900),
        ({"cache-control": "max-age=1200", "age": "x"}, 1200),
    ],
)
def test_how_long_an_answer_is_fresh(headers: dict[str, str], seconds: float) -> None:
    assert freshness(Fetched(status=200, headers=headers), TIMES) == seconds


@given(st.text(max_size=60), st.text(max_size=20))
def test_whatever_an_issuer_says_of_caching_stays_within_our_bounds(control: str, age: str) -> None:
    for said in (control, f"max-age={control}", f"max-age=5, {control}"):
        assert (
            60 <= freshness(Fetched(status=200, headers={"cache-control": said, "age": age}), TIMES) <= 3600
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"least_fresh": 0},
        {"fresh": 5},
        {"most_fresh": 10},
        {"stale": 60},
        {"stale": 8 * 86400},
        {"pause_unknown": 0},
        {"pause_failure": 0},
        {"patience": 0},
    ],
)
def test_times_that_cannot_be_meant(wrong: dict[str, Any]) -> None:
    with pytest.raises(OidcSettingsError):
        KeyTimes(**wrong)


# A year of an issuer in a few steps: it changes keys, is down, hangs nobody; we never take a key that is gone.

steps = st.lists(
    st.tuples(
        st.floats(0.1, 50_000),
        st.sampled_from(
            ["ask rsa", "ask ec", "ask unknown", "down", "up", "publish rsa", "publish both", "publish none"]
        ),
    ),
    max_size=25,
)


@settings(max_examples=150)
@given(steps)
def test_a_key_is_never_used_longer_than_allowed_after_it_was_withdrawn(
    done: list[tuple[float, str]],
) -> None:
    sets: dict[str, list[Any]] = {"publish rsa": [RSA], "publish both": [RSA, EC], "publish none": []}

    async def story(provider: Provider, issuer: Scripted) -> None:
        now = 0.0
        last_seen = {"rsa": 0.0, "ec": -1e9}  # when it was last published and the issuer up
        for pause, act in done:
            now += pause
            if not issuer.down:
                last_seen |= {it.kid: now for it in issuer.issuer.keys}
            if act in sets:
                issuer.issuer.keys = sets[act]
            elif act in {"up", "down"}:
                issuer.down = act == "down"
            else:
                kid = act.removeprefix("ask ")
                try:
                    found = await key(provider, kid, now)
                except LoginRefusedError:
                    continue
                except DirectoryDownError:
                    assert issuer.down or provider.fault is not None
                    continue
                assert found.kid == kid
                limit = TIMES.stale if provider.fault else TIMES.fresh
                assert now - last_seen[kid] < limit

    tell(story)
