from __future__ import annotations

import base64
import json
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from issuer.claims.account import AccountBody, AccountClaims, Scope
from issuer.claims.exchange import ActivationBody, ActivationClaims
from issuer.claims.fields import Envelope
from issuer.claims.operator import OperatorBody, OperatorClaims
from issuer.claims.user import UserBody, UserClaims, new_scoped_user
from issuer.keys.nkeys import Role, Seed
from issuer.subjects import Subject
from issuer.tokens.chain import (
    SCOPED_USER_WORDS,
    Gate,
    Proof,
    account_signers,
    account_trusted,
    activation_trusted,
    may_sign_users,
    member_trusted,
    role_of_signer,
    user_trusted,
)
from issuer.tokens.envelope import Verified, decode, encode
from issuer.tokens.signer import SeedSigner

OPERATOR, OPERATOR_KEY, OTHER_OPERATOR = (Seed.from_raw(Role.OPERATOR, bytes([n]) * 32) for n in (1, 2, 13))
ACCOUNT, ACCOUNT_KEY, ROLE_KEY, OTHER = (Seed.from_raw(Role.ACCOUNT, bytes([n]) * 32) for n in (3, 4, 5, 11))
USER = Seed.from_raw(Role.USER, bytes([6]) * 32)
NOW = 1_700_000_000
C = TypeVar("C", bound=Envelope)


def signed(claims: C, signer: Seed) -> Verified[C]:
    return decode(encode(claims, SeedSigner(signer), now=NOW).token, type(claims))


def operator(*, strict: bool = False, signer: Seed = OPERATOR) -> Verified[OperatorClaims]:
    body = OperatorBody(signing_keys=(OPERATOR_KEY.public,), strict_signing_key_usage=strict)
    return signed(OperatorClaims(sub=OPERATOR.public, nats=body), signer)


def account(*keys: Any, signer: Seed = OPERATOR_KEY) -> Verified[AccountClaims]:
    named = keys or (ACCOUNT_KEY.public, Scope(key=ROLE_KEY.public, role="r"))
    return signed(AccountClaims(sub=ACCOUNT.public, nats=AccountBody(signing_keys=named)), signer)


def user(signer: Seed, issuer_account: str = ACCOUNT.public, **body: Any) -> Verified[UserClaims]:
    claims = UserClaims(sub=USER.public, nats=UserBody(issuer_account=issuer_account, **body))
    return signed(claims, signer)


def refused_at(proof: Proof) -> Gate | None:
    assert bool(proof) is (proof.refusal is None)
    assert [step.gate for step in proof.steps] == sorted(step.gate for step in proof.steps)
    return proof.refusal.gate if proof.refusal else None


def test_nothing_proves_nothing() -> None:
    assert not Proof(())


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("signer", "gate", "gate_if_strict"),
    [
        (OPERATOR, None, Gate.ACCOUNT),
        (OPERATOR_KEY, None, None),
        (OTHER_OPERATOR, Gate.ACCOUNT, Gate.ACCOUNT),
        (ACCOUNT, Gate.ACCOUNT, Gate.ACCOUNT),  # self-signed
    ],
)
def test_who_may_sign_an_account(
    signer: Seed, gate: Gate | None, gate_if_strict: Gate | None, *, strict: bool
) -> None:
    proof = account_trusted(operator(strict=strict), account(signer=signer))
    assert refused_at(proof) is (gate_if_strict if strict else gate)


def test_an_operator_must_stand_for_itself() -> None:
    assert refused_at(account_trusted(operator(signer=OPERATOR_KEY), account())) is None
    assert refused_at(account_trusted(operator(signer=OTHER_OPERATOR), account())) is Gate.OPERATOR


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("signer", "issuer_account", "gate", "gate_if_strict"),
    [
        (ACCOUNT, "", None, Gate.ISSUER),
        (ACCOUNT, ACCOUNT.public, None, Gate.ISSUER),
        (ACCOUNT_KEY, ACCOUNT.public, None, None),
        (ROLE_KEY, ACCOUNT.public, None, None),
        (ACCOUNT_KEY, "", Gate.MEMBER, Gate.MEMBER),
        (ACCOUNT_KEY, OTHER.public, Gate.MEMBER, Gate.MEMBER),
        (OTHER, ACCOUNT.public, Gate.ISSUER, Gate.ISSUER),
        (OTHER, "", Gate.MEMBER, Gate.MEMBER),
    ],
)
def test_who_may_sign_a_user(
    signer: Seed, issuer_account: str, gate: Gate | None, gate_if_strict: Gate | None, *, strict: bool
) -> None:
    proof = user_trusted(operator(strict=strict), account(), user(signer, issuer_account))
    assert refused_at(proof) is (gate_if_strict if strict else gate)
    assert (proof.scope is not None) is (signer is ROLE_KEY)


def test_a_user_of_a_distrusted_account_is_distrusted() -> None:
    assert refused_at(user_trusted(operator(), account(signer=OTHER_OPERATOR), user(ACCOUNT))) is Gate.ACCOUNT


@pytest.mark.parametrize(
    "body",
    [
        {"subs": -1},
        {"data": 1},
        {"payload": -1},
        {"bearer_token": True},
        {"proxy_required": True},
        {"src": ("10.0.0.0/8",)},
        {"times_location": "UTC"},
        {"allowed_connection_types": ("MQTT",)},
    ],
    ids=lambda body: next(iter(body)),
)
def test_a_user_of_a_role_brings_nothing_of_its_own(body: dict[str, Any]) -> None:
    proof = user_trusted(operator(), account(), user(ROLE_KEY, **body))
    assert refused_at(proof) is Gate.ROLE
    assert proof.refusal is not None
    assert proof.refusal.words == SCOPED_USER_WORDS == "scoped users require no permissions or limits set"
    assert proof.scope is None
    assert user_trusted(operator(), account(), user(ACCOUNT_KEY, **body))


