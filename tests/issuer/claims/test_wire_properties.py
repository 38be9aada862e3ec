"""What holds for any claims whatever, beside the recipe of the spec written out anew."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.claims.account import AccountClaims, ServiceLatency
from issuer.claims.exchange import GenericClaims
from issuer.claims.operator import OperatorClaims
from issuer.claims.user import UserClaims
from issuer.claims.wire import (
    EXTRA,
    ClaimSyntaxError,
    from_canonical,
    from_json,
    from_plain,
    strict_object,
    to_json,
    to_plain,
)
from issuer.errors import AccreditError
from issuer.subjects import Subject
from issuer.tokens.envelope import KINDS
from tests.issuer.claims.making import BODIES, USER, any_claims, some, sound_claims, texts

ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def canonical(plain: Any) -> bytes:
    """Claims spec §2.2 by the letter, with nothing of ours in it."""
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    for character, escape in ESCAPED.items():
        text = text.replace(character, escape)
    return text.encode()


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**53), 2**53),
        st.text(max_size=5),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("kind", BODIES)
@given(data=st.data())
def test_writing_follows_the_recipe(kind: str, data: st.DataObject) -> None:
    claims = from_plain(data.draw(any_claims(kind)), KINDS[kind])
    assert to_json(claims) == canonical(to_plain(claims))


@pytest.mark.parametrize("kind", BODIES)
@given(data=st.data())
def test_what_is_written_reads_back_the_same(kind: str, data: st.DataObject) -> None:
    claims = from_plain(data.draw(any_claims(kind)), KINDS[kind])
    written = to_json(claims)
    assert from_canonical(written, KINDS[kind]) == claims
    assert from_plain(json.loads(written), KINDS[kind]) == claims


@given(data=st.data())
def test_the_short_way_and_the_careful_way_agree(data: st.DataObject) -> None:
    plain = data.draw(sound_claims("user"))
    loose = json.dumps(plain, indent=1).encode()
    assert from_canonical(loose, UserClaims) is None
    assert from_json(loose, UserClaims) == from_plain(plain, UserClaims)


@given(
    top=st.dictionaries(texts.map("x".__add__), json_values, max_size=2),
    inner=st.dictionaries(texts.map("x".__add__), json_values, max_size=2),
)
def test_unknown_members_stay(top: dict[str, Any], inner: dict[str, Any]) -> None:
    plain = {**top, "sub": USER, "nats": {"pub": {"allow": ["a"], **inner}, "sub": {}, **inner}}
    claims = from_json(json.dumps(plain).encode(), UserClaims)
    assert claims.extra == top
    assert claims.nats.extra == inner
    assert claims.nats.pub.extra == inner
    assert json.loads(to_json(claims)) == plain
    assert from_json(to_json(claims), UserClaims) == claims


@given(json_values, json_values)
def test_whatever_comes_is_read_or_refused(one: Any, other: Any) -> None:
    for plain in (
        one,
        {"nats": one},
        {"nats": {"pub": one, "src": other, "times": [one]}},
        {"nats": {"subs": other}},
    ):
        for kind in (UserClaims, AccountClaims, GenericClaims, OperatorClaims):
            try:
                claims: Any = from_json(json.dumps(plain).encode(), kind)
                # Generic claims spell large floats as Go does, which makes integers of them.
                assert kind is GenericClaims or from_json(to_json(claims), kind) == claims
            except AccreditError as refusal:
                assert isinstance(refusal, ClaimSyntaxError)


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for text in (data, b'{"nats":' + data + b"}", b'{"name":"' + data + b'"}'):
        try:
            from_json(text, UserClaims)
        except AccreditError as refusal:
            assert isinstance(refusal, ClaimSyntaxError)


@pytest.mark.parametrize(
    ("plain", "at"),
    [
        ({"nats": {"imports": [{}, {"account": 5}]}}, "/nats/imports/1/account"),
        ({"nats": {"mappings": {"a": [{"weight": 256}]}}}, "/nats/mappings/*/0/weight"),
        ({"nats": {"mappings": {"a": [{"weight": -1}]}}}, "/nats/mappings/*/0/weight"),
        ({"nats": {"exports": [{"account_token_position": -1}]}}, "/nats/exports/0/account_token_position"),
        ({"nats": {"exports": [{"type": "Stream"}]}}, "/nats/exports/0/type"),
        (
            {"nats": {"exports": [{"service_latency": {"sampling": "x"}}]}},
            "/nats/exports/0/service_latency/sampling",
        ),
        ({"nats": {"signing_keys": [{"kind": "other"}]}}, "/nats/signing_keys/0/kind"),
        ({"nats": {"limits": {"Subs": 1}}}, "/nats/limits/Subs"),
    ],
)
def test_a_fault_says_where(plain: dict[str, Any], at: str) -> None:
    with pytest.raises(ClaimSyntaxError) as refusal:
        from_plain(plain, AccountClaims)
    assert refusal.value.at == at


@pytest.mark.parametrize("given_", ["headers", "HEADERS", "Headers", 0])
def test_sampling_zero_is_the_word_headers(given_: str | int) -> None:
    assert from_plain({"sampling": given_, "results": "a"}, ServiceLatency) == ServiceLatency(
        results=Subject("a")
    )
    assert to_json(ServiceLatency(sampling=0)) == b'{"sampling":"headers","results":""}'


@given(some(a=json_values, b=json_values))
def test_strict_reading_gives_what_json_gives(plain: dict[str, Any]) -> None:
    assert strict_object(json.dumps(plain).encode()) == plain


def test_no_claim_shows_its_private_member() -> None:
    claims = from_plain({"nats": {"future": 1}}, UserClaims)
    assert EXTRA not in to_json(claims).decode()
    assert to_plain(claims) == {"nats": {"pub": {}, "sub": {}, "future": 1}}
