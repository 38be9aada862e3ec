"""Programs renew before their token ends, hold on when that fails, and keep their seed to themselves."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import pytest

from issuer import client as module
from issuer import https
from issuer.client import Credentials, Issued, NotExchanged, TokenType, exchange
from issuer.errors import PeerError, Unavailable
from issuer.keys.nkeys import Role, Seed, verify
from tests.web.exchange.booth import GOOD, NOW, Booth

URL = "http://127.0.0.1:8521"


@pytest.fixture
def booth(monkeypatch: pytest.MonkeyPatch) -> Booth:
    """The real service, called without a socket."""
    made = Booth()
    called: Callable[..., Any] = lambda method, url, body, ca_file, seconds: _answer(made, method, url, body)  # noqa: E731
    monkeypatch.setattr(https, "_call", called)
    return made


def _answer(booth: Booth, method: str, url: str, body: bytes | None) -> https.Answer:
    path = url.removeprefix(URL)
    headers = {"content-type": https.FORM}
    found = (
        booth.client.get(path) if method == "GET" else booth.client.post(path, content=body, headers=headers)
    )
    return https.Answer(found.status_code, dict(found.headers), found.content)


def test_both_sides_of_an_exchange_agree(booth: Booth) -> None:
    seed = Seed.generate(Role.USER)
    issued = exchange(URL + "/", GOOD, seed, now=lambda: NOW)
    assert booth.written[0].session.user_key == seed.public
    assert (issued.account, issued.servers) == ("GRID", ("nats://n1:4222",))
    assert 0 < issued.expires_at - NOW <= 86_400
    assert issued.token not in repr(issued)


def test_no_is_an_error_of_its_own(booth: Booth) -> None:
    with pytest.raises(NotExchanged) as refused:
        exchange(URL, "of-nobody", Seed.generate(Role.USER))
    assert "of-nobody" not in str(refused.value)


def test_too_often_is_no_refusal(booth: Booth) -> None:
    for _ in range(10):
        exchange(URL, GOOD, Seed.generate(Role.USER))
    with pytest.raises(Unavailable):
        exchange(URL, GOOD, Seed.generate(Role.USER))


def test_what_accredit_offers(booth: Booth) -> None:
    (source,) = module.sources(URL)
    assert (source.name, source.scopes) == ("okta", ("openid", "groups"))


@pytest.mark.parametrize(
    "body",
    [b"{}", b'{"nonce": 5}', b'{"nonce": ""}', b'{"nonce": "n"}', b'{"nonce": "n", "access_token": "t", "account": "A", "servers": 1, "expires_in": 1}', b"[]"],
)  # fmt: skip
def test_what_is_not_accredit(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "_call", lambda *_: https.Answer(200, {}, body))
    with pytest.raises(PeerError):
        exchange(URL, GOOD, Seed.generate(Role.USER))
    with pytest.raises(PeerError):
        module.sources(URL)


@pytest.mark.parametrize(("status", "kind"), [(404, PeerError), (502, Unavailable), (301, PeerError)])
def test_what_is_in_between(status: int, kind: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "_call", lambda *_: https.Answer(status, {}, b"<html>"))
    with pytest.raises(kind):
        exchange(URL, GOOD, Seed.generate(Role.USER))


class Reconnecting:
    """A client of nats-py, as far as it is needed: it notes the token it would come in with."""

    def __init__(self, credentials: Credentials, *, most: int) -> None:
        self._credentials = credentials
        self._most = most
        self.came: list[str] = []

    @property
    def is_closed(self) -> bool:
        return len(self.came) >= self._most

    async def force_reconnect(self) -> None:
        self.came.append(self._credentials.user_jwt_cb().decode())


def of(number: int, *, lasts: float = 0.01) -> Issued:
    return Issued(f"token-{number}", NOW, NOW + lasts, "GRID", ())


def test_a_failed_renewal_is_tried_again_and_the_token_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    course: list[Issued | Exception] = [of(1), Unavailable("down"), NotExchanged("no"), of(2), of(3)]

    def step(*_: object, **__: object) -> Issued:
        found = course.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(module, "exchange", step)
    monkeypatch.setattr(module, "LEAST_PAUSE", 0.01)

    async def run() -> None:
        credentials = Credentials(URL, lambda: GOOD, clock=lambda: NOW)
        assert credentials.user_jwt_cb() == b""
        await credentials.renew()
        client = Reconnecting(credentials, most=2)
        async with asyncio.timeout(5):
            await credentials.keep(client)
        assert client.came == ["token-2", "token-3"]

    asyncio.run(run())


def test_it_renews_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(module, "exchange", lambda *_, **__: of(1, lasts=1000))

    async def run() -> None:
        credentials = Credentials(URL, lambda: GOOD, clock=lambda: NOW)
        await credentials.renew()
        await credentials.keep(Reconnecting(credentials, most=1))

    asyncio.run(run())
    assert slept == [700]


def test_the_token_of_the_provider_is_asked_for_each_time_and_may_take_its_time(booth: Booth) -> None:
    asked = 0

    async def token() -> str:
        nonlocal asked
        asked += 1
        return GOOD

    async def run() -> None:
        seed = Seed.generate(Role.USER)
        credentials = Credentials(URL, token, kind=TokenType.ACCESS_TOKEN, seed=seed)
        await credentials.renew()
        await credentials.renew()
        assert credentials.servers == ["nats://n1:4222"]
        assert verify(seed.public, b"nonce", base64.b64decode(credentials.signature_cb("nonce")))

    asyncio.run(run())
    assert asked == 2
    assert {login.session.user_key for login in booth.written} == {booth.written[0].session.user_key}
