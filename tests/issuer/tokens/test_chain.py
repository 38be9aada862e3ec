from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

import pytest

from issuer.claims.account import AccountClaims, Scope
from issuer.claims.exchange import ActivationClaims, new_activation
from issuer.claims.operator import OperatorClaims
from issuer.claims.user import UserClaims
from issuer.claims.wire import from_plain
from issuer.keys.nkeys import Role
from issuer.subjects import Subject
from issuer.tokens.chain import (
    SCOPED_USER_WORDS,
    Gate,
    Proof,
    Step,
    account_trusted,
    activation_trusted,
    user_trusted,
)
from issuer.tokens.envelope import HEADER, Verified, decode, encode
from issuer.tokens.signer import SeedSigner
from tests.issuer.claims.making import KEYS, SEEDS

O, OSK, OTHER_O = KEYS[Role.OPERATOR]  # noqa: E741
A, ASK, ROLE_KEY = KEYS[Role.ACCOUNT]
U = KEYS[Role.USER][0]
SIGNERS = {seed.public: SeedSigner(seed) for seeds in SEEDS.values() for seed in seeds}
SCOPE = {"kind": "user_scope", "key": ROLE_KEY, "role": "r", "template": {}, "description": ""}


def operator(*, signer: str = O, strict: bool = False) -> Verified[OperatorClaims]:
    plain = {"sub": O, "nats": {"signing_keys": [OSK], "strict_signing_key_usage": strict}}
    return decode(encode(from_plain(plain, OperatorClaims), SIGNERS[signer], now=1).token, OperatorClaims)


def account(*, signer: str = OSK, sub: str = A) -> Verified[AccountClaims]:
    plain = {"sub": sub, "nats": {"signing_keys": [ASK, SCOPE]}}
    return decode(encode(from_plain(plain, AccountClaims), SIGNERS[signer], now=1).token, AccountClaims)


def user(*, signer: str = ASK, **body: Any) -> Verified[UserClaims]:
    """As written, so that empty lists stay where they are."""
    plain = {"iss": signer, "sub": U, "nats": {"pub": {}, "sub": {}, "type": "user", "version": 2, **body}}
    chunk = base64.urlsafe_b64encode(json.dumps(plain).encode()).rstrip(b"=")
    signature = SIGNERS[signer].sign(HEADER + b"." + chunk)
    token = b".".join((HEADER, chunk, base64.urlsafe_b64encode(signature).rstrip(b"=")))
    return decode(token.decode(), UserClaims)


def verdict(proof: Proof) -> tuple[bool, Gate | None]:
    return bool(proof), proof.refusal.gate if proof.refusal else None


@pytest.mark.parametrize(
    ("by", "strict", "account_by", "expected"),
    [
        (O, False, O, (True, None)),
        (O, False, OSK, (True, None)),
        (O, True, OSK, (True, None)),
        (OSK, True, OSK, (True, None)),
        (O, True, O, (False, Gate.ACCOUNT)),
        (O, False, OTHER_O, (False, Gate.ACCOUNT)),
        (O, False, A, (False, Gate.ACCOUNT)),
        (OTHER_O, False, OSK, (False, Gate.OPERATOR)),
    ],
)
def test_accounts(by: str, strict: bool, account_by: str, expected: tuple[bool, Gate | None]) -> None:
    proof = account_trusted(operator(signer=by, strict=strict), account(signer=account_by))
    assert verdict(proof) == expected


@pytest.mark.parametrize(
    ("strict", "given", "expected"),
    [
        (False, user(signer=A), (True, None)),
        (False, user(signer=A, issuer_account=A), (True, None)),
        (True, user(signer=A), (False, Gate.ISSUER)),
        (True, user(signer=A, issuer_account=A), (False, Gate.ISSUER)),
        (True, user(issuer_account=A), (True, None)),
        (False, user(issuer_account=A, subs=-1, pub={"allow": []}), (True, None)),
        (False, user(), (False, Gate.MEMBER)),
        (False, user(issuer_account=KEYS[Role.ACCOUNT][1]), (False, Gate.MEMBER)),
        (False, user(signer=ROLE_KEY, issuer_account=A), (True, None)),
        (True, user(signer=ROLE_KEY, issuer_account=A), (True, None)),
        (False, user(signer=ROLE_KEY), (False, Gate.MEMBER)),
    ],
)
def test_users(strict: bool, given: Verified[UserClaims], expected: tuple[bool, Gate | None]) -> None:
    assert verdict(user_trusted(operator(strict=strict), account(), given)) == expected


