from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from issuer.claims.account import Trace, new_account
from issuer.claims.operator import OperatorClaims, new_operator
from issuer.delivery import guard
from issuer.findings.rules import validate
from issuer.keys.nkeys import Role, Seed
from issuer.subjects import Subject
from issuer.tokens.envelope import encode
from issuer.tokens.signer import SeedSigner

NOW = 1_700_000_000
OPERATOR, SIGNING, STRANGER = (SeedSigner(Seed.generate(Role.OPERATOR)) for _ in range(3))
ACCOUNT = SeedSigner(Seed.generate(Role.ACCOUNT))


def operator(*, strict: bool = False) -> OperatorClaims:
    claims = new_operator(OPERATOR.public, "Root")
    body = replace(claims.nats, signing_keys=(SIGNING.public,), strict_signing_key_usage=strict)
    return replace(claims, nats=body)


def token(signer: SeedSigner = OPERATOR, *, now: int = NOW, exp: int = 0, **body: Any) -> str:
    claims = new_account(ACCOUNT.public, "Orders")
    claims = replace(claims, exp=exp, nats=replace(claims.nats, **body))
    return encode(claims, signer, now=now).token


def codes(text: str, root: OperatorClaims | None = None, **how: Any) -> list[str]:
    rules = partial(validate, now=NOW)
    return [fault.code for fault in guard.faults(text, root or operator(), now=NOW, validate=rules, **how)]


def test_a_good_token_may_go() -> None:
    text = token(SIGNING)
    assert codes(text, account=ACCOUNT.public, last_iat=NOW, max_payload=1_048_576) == []
    assert guard.check(text, operator(), now=NOW).claims.sub == ACCOUNT.public


@pytest.mark.parametrize(
    ("text", "how", "code"),
    [
        ("garbage", {}, "delivery.unreadable"),
        (token()[:-8] + "AAAAAAAA", {}, "delivery.unreadable"),
        (token(), {"account": STRANGER.public}, "delivery.wrong-account"),
        (token(STRANGER), {}, "delivery.foreign"),
        (token(exp=NOW), {}, "delivery.expired"),
        (token(now=NOW - 1), {"last_iat": NOW}, "delivery.older"),
        (token(), {"max_payload": 100}, "delivery.oversize"),
        ("x" * 1_048_577, {}, "delivery.oversize"),
    ],
)
def test_each_fault_is_named(text: str, how: dict[str, Any], code: str) -> None:
    assert codes(text, **how) == [code]
    with pytest.raises(guard.DeliveryRefused) as caught:
        guard.check(text, operator(), now=NOW, **how)
    assert caught.value.code == code


def test_an_account_signed_by_itself_is_foreign() -> None:
    assert codes(token(ACCOUNT)) == ["delivery.foreign"]


def test_a_strict_operator_does_not_trust_its_identity_key() -> None:
    assert codes(token(), operator(strict=True)) == ["delivery.foreign"]
    assert codes(token(SIGNING), operator(strict=True)) == []


def test_findings_that_block_are_faults() -> None:
    text = token(trace=Trace(dest=Subject("a.*"), sampling=1))
    assert codes(text) == ["delivery.invalid"]


def test_all_faults_are_told_at_once() -> None:
    text = token(STRANGER, now=NOW - 10, exp=NOW - 1)
    assert codes(text, last_iat=NOW, max_payload=10) == [
        "delivery.oversize",
        "delivery.foreign",
        "delivery.expired",
        "delivery.older",
    ]
