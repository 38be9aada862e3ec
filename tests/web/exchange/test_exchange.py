"""Who shows a good token and that the key is theirs gets a user token; everybody else reads one text."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout.refusals import DirectoryDownError, Reason
from issuer.claims.user import UserClaims
from issuer.client import TokenType
from issuer.grants import Denial, Target
from issuer.keys.nkeys import Role, Seed
from issuer.tokens.envelope import decode
from issuer.tokens.possession import challenged, signature_text
from issuer.tokens.signer import SeedSigner
from tests.web.exchange.booth import GOOD, NOW, Booth, shown
from web.exchange.reading import JWT
from web.exchange.router import REFUSED
from web.exchange.settings import ExchangeSettings


def test_a_token_of_a_directory_becomes_one_of_a_user() -> None:
    booth = Booth()
    answer = booth.ask()
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found = answer.json()
    token = decode(found.pop("access_token"))
    claims = token.claims
    assert isinstance(claims, UserClaims)
    assert claims.sub == booth.user.public
    assert claims.nats.issuer_account == booth.account.public
    assert claims.exp - NOW == found["expires_in"]
    assert 0.9 * 86_400 <= found.pop("expires_in") <= 86_400
    assert found == {
        "issued_token_type": JWT,
        "token_type": "N_A",
        "account": "GRID",
        "servers": ["nats://n1:4222"],
    }


def test_it_is_written_down_as_a_session_without_a_server() -> None:
    booth = Booth()
    booth.ask()
    (login,) = booth.written
    session = login.session
    assert session.portable
    assert (session.user_key, session.name) == (booth.user.public, "ann")
    assert (session.connection_type, session.address) == ("exchange", "192.0.2.7")


def test_json_is_taken_as_well_as_a_form() -> None:
    booth = Booth()
    assert booth.client.post("/api/v1/token", json=booth.form()).status_code == 200


def other_key(booth: Booth) -> dict[str, str]:
    return booth.form(public_key=Seed.generate(Role.USER).public)


def other_token(booth: Booth) -> dict[str, str]:
    return booth.form("of-nobody", subject_token=GOOD)


def other_nonce(booth: Booth) -> dict[str, str]:
    return booth.form(nonce=booth.nonce()) | {"nonce": booth.nonce()}


def own_nonce(booth: Booth) -> dict[str, str]:
    return booth.form(nonce="A" * 76)


def bare_nonce(booth: Booth) -> dict[str, str]:
    """Signed as a server has its clients sign: that signature must be worth nothing here."""
    nonce = booth.nonce()
    return booth.form(nonce=nonce, signature=signature_text(booth.user.sign(nonce.encode())))


def late(booth: Booth) -> dict[str, str]:
    form = booth.form()
    booth.now += 61
    return form


def replayed(booth: Booth) -> dict[str, str]:
    form = booth.form()
    assert booth.ask(form).status_code == 200
    return form


def wrong_token(booth: Booth) -> dict[str, str]:
    return booth.form("of-nobody")


def denied(booth: Booth) -> dict[str, str]:
    booth.denied = (Denial(target=Target.IDENTITY, issuer="test:names", value="ann"),)
    return booth.form()


def down(booth: Booth) -> dict[str, str]:
    booth.tokens.fault = DirectoryDownError("the issuer does not answer")
    return booth.form()


def unbound(booth: Booth) -> dict[str, str]:
    booth.policy_data["bindings"][0]["match"] = {"groups": "staff"}
    return booth.form()


REFUSALS = [
    (other_key, Reason.POSSESSION),
    (other_token, Reason.POSSESSION),
    (other_nonce, Reason.POSSESSION),
    (own_nonce, Reason.POSSESSION),
    (bare_nonce, Reason.POSSESSION),
    (late, Reason.POSSESSION),
    (replayed, Reason.REQUEST_REPLAYED),
    (wrong_token, Reason.CREDENTIALS_WRONG),
    (denied, Reason.DENIED),
    (down, Reason.DIRECTORY_DOWN),
    (unbound, Reason.NO_BINDING),
]


@pytest.mark.parametrize(("case", "reason"), REFUSALS, ids=[case.__name__ for case, _ in REFUSALS])
def test_every_no_is_the_same_to_a_client_and_told_to_the_operator(case: Any, reason: Reason) -> None:
    policy = {
        "version": 1,
        "bindings": [
            {"name": "staff", "match": {"directory": "names"}, "account": "GRID", "roles": ["reader"]}
        ],
    }
    booth, plain = Booth(policy_data=policy), Booth()
    answer = booth.ask(case(booth))
    assert shown(answer) == shown(plain.ask(wrong_token(plain)))
    assert answer.json()["detail"] == REFUSED
    assert answer.headers["content-type"] == "application/problem+json"
    assert booth.reasons == [reason]
    seat, outcome = booth.turned[0]
    assert seat is not None
    assert (seat.user, seat.address) == (booth.form()["public_key"], "192.0.2.7") or case is other_key
    assert GOOD not in outcome.message


@pytest.mark.parametrize("case", [other_key, late, own_nonce], ids=lambda case: case.__name__)
def test_no_directory_is_asked_before_the_key_is_proved(case: Any) -> None:
    booth = Booth()
    booth.ask(case(booth))
    assert booth.tokens.asked == []


def test_a_challenge_that_failed_is_not_spent() -> None:
    """Else whoever sees one could use it up for its owner."""
    booth = Booth()
    form = booth.form()
    booth.ask(form | {"public_key": Seed.generate(Role.USER).public})
    assert booth.ask(form).status_code == 200


def test_a_directory_that_hangs_is_waited_for_so_long() -> None:
    booth = Booth(ExchangeSettings(patience=0.2))
    booth.tokens.wait = 30
    assert booth.ask().status_code == 400
    assert booth.reasons == [Reason.TOO_LATE]


@pytest.mark.parametrize(
    ("fault", "ledger_down", "reason"),
    [(None, True, Reason.LEDGER_DOWN), (RuntimeError("of ours: " + GOOD), False, Reason.FAULT)],
    ids=["ledger", "defect"],
)
def test_a_fault_of_ours_lets_nobody_in_and_may_be_tried_again(
    fault: Exception | None, ledger_down: bool, reason: Reason
) -> None:
    booth = Booth(ledger_down=ledger_down)
    booth.tokens.fault = fault
    answer = booth.ask()
    assert answer.status_code == 503
    assert "access_token" not in answer.text
    assert GOOD not in answer.text
    assert booth.reasons == [reason]
    assert GOOD not in booth.turned[0][1].message


def test_no_token_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "accredit")
    booth = Booth()
    for form in (booth.form(), booth.form("of-nobody"), booth.form(subject_token_type="x")):
        booth.ask(form)
    assert caplog.records
    assert GOOD not in caplog.text
    assert "of-nobody" not in caplog.text


# --- portable tokens are given less ---------------------------------------------------------------------


def test_a_portable_token_lives_no_longer_than_configured() -> None:
    booth = Booth(ExchangeSettings(max_lifetime=600))
    assert 540 <= booth.ask().json()["expires_in"] <= 600


def test_a_policy_that_gives_less_gives_less() -> None:
    policy = {
        "version": 1,
        "max-lifetime": "5m",
        "bindings": [
            {"name": "staff", "match": {"directory": "names"}, "account": "GRID", "roles": ["reader"]}
        ],
    }
    booth = Booth(ExchangeSettings(max_lifetime=600), policy_data=policy)
    assert booth.ask().json()["expires_in"] <= 300


@pytest.mark.parametrize(("accounts", "code"), [(("GRID",), 200), (("OTHER",), 400), (None, 200)])
def test_only_accounts_on_the_list(accounts: tuple[str, ...] | None, code: int) -> None:
    booth = Booth(ExchangeSettings(accounts=accounts))
    assert booth.ask().status_code == code
    assert booth.reasons == ([] if code == 200 else [Reason.NOT_OFFERED])


def test_an_account_may_stand_there_by_its_key() -> None:
    booth = Booth()
    booth.client = booth.over(booth.replica(ExchangeSettings(accounts=(booth.account.public,))))
    assert booth.ask().status_code == 200


def test_bindings_can_be_for_logins_only_or_for_exchanges_only() -> None:
    def of(kind: Any) -> Booth:
        match = {"directory": "names", "connection-type": kind}
        binding = {"name": "staff", "match": match, "account": "GRID", "roles": ["reader"]}
        return Booth(policy_data={"version": 1, "bindings": [binding]})

    assert of("exchange").ask().status_code == 200
    assert of(["standard", "websocket", "mqtt"]).ask().status_code == 400
    assert of({"not": "exchange"}).ask().status_code == 400


# --- replicas -------------------------------------------------------------------------------------------


def test_a_challenge_of_one_replica_is_good_at_another_and_not_at_a_strangers() -> None:
    booth = Booth()
    assert booth.ask(client=booth.over(booth.replica())).status_code == 200
    strangers = Booth()
    assert booth.ask(client=strangers.client).status_code == 400


def test_a_new_key_of_the_account_voids_only_the_challenges_of_before() -> None:
    booth = Booth()
    form = booth.form()
    booth.signer = SeedSigner(Seed.generate(Role.ACCOUNT))
    assert booth.ask(form).status_code == 400
    assert booth.ask().status_code == 200


# --- how often ------------------------------------------------------------------------------------------


def test_an_address_that_asks_too_often_waits() -> None:
    booth = Booth(ExchangeSettings(address_rate=1.0, address_burst=3))
    forms = [booth.form() for _ in range(3)]
    assert booth.client.post("/api/v1/token/challenge").status_code == 429
    assert [booth.ask(form).status_code for form in forms] == [200] * 3
    answer = booth.ask(forms[0])
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    booth.now += 1
    assert booth.ask().status_code == 200


def test_a_token_that_is_shown_too_often_waits_wherever_it_comes_from() -> None:
    booth = Booth(ExchangeSettings(token_rate=0.1, token_burst=2))
    assert [booth.ask().status_code for _ in range(3)] == [200, 200, 429]
    assert len(booth.tokens.asked) == 2
    assert booth.ask(booth.form("of-nobody")).status_code == 400


# --- hostile bodies -------------------------------------------------------------------------------------

TOKEN_TEXT = st.text(max_size=40)
FORMS = st.fixed_dictionaries(
    {},
    optional={
        name: st.one_of(TOKEN_TEXT, st.sampled_from(values))
        for name, values in {
            "grant_type": ["urn:ietf:params:oauth:grant-type:token-exchange"],
            "subject_token": [GOOD, "a.b.c", "\ud800"],
            "subject_token_type": [*TokenType],
            "public_key": [Seed.generate(Role.USER).public, Seed.generate(Role.ACCOUNT).public],
            "nonce": ["A" * 76, "_" * 76, "é" * 76],
            "signature": ["A" * 86, "_" * 86, "é" * 86],
            "requested_token_type": [JWT],
            "actor_token": ["", "x"],
        }.items()
    },
)
BODIES = st.one_of(
    st.binary(max_size=200).map(lambda body: ("application/x-www-form-urlencoded", body)),
    st.tuples(
        st.sampled_from(["application/json", "text/plain", "", "application/json; charset=utf-16"]),
        st.binary(max_size=200),
    ),
    FORMS.map(lambda form: ("application/json", json.dumps(form).encode())),
    st.recursive(
        st.none() | st.integers() | TOKEN_TEXT, lambda inner: st.lists(inner, max_size=3), max_leaves=5
    ).map(lambda value: ("application/json", json.dumps({"subject_token": value}).encode())),
)


class TestHostile:
    booth = Booth(
        ExchangeSettings(address_rate=1e6, address_burst=1_000_000, token_rate=1e6, token_burst=1_000_000)
    )

    @given(BODIES)
    def test_whatever_is_sent_is_answered_with_a_problem_and_never_a_fault(
        self, sent: tuple[str, bytes]
    ) -> None:
        kind, body = sent
        answer = self.booth.client.post("/api/v1/token", content=body, headers={"content-type": kind})
        assert answer.status_code == 400
        problem = answer.json()
        assert problem["status"] == 400
        assert problem["error"] in {"invalid_request", "invalid_grant"}
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "body",
    [
        b"grant_type=a&grant_type=b",
        b'{"grant_type": "a", "grant_type": "b"}',
        b"[" * 100_000,
        b"&".join(b"a%d=b" % number for number in range(100)),
        b"\xff\xfe",
        b'{"nonce": "\\ud800"}',
    ],
    ids=["form-twice", "json-twice", "deep", "many", "no-text", "half-a-pair"],
)
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_bodies_that_readers_take_differently_are_none(kind: str, body: bytes) -> None:
    booth = Booth()
    answer = booth.client.post("/api/v1/token", content=body, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "changed",
    [
        {"grant_type": "authorization_code"},
        {"grant_type": "password"},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:saml2"},
        {"actor_token": "of somebody"},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"},
        {"subject_token_type": TokenType.API_KEY},
        {"subject_token": ""},
        {"public_key": Seed.generate(Role.ACCOUNT).public},
        {"public_key": Seed.generate(Role.USER).reveal()},
    ],
    ids="-".join,
)
def test_what_is_not_asked_for_as_it_must_be_is_no_request(changed: dict[str, str]) -> None:
    booth = Booth()
    answer = booth.ask(booth.form(**changed))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert all(value not in answer.text for value in changed.values() if value)


def test_an_unknown_parameter_is_passed_over() -> None:
    """RFC 6749 §3.2"""
    booth = Booth()
    assert booth.ask(booth.form(scope="all", audience="nats")).status_code == 200


@pytest.mark.parametrize("told", [True, False], ids=["said-so", "streamed"])
def test_a_body_that_is_too_large_is_not_read(told: bool) -> None:
    booth = Booth(ExchangeSettings(max_bytes=1024))
    sent = 0

    async def body() -> Any:
        nonlocal sent
        for _ in range(100):
            sent += 1024
            yield b"x" * 1024

    content = b"x" * 102_400 if told else body()
    answer = booth.client.post("/api/v1/token", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert sent <= 2048


# --- sources --------------------------------------------------------------------------------------------


def test_sources_tell_what_a_login_needs() -> None:
    answer = Booth().client.get("/api/v1/token/sources")
    assert answer.json() == {
        "sources": [
            {
                "name": "okta",
                "issuer": "https://id.example",
                "client_id": "cli",
                "scopes": ["openid", "groups"],
            }
        ]
    }


def test_the_client_of_ours_signs_what_the_service_checks() -> None:
    """One function on both sides; its bytes are the protocol, and must not change."""
    seed = Seed.from_raw(Role.USER, bytes(range(32)))
    assert challenged("nonce", seed.public, "token") == (
        b"accredit-token-exchange-v1\nnonce\n"
        + seed.public.encode()
        + b"\n3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0"
    )
