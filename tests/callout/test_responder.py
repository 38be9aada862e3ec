"""Every question that is a server's is answered, once, in time; no other is answered at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from callout.answer import Voice
from callout.policy.model import LEAST_LIFETIME
from callout.refusals import DirectoryDownError, Reason
from callout.responder import Responder, Settings
from callout.tracing import Tracer
from issuer.claims.exchange import AuthorizationResponseClaims, ConnectOptions
from issuer.claims.user import UserClaims
from issuer.grants import Denial, Target
from issuer.keys.nkeys import Role, Seed
from issuer.keys.xkeys import open_sealed
from issuer.tokens.envelope import decode
from issuer.tokens.signer import SeedSigner
from tests.callout.asking import NOW, Asking
from tests.callout.counter import Counter


@dataclass
class Asked:
    """A question, and the answers to it."""

    body: bytes
    sender: str = ""
    parent: str = ""
    answers: list[bytes] = field(default_factory=list)

    async def answer(self, data: bytes) -> None:
        self.answers.append(data)


@dataclass
class Station:
    asking: Asking = field(default_factory=Asking)
    counter: Counter = field(default_factory=lambda: Counter(NOW))
    sealed: bool = False
    settings: Settings = field(default_factory=Settings)
    rules: dict[str, Any] = field(default_factory=dict)
    meet: Callable[[str], Awaitable[bool]] | None = None
    tracer: Tracer | None = None

    def responder(self) -> Responder:
        curve = self.asking.curve if self.sealed else None
        voice = Voice(account=self.asking.account.public, signer=SeedSigner(self.asking.account), curve=curve)
        return Responder(
            self.counter.desk(),
            lambda: voice,
            lambda: self.asking.rules(curve=curve, **self.rules),
            self.counter,
            now=lambda: self.counter.now,
            settings=self.settings,
            meet=self.meet,
            tracer=self.tracer,
        )

    def ask(self, **said: Any) -> Asked:
        options = {"user": "ann", "password": "secret", "protocol": 1, **said}
        token = self.asking.token(self.asking.with_body(connect_opts=ConnectOptions(**options)))
        if self.sealed:
            return Asked(self.asking.sealed(token), self.asking.server_curve.public)
        return Asked(token)

    def answered(self, asked: Asked) -> AuthorizationResponseClaims:
        async def run() -> None:
            responder = self.responder()
            await responder.answer(asked, heard=asyncio.get_running_loop().time())

        asyncio.run(run())
        (data,) = asked.answers
        if self.sealed:
            data = open_sealed(data, recipient=self.asking.server_curve, sender=self.asking.curve.public)
        return decode(data.decode(), AuthorizationResponseClaims).claims

    def reason(self, asked: Asked) -> str:
        response = self.answered(asked)
        assert response.nats.jwt == ""
        return response.nats.error


@pytest.fixture
def station() -> Station:
    return Station()


def test_who_is_known_gets_a_token_for_this_connection(station: Station) -> None:
    response = station.answered(station.ask())
    asking, counter = station.asking, station.counter
    assert (response.sub, response.aud, response.iss) == (
        asking.user.public,
        asking.server.public,
        asking.account.public,
    )
    token = decode(response.nats.jwt, UserClaims, now=NOW).claims
    assert (token.sub, token.name, token.iss) == (asking.user.public, "ann", counter.role.public)
    assert token.exp > NOW + LEAST_LIFETIME
    (login,) = counter.written
    assert (login.jti, login.session.user_key) == (token.jti, asking.user.public)
    assert (login.session.policy_version, login.session.bindings) == (7, ("staff",))
    assert (login.session.server_id, login.session.client_id) == (asking.server.public, 9)


def test_a_sealed_question_is_answered_sealed(station: Station) -> None:
    station.sealed = True
    assert station.answered(station.ask()).nats.jwt


def test_a_sealed_question_is_refused_sealed(station: Station) -> None:
    station.sealed = True
    assert station.reason(station.ask(password="wrong")) == Reason.CREDENTIALS_WRONG


def test_an_answer_names_the_account_its_signing_key_is_of(station: Station) -> None:
    signing = Seed.generate(Role.ACCOUNT)
    asked = station.ask()

    async def run() -> None:
        responder = station.responder()
        voice = Voice(account=station.asking.account.public, signer=SeedSigner(signing))
        responder._voice = lambda: voice
        await responder.answer(asked, heard=asyncio.get_running_loop().time())

    asyncio.run(run())
    response = decode(asked.answers[0].decode(), AuthorizationResponseClaims).claims
    assert (response.iss, response.nats.issuer_account) == (signing.public, station.asking.account.public)


def test_a_server_that_has_just_joined_is_met_before_it_is_answered(station: Station) -> None:
    station.rules = {"servers": frozenset()}
    asked: list[str] = []

    async def meet(server: str) -> bool:
        asked.append(server)
        station.rules["servers"] = frozenset({server})
        return True

    station.meet = meet
    assert station.answered(station.ask()).nats.jwt
    assert asked == [station.asking.server.public]


def test_a_server_nobody_has_seen_gets_no_answer(station: Station) -> None:
    station.rules = {"servers": frozenset()}

    async def meet(_: str) -> bool:
        return False

    station.meet = meet
    asked = station.ask()
    asyncio.run(station.responder().answer(asked, heard=0.0))
    assert asked.answers == []
    ((request, outcome),) = station.counter.told
    assert (request, outcome.reason) == (None, Reason.REQUEST_STRANGER)


# --- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"password": "wrong"}, Reason.CREDENTIALS_WRONG),
        ({"user": "eve"}, Reason.CREDENTIALS_WRONG),
        ({"user": ""}, Reason.NO_DIRECTORY),
    ],
)
def test_who_is_refused_hears_nothing_but_a_code(
    station: Station, said: dict[str, str], reason: Reason
) -> None:
    assert station.reason(station.ask(**said)) == reason
    assert station.counter.written == []
    ((request, outcome),) = station.counter.told
    assert request is not None
    assert outcome.reason is reason
    assert "secret" not in repr((request, outcome))


def test_nobody_is_let_in_by_a_policy_that_does_not_name_him(station: Station) -> None:
    station.counter.policy_data["bindings"] = []
    assert station.reason(station.ask()) == Reason.NO_BINDING


def test_who_was_cut_off_stays_out(station: Station) -> None:
    station.counter.denied = (Denial(target=Target.IDENTITY, issuer="test:names", value="ann"),)
    assert station.reason(station.ask()) == Reason.DENIED
    assert station.counter.written == []


def test_a_login_that_cannot_be_written_down_does_not_happen(station: Station) -> None:
    station.counter.ledger_down = True
    assert station.reason(station.ask()) == Reason.LEDGER_DOWN


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (DirectoryDownError("no answer"), Reason.DIRECTORY_DOWN),
        (RuntimeError("secret"), Reason.FAULT),
    ],
)
def test_what_goes_wrong_lets_nobody_in(station: Station, fault: Exception, reason: Reason) -> None:
    station.counter.directory.fault = fault
    assert station.reason(station.ask()) == reason


def test_a_directory_that_hangs_is_left_before_the_server_gives_up(station: Station) -> None:
    station.counter.directory.wait = 60
    station.settings = Settings(patience=0.3, margin=0.1)
    assert station.reason(station.ask()) == Reason.TOO_LATE


def test_when_too_many_are_under_way_the_next_is_refused_at_once(station: Station) -> None:
    station.counter.directory.wait = 0.3
    station.settings = Settings(most_under_way=2)
    asked = []
    for _ in range(4):
        station.asking.user = Seed.generate(Role.USER)
        asked.append(station.ask())

    async def run() -> list[int]:
        responder = station.responder()
        for each in asked:
            responder.hear(each)
        await asyncio.sleep(0.1)
        early = [number for number, each in enumerate(asked) if each.answers]
        assert await responder.drained(5)
        return early

    early = asyncio.run(run())
    refused = [
        decode(asked[n].answers[0].decode(), AuthorizationResponseClaims).claims.nats.error for n in early
    ]
    assert refused
    assert set(refused) == {Reason.OVERLOADED}
    assert all(len(each.answers) == 1 for each in asked)


def test_what_is_under_way_is_answered_before_the_end(station: Station) -> None:
    station.counter.directory.wait = 0.1
    asked = station.ask()

    async def run() -> bool:
        responder = station.responder()
        responder.hear(asked)
        await asyncio.sleep(0)
        return await responder.drained(5)

    assert asyncio.run(run())
    assert len(asked.answers) == 1


# --- no questions ------------------------------------------------------------------------------------


def test_what_no_server_asked_is_not_answered(station: Station) -> None:
    asked = station.ask()
    asked.body = asked.body[:-4] + b"AAAA"

    async def run() -> None:
        await station.responder().answer(asked, heard=0.0)

    asyncio.run(run())
    assert asked.answers == []
    ((request, outcome),) = station.counter.told
    assert (request, outcome.reason) == (None, Reason.REQUEST_UNSIGNED)


def test_a_question_is_answered_once_however_often_it_comes(station: Station) -> None:
    first, again = station.ask(), station.ask()
    again.body = first.body

    async def run() -> None:
        responder = station.responder()
        for each in (first, again):
            await responder.answer(each, heard=asyncio.get_running_loop().time())

    asyncio.run(run())
    assert (len(first.answers), len(again.answers)) == (1, 0)
    assert len(station.counter.written) == 1
