"""A request is believed only when every step of its proof holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout.refusals import LoginRefusedError, Reason
from callout.request import MAX_BYTES, AuthorizationRequest, SeenUsers, prove
from issuer.claims.exchange import ClientTLS, ConnectOptions, ServerID
from issuer.claims.user import new_user
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.tokens.envelope import encode
from issuer.tokens.signer import SeedSigner
from tests.callout.asking import NOW, PATIENCE, Asking


@pytest.fixture
def asking() -> Asking:
    return Asking()


def proved(
    asking: Asking, body: bytes, *, sender: str = "", now: int = NOW, **rules: Any
) -> AuthorizationRequest:
    return prove(body, sender, asking.rules(**rules), SeenUsers(), now=now)


def reason(asking: Asking, body: bytes, **how: Any) -> Reason:
    with pytest.raises(LoginRefusedError) as refused:
        proved(asking, body, **how)
    return refused.value.reason


def test_what_a_good_one_tells(asking: Asking) -> None:
    request = proved(asking, asking.token())
    assert (request.user, request.server.id) == (asking.user.public, asking.server.public)
    assert (request.credentials.user, request.credentials.password) == ("ann", "secret")
    assert (request.client.id, request.credentials.address) == (9, "192.0.2.7")
    assert (request.shown, request.sealed, request.patience) == ("sentinel", False, PATIENCE)


def test_the_chain_is_the_one_the_server_verified(asking: Asking) -> None:
    tls = ClientTLS(
        version="1.3", certs=("presented",), verified_chains=(("leaf", "root"), ("leaf", "other"))
    )
    assert proved(asking, asking.token(asking.with_body(client_tls=tls))).credentials.certificates == (
        "leaf",
        "root",
    )


def test_a_certificate_nobody_verified_is_none(asking: Asking) -> None:
    tls = ClientTLS(version="1.3", certs=("presented",))
    assert proved(asking, asking.token(asking.with_body(client_tls=tls))).credentials.certificates == ()


def test_nothing_of_a_request_is_shown(asking: Asking) -> None:
    assert "secret" not in repr(proved(asking, asking.token()))


FOREIGN = Seed.generate(Role.SERVER)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda a: a.token(a.claims(aud="")), Reason.REQUEST_FOREIGN),
        (lambda a: a.token(a.claims(aud="nats-authorization-response")), Reason.REQUEST_FOREIGN),
        (lambda a: a.token(by=FOREIGN), Reason.REQUEST_FOREIGN),
        (lambda a: a.token(a.with_body(server_id=ServerID(id=""))), Reason.REQUEST_FOREIGN),
        (lambda a: a.token(a.claims(sub=Seed.generate(Role.ACCOUNT).public)), Reason.REQUEST_FOREIGN),
        (lambda a: a.token(a.claims(exp=0)), Reason.REQUEST_EXPIRED),
        (lambda a: a.token(a.claims(exp=NOW - 6)), Reason.REQUEST_EXPIRED),
        (lambda a: a.token(a.claims(exp=NOW + 60), at=NOW + 6), Reason.REQUEST_EXPIRED),
        (lambda a: a.token(a.with_body(user_nkey="")), Reason.REQUEST_MALFORMED),
        (lambda a: a.token(a.with_body(user_nkey=a.account.public)), Reason.REQUEST_MALFORMED),
        (lambda a: a.token()[:-4] + b"AAAA", Reason.REQUEST_UNSIGNED),
        (lambda a: b"", Reason.REQUEST_UNSIGNED),
        (lambda a: b"\xff.a.b", Reason.REQUEST_MALFORMED),
        (lambda a: b"a" * (MAX_BYTES + 1), Reason.REQUEST_MALFORMED),
        (lambda a: a.sealed(a.token()), Reason.REQUEST_UNSEALED),
    ],
)  # fmt: skip
def test_no_request(asking: Asking, change: Callable[[Asking], bytes], expected: Reason) -> None:
    assert reason(asking, change(asking)) is expected


def test_a_user_cannot_ask(asking: Asking) -> None:
    token = encode(new_user(asking.user.public, "x"), SeedSigner(asking.account), now=NOW).token
    assert reason(asking, token.encode()) is Reason.REQUEST_UNSIGNED


def test_clocks_may_differ_a_little(asking: Asking) -> None:
    assert proved(asking, asking.token(), now=NOW + PATIENCE + 5)
    assert proved(asking, asking.token(), now=NOW - 5)


# --- sealing -----------------------------------------------------------------------------------------


def test_sealed(asking: Asking) -> None:
    sender = asking.server_curve.public
    request = proved(asking, asking.sealed(asking.token()), sender=sender, curve=asking.curve)
    assert request.sealed


def test_a_plain_request_where_sealing_is_asked_for_is_a_downgrade(asking: Asking) -> None:
    sender = asking.server_curve.public
    assert reason(asking, asking.token(), sender=sender, curve=asking.curve) is Reason.REQUEST_UNSEALED


def test_the_header_alone_does_not_say_who_sealed(asking: Asking) -> None:
    other = Seed.generate(Role.CURVE)
    body = asking.sealed(asking.token(), by=other)
    assert reason(asking, body, sender=other.public, curve=asking.curve) is Reason.REQUEST_FOREIGN


@pytest.mark.parametrize(
    "sender",
    ["", "garbage", Seed.generate(Role.CURVE).public, FOREIGN.public],
    ids=["nobody", "garbage", "another", "no curve key"],
)
def test_what_does_not_open(asking: Asking, sender: str) -> None:
    assert (
        reason(asking, asking.sealed(asking.token()), sender=sender, curve=asking.curve)
        is Reason.REQUEST_UNSEALED
    )


# --- whose server, and how often ---------------------------------------------------------------------


def test_a_server_that_was_never_seen_asks_in_vain(asking: Asking) -> None:
    known = frozenset({FOREIGN.public})
    assert reason(asking, asking.token(), servers=known) is Reason.REQUEST_STRANGER
    assert proved(asking, asking.token(), servers=known | {asking.server.public})


def test_the_same_request_again_is_refused(asking: Asking) -> None:
    seen, body = SeenUsers(), asking.token()
    assert prove(body, "", asking.rules(), seen, now=NOW)
    with pytest.raises(LoginRefusedError) as refused:
        prove(body, "", asking.rules(), seen, now=NOW + PATIENCE + 5)
    assert refused.value.reason is Reason.REQUEST_REPLAYED


def test_another_request_for_the_same_user_key_is_refused(asking: Asking) -> None:
    seen = SeenUsers()
    prove(asking.token(), "", asking.rules(), seen, now=NOW)
    again = asking.with_body(connect_opts=ConnectOptions(user="eve", password="x"))
    with pytest.raises(LoginRefusedError) as refused:
        prove(asking.token(again), "", asking.rules(), seen, now=NOW)
    assert refused.value.reason is Reason.REQUEST_REPLAYED


def test_a_request_that_is_not_proved_uses_up_no_user_key(asking: Asking) -> None:
    seen = SeenUsers()
    with pytest.raises(LoginRefusedError):
        prove(asking.token(asking.claims(aud="x")), "", asking.rules(), seen, now=NOW)
    assert prove(asking.token(), "", asking.rules(), seen, now=NOW)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30), st.integers(0, 10)), max_size=60))
def test_user_keys_are_kept_as_long_as_they_count_and_no_longer(steps: list[tuple[int, int, int]]) -> None:
    seen, model, now = SeenUsers(most=4), dict[str, int](), 0
    for number, lasts, passed in steps:
        now += passed
        model = {user: until for user, until in model.items() if until >= now}
        user = PublicKey(f"U{number}")
        expected = user not in model and len(model) < 4
        assert seen.fresh(user, until=now + lasts, now=now) is expected
        if expected:
            model[user] = now + lasts
        assert len(seen) == len(model)