def test_a_user_of_an_unknown_signing_key() -> None:
    bare = decode(encode(AccountClaims(sub=A), SIGNERS[OSK], now=1).token, AccountClaims)
    assert verdict(user_trusted(operator(), bare, user(issuer_account=A))) == (False, Gate.ISSUER)


def test_a_user_of_an_account_of_another_operator() -> None:
    proof = user_trusted(operator(), account(signer=OTHER_O), user(issuer_account=A))
    assert verdict(proof) == (False, Gate.ACCOUNT)
    assert [step.gate for step in proof.steps] == [Gate.OPERATOR, Gate.ACCOUNT]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"subs": 0, "data": 0, "payload": 0},
        {"bearer_token": False, "proxy_required": False},
        {"resp": None, "src": None, "times": None},
        {"pub": {"allow": None}, "sub": None},
        {"times_location": "", "tags": ["a:b"]},
    ],
)
def test_a_roles_user_may_say_nothing(body: dict[str, Any]) -> None:
    proof = user_trusted(operator(), account(), user(signer=ROLE_KEY, issuer_account=A, **body))
    assert proof
    assert proof.steps[-1].gate is Gate.ROLE
    assert isinstance(proof.scope, Scope)
    assert proof.scope.role == "r"


@pytest.mark.parametrize(
    "body",
    [
        {"subs": -1},
        {"data": 1},
        {"payload": -1},
        {"pub": {"allow": []}},
        {"sub": {"deny": []}},
        {"pub": {"allow": ["a"]}},
        {"src": []},
        {"src": ""},
        {"times": []},
        {"allowed_connection_types": []},
        {"resp": {}},
        {"times_location": "UTC"},
        {"bearer_token": True},
        {"proxy_required": True},
    ],
)
def test_a_roles_user_may_say_nothing_of_its_own(body: dict[str, Any]) -> None:
    proof = user_trusted(operator(), account(), user(signer=ROLE_KEY, issuer_account=A, **body))
    assert not proof
    assert proof.refusal == Step(Gate.ROLE, False, SCOPED_USER_WORDS)
    assert proof.scope is None


@pytest.mark.parametrize(
    ("signer", "named", "strict", "expected"),
    [
        (A, "", False, (True, None)),
        (A, A, False, (True, None)),
        (ASK, A, False, (True, None)),
        (ASK, A, True, (True, None)),
        (ROLE_KEY, A, False, (True, None)),
        (A, "", True, (True, None)),
        (A, A, True, (False, Gate.GRANTER)),
        (ASK, "", False, (False, Gate.EXPORTER)),
        (ASK, ASK, False, (False, Gate.EXPORTER)),
        (O, A, False, (False, Gate.GRANTER)),
    ],
)
def test_activations(signer: str, named: str, strict: bool, expected: tuple[bool, Gate | None]) -> None:
    claims = new_activation(KEYS[Role.ACCOUNT][1], Subject("a"), "stream", exporter=named)
    activation = decode(encode(claims, SIGNERS[signer], now=1).token, ActivationClaims)
    assert verdict(activation_trusted(account(), activation, strict=strict)) == expected


def test_no_steps_prove_nothing() -> None:
    assert not Proof(())
    assert Proof(()).refusal is None


def test_steps_are_taken_in_their_order() -> None:
    proof = user_trusted(operator(), account(), user(signer=ROLE_KEY, issuer_account=A))
    assert [step.gate for step in proof.steps] == [1, 2, 3, 4, 5]
    assert all(step.words for step in proof.steps)
