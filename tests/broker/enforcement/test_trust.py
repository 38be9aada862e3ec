from __future__ import annotations

from typing import Any

import pytest

from broker.enforcement.trust import Trust, TrustError
from issuer.claims.fields import with_body
from issuer.claims.operator import new_operator
from issuer.claims.user import UserClaims, new_scoped_user, new_user
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.tokens.envelope import TokenError, encode
from issuer.tokens.signer import SeedSigner

OPERATOR, KEY, OTHER = (Seed.from_raw(Role.OPERATOR, bytes([n]) * 32) for n in (1, 2, 13))
ACCOUNT, SYSTEM = (Seed.from_raw(Role.ACCOUNT, bytes([n]) * 32) for n in (3, 4))
USER = Seed.from_raw(Role.USER, bytes([6]) * 32)
NOW = 1_700_000_000


def operator(seed: Seed = OPERATOR, *, strict: bool = False, system: str = "") -> str:
    claims = with_body(
        new_operator(seed.public, "GRID"),
        signing_keys=(KEY.public,),
        strict_signing_key_usage=strict,
        system_account=system,
    )
    return encode(claims, SeedSigner(seed), now=NOW).token


def token(user: UserClaims) -> str:
    return encode(user, SeedSigner(ACCOUNT), now=NOW).token


def test_an_operators_keys_sign_accounts_its_identity_only_where_usage_is_not_strict() -> None:
    lenient, strict = Trust.of([operator()]), Trust.of([operator(strict=True)])
    assert lenient.keys == {OPERATOR.public, KEY.public}
    assert lenient.strict_signers == frozenset()
    assert strict.keys == strict.strict_signers == {KEY.public}


def test_several_operators_add_up() -> None:
    trust = Trust.of([operator(strict=True), operator(OTHER, system=SYSTEM.public)])
    assert trust.keys == {KEY.public, OTHER.public}
    # Only the first is asked for the system account.
    assert trust.system_account is None
    assert Trust.of([operator(system=SYSTEM.public)]).system_account == SYSTEM.public


def test_keys_without_an_operator_are_trust_as_well() -> None:
    trust = Trust.of([], (KEY.public,))
    assert trust.keys == {KEY.public}
    assert trust.operators == ()


def test_the_system_account_is_always_among_the_pinned() -> None:
    trust = Trust.of([operator(system=SYSTEM.public)], pinned=(ACCOUNT.public,))
    assert trust.pinned == {ACCOUNT.public, SYSTEM.public}
    assert Trust.of([operator(system=SYSTEM.public)]).pinned == frozenset()


@pytest.mark.parametrize(
    "sentinel",
    [
        with_body(new_user(USER.public, "anyone"), bearer_token=True),
        new_scoped_user(USER.public, "anyone", account=ACCOUNT.public),
    ],
)
def test_a_default_token_bears_or_looks_like_a_roles(sentinel: UserClaims) -> None:
    assert Trust.of([operator()], default_sentinel=token(sentinel)).default_sentinel


@pytest.mark.parametrize(
    ("operators", "options", "words"),
    [
        ([], {}, "no operator is trusted"),
        ([operator()], {"trusted_keys": (KEY.public,)}, "conflicting options"),
        ([], {"trusted_keys": (ACCOUNT.public,)}, "required to be a valid public operator nkey"),
        ([operator()], {"pinned": (KEY.public,)}, "not a valid public account nkey"),
        ([operator()], {"default_sentinel": "garbage"}, "default sentinel JWT not valid"),
        (
            [operator()],
            {"default_sentinel": token(new_user(USER.public, "x"))},
            "default sentinel must be a bearer token",
        ),
        (
            [],
            {
                "trusted_keys": (PublicKey(KEY.public),),
                "default_sentinel": token(with_body(new_user(USER.public, "x"), bearer_token=True)),
            },
            "default sentinel requires operators",
        ),
    ],
)
def test_options_with_which_no_server_starts(
    operators: list[str], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(TrustError, match=words):
        Trust.of(operators, **options)


def test_an_operator_must_verify() -> None:
    with pytest.raises(TokenError):
        Trust.of([operator()[:-4]])
