from __future__ import annotations

from typing import Any

import pytest

from issuer.claims.account import AccountClaims
from issuer.claims.exchange import ActivationClaims, GenericClaims
from issuer.claims.operator import OperatorClaims
from issuer.claims.user import UserClaims
from issuer.claims.wire import ClaimSyntaxError
from issuer.tokens.version_one import modernised


def test_an_account_keeps_what_go_keeps() -> None:
    plain = {
        "sub": "A",
        "type": "account",
        "tags": ["Mixed"],
        "nats": {
            "limits": {"subs": 5, "mem_storage": 9},
            "signing_keys": ["K"],
            "revocations": {"*": 1},
            "mappings": {"a": []},
            "default_permissions": {"pub": {"allow": ["a"]}},
        },
    }
    claims: AccountClaims = modernised(plain, AccountClaims)
    body = claims.nats
    assert (body.type, body.version, body.tags) == ("account", 1, ("Mixed",))
    assert (body.limits.subs, body.limits.conn, body.limits.mem_storage) == (5, 0, 0)
    assert body.signing_keys == ("K",)
    assert body.revocations == {"*": 1}
    assert body.mappings == {}
    assert body.default_permissions.empty()


def test_a_user_without_limits_had_none() -> None:
    plain = {
        "type": "user",
        "issuer_account": "A",
        "nats": {"payload": 5, "max": 7, "src": "::1/128,10.0.0.0/8"},
    }
    body = modernised(plain, UserClaims).nats
    assert (body.subs, body.data, body.payload) == (-1, -1, 5)
    assert body.issuer_account == "A"
    assert body.src == ("::1/128", "10.0.0.0/8")
    assert body.extra == {}


def test_an_activation_called_its_kind_type() -> None:
    plain = {
        "type": "activation",
        "issuer_account": "A",
        "nats": {"subject": "a", "type": "stream", "max": 1},
    }
    body = modernised(plain, ActivationClaims).nats
    assert (body.subject, body.share, body.issuer_account, body.type) == ("a", "stream", "A", "activation")


def test_an_operator_had_no_strict_usage() -> None:
    plain = {"type": "operator", "nats": {"signing_keys": ["O"], "strict_signing_key_usage": True}}
    body = modernised(plain, OperatorClaims).nats
    assert body.signing_keys == ("O",)
    assert not body.strict_signing_key_usage


def test_generic_claims_take_kind_and_tags_into_their_body() -> None:
    claims = modernised({"type": "thing", "tags": ["a"], "x": 1}, GenericClaims)
    assert claims.nats == {"type": "thing", "tags": ["a"]}
    assert claims.extra == {"x": 1}


@pytest.mark.parametrize(
    "plain",
    [{"Tags": []}, {"nats": {"Pub": {}}}, {"ISSUER_ACCOUNT": "A"}, {"nats": {"\u017fub": {}}}, {"Sub": "x"}],
)
def test_other_letter_cases_are_refused(plain: dict[str, Any]) -> None:
    with pytest.raises(ClaimSyntaxError):
        modernised({"type": "user", **plain}, UserClaims)