def told(**members: Any) -> Verified[UserClaims]:
    """A user of a role whose body is written as given: empty lists are lost in claims, not in tokens."""
    claims = encode(new_scoped_user(USER.public, "u", account=ACCOUNT.public), SeedSigner(ROLE_KEY), now=NOW)
    head, body, _ = claims.token.split(".")
    plain = json.loads(base64.urlsafe_b64decode(body + "=="))
    plain["nats"].update(members)
    message = f"{head}.{base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip('=')}"
    signature = base64.urlsafe_b64encode(ROLE_KEY.sign(message.encode())).decode().rstrip("=")
    return decode(f"{message}.{signature}", UserClaims)


@pytest.mark.parametrize(
    "members",
    [
        {"pub": {"allow": []}},
        {"sub": {"deny": []}},
        {"src": []},
        {"src": ""},
        {"times": []},
        {"allowed_connection_types": []},
        {"resp": {}},
    ],
    ids=json.dumps,
)
def test_an_empty_list_is_something(members: dict[str, Any]) -> None:
    """As measured on the server (claims spec §3.6)."""
    assert refused_at(user_trusted(operator(), account(), told(**members))) is Gate.ROLE


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"pub": {}, "sub": {}},
        {"pub": None},
        {"subs": 0},
        {"bearer_token": False},
        {"resp": None},
        {"pub": {"allow": None}},
        {"times_location": ""},
    ],
    ids=json.dumps,
)
def test_nothing_is_nothing(members: dict[str, Any]) -> None:
    assert refused_at(user_trusted(operator(), account(), told(**members))) is None


def test_of_a_key_listed_twice_the_last_entry_counts() -> None:
    scope = Scope(key=ROLE_KEY.public, role="r")
    own = user(ROLE_KEY, subs=-1)
    body = AccountBody(signing_keys=(scope, ROLE_KEY.public))
    # Encoding sorts by key and keeps the order of equal ones.
    assert user_trusted(operator(), account(scope, ROLE_KEY.public), own)
    assert refused_at(user_trusted(operator(), account(ROLE_KEY.public, scope), own)) is Gate.ROLE
    claims = AccountClaims(sub=ACCOUNT.public, nats=body)
    assert claims.scope(ROLE_KEY.public) is None
    second = replace(scope, role="s")
    twice = replace(claims, nats=AccountBody(signing_keys=(scope, second)))
    assert twice.scope(ROLE_KEY.public) == second


def activation(signer: Seed, issuer_account: str = "") -> Verified[ActivationClaims]:
    body = ActivationBody(subject=Subject("a"), share="stream", issuer_account=issuer_account)
    return signed(ActivationClaims(sub=OTHER.public, nats=body), signer)


@pytest.mark.parametrize(
    ("signer", "issuer_account", "gate"),
    [
        (ACCOUNT, "", None),
        (ACCOUNT, ACCOUNT.public, None),
        (ACCOUNT_KEY, ACCOUNT.public, None),
        (ACCOUNT_KEY, "", Gate.EXPORTER),
        (OTHER, ACCOUNT.public, Gate.GRANTER),
        (OTHER, "", Gate.EXPORTER),
        (ACCOUNT, OTHER.public, Gate.EXPORTER),
        (OPERATOR, ACCOUNT.public, Gate.GRANTER),
    ],
)
def test_who_may_give_away_an_export(signer: Seed, issuer_account: str, gate: Gate | None) -> None:
    assert refused_at(activation_trusted(account(), activation(signer, issuer_account))) is gate


def test_under_strict_usage_a_named_account_must_have_signed_by_a_signing_key() -> None:
    assert activation_trusted(account(), activation(ACCOUNT), strict=True)
    named = activation(ACCOUNT, ACCOUNT.public)
    assert refused_at(activation_trusted(account(), named, strict=True)) is Gate.GRANTER


def test_a_member_is_trusted_where_its_account_is_already() -> None:
    known = account().claims
    assert member_trusted(known, user(ACCOUNT))
    assert member_trusted(known, user(ACCOUNT_KEY), strict=True)
    assert refused_at(member_trusted(known, user(ACCOUNT), strict=True)) is Gate.ISSUER
    assert refused_at(member_trusted(known, user(OTHER))) is Gate.ISSUER
    assert refused_at(member_trusted(known, user(ROLE_KEY, subs=1))) is Gate.ROLE


@pytest.mark.parametrize("strict", [False, True])
def test_the_identity_key_as_one_of_the_signing_keys(*, strict: bool) -> None:
    # Servers put the identity key into their map after the listed ones, but only without strict usage.
    listed = account(Scope(key=ACCOUNT.public, role="self")).claims
    assert may_sign_users(listed, ACCOUNT.public, strict=strict)
    scope = role_of_signer(listed, ACCOUNT.public, strict=strict)
    assert (scope is not None) is strict
    proof = member_trusted(listed, user(ACCOUNT, subs=1), strict=strict)
    assert refused_at(proof) is (Gate.ROLE if strict else None)


@pytest.mark.parametrize("strict", [False, True])
def test_which_keys_sign_accounts(*, strict: bool) -> None:
    keys = account_signers(operator(strict=strict).claims)
    assert keys == ({OPERATOR_KEY.public} if strict else {OPERATOR_KEY.public, OPERATOR.public})
