from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.claims.account import AccountBody, ServiceLatency
from issuer.claims.exchange import GenericClaims
from issuer.claims.fields import Permission, ResponsePermission, TimeRange
from issuer.claims.user import UserBody, UserTemplate
from issuer.claims.wire import (
    EXTRA,
    ClaimSyntaxError,
    from_canonical,
    from_json,
    from_plain,
    go_float,
    strict_object,
    to_json,
    to_plain,
)
from issuer.keys.nkeys import PublicKey
from issuer.subjects import Subject


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (-1.5, "-1.5"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.25e-9, "1.25e-9"),
        (1e-10, "1e-10"),
        (100000000.0, "100000000"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (123456789.125, "123456789.125"),
    ],
)
def test_floats_as_go_writes_them(number: float, text: str) -> None:
    assert go_float(number) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_lose_nothing(number: float) -> None:
    assert float(go_float(number)) == number


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("<&>", "\\u003c\\u0026\\u003e"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ('"\\', '\\"\\\\'),
        ("\b\f\n\r\t", "\\b\\f\\n\\r\\t"),
        ("\x00\x1f\x0b", "\\u0000\\u001f\\u000b"),
        ("/\x7fé😀", "/\x7fé😀"),
    ],
)
def test_texts_as_go_writes_them(text: str, written: str) -> None:
    data = to_json(TimeRange(start=text))
    assert data.decode() == f'{{"start":"{written}"}}'
    assert from_canonical(data, TimeRange) == TimeRange(start=text)


def test_maps_are_sorted_and_members_in_order() -> None:
    body = AccountBody(revocations={"b": 1, "*": 2, "a": 3}, tags=("t",), description="d")
    names = list(json.loads(to_json(body)))
    assert names == [
        "limits",
        "revocations",
        "default_permissions",
        "authorization",
        "description",
        "tags",
    ]
    assert list(json.loads(to_json(body))["revocations"]) == ["*", "a", "b"]


def test_empty_is_left_out_but_not_where_go_writes_it() -> None:
    assert to_json(UserBody()) == b'{"pub":{},"sub":{}}'
    assert to_json(ResponsePermission()) == b'{"max":0,"ttl":0}'
    assert to_json(ServiceLatency()) == b'{"sampling":"headers","results":""}'
    assert to_json(ServiceLatency(sampling=0)) == to_json(ServiceLatency())
    assert from_json(b'{"sampling":"HEADERS"}', ServiceLatency).sampling == "headers"


def test_a_template_tells_absent_from_zero() -> None:
    assert to_json(UserTemplate()) == b'{"pub":{},"sub":{}}'
    assert to_json(UserTemplate(subs=0)) == b'{"pub":{},"sub":{},"subs":0}'
    assert from_json(b'{"subs":0}', UserTemplate).subs == 0


def test_unknown_members_follow_the_known_ones_of_their_object() -> None:
    data = b'{"z":1,"pub":{"b":[{"c":null}],"allow":["x"],"a":2},"sub":{}}'
    claim = from_json(data, UserBody)
    assert claim.extra == {"z": 1}
    assert claim.pub == Permission(allow=(Subject("x"),), extra={"b": [{"c": None}], "a": 2})
    assert to_json(claim) == b'{"pub":{"allow":["x"],"a":2,"b":[{"c":null}]},"sub":{},"z":1}'
    assert to_plain(claim) == json.loads(data)
    assert from_json(to_json(claim), UserBody) == claim


def test_null_is_absent() -> None:
    assert from_json(b'{"pub":null,"subs":null,"resp":null,"src":null}', UserBody) == UserBody()


def test_networks_may_be_one_text() -> None:
    assert from_json(b'{"src":"10.0.0.0/8, FE80::/10,,10.0.0.0/8"}', UserBody).src == (
        "10.0.0.0/8",
        "fe80::/10",
    )


@pytest.mark.parametrize(
    ("data", "kind", "message", "at"),
    [
        (b'{"subs":"x"}', UserBody, "expected int, got str", "/subs"),
        (b'{"pub":{"allow":[1]}}', UserBody, "expected str, got int", "/pub/allow/0"),
        (b'{"Subs":1}', UserBody, "member 'Subs' is a known member in other letter case", "/Subs"),
        (b'{"pub":{"ALLOW":[]}}', UserBody, "in other letter case", "/pub/ALLOW"),
        (b'{"subs":1,"subs":1}', UserBody, "member 'subs' appears twice", None),
        (b'{"x":{"y":1,"y":1}}', UserBody, "member 'y' appears twice", None),
        (b"[]", UserBody, "is not a JSON object", None),
        (b"{", UserBody, "is not JSON", None),
        (b'{"a":"\xff"}', UserBody, "is not UTF-8", None),
        (b'{"a":"\\ud800"}', UserBody, "half a surrogate pair", None),
        (b'{"a":1e999}', UserBody, "is too large", None),
        (b'{"a":NaN}', UserBody, "NaN is not a JSON number", None),
        (b'{"signing_keys":[{"kind":"other","key":"x"}]}', AccountBody, "", "/signing_keys/0/kind"),
        (b'{"signing_keys":[{"key":"x","Template":{}}]}', AccountBody, "", "/signing_keys/0/Template"),
        (b'{"mappings":{"a":[{"subject":"b","weight":256}]}}', AccountBody, "<= 255", None),
        (b'{"exports":[{"account_token_position":-1}]}', AccountBody, ">= 0", None),
        (b'{"exports":[{"type":"Stream"}]}', AccountBody, "", None),
    ],
)
def test_what_cannot_be_read_is_told(data: bytes, kind: Any, message: str, at: str | None) -> None:
    with pytest.raises(ClaimSyntaxError) as refused:
        from_json(data, kind)
    assert message in refused.value.message
    if at is not None:
        assert refused.value.at == at


def test_the_place_of_unknown_members_cannot_be_named() -> None:
    cases: list[dict[str, Any]] = [{EXTRA: {"a": 1}}, {"pub": {EXTRA: {}}}, {"x": [{EXTRA: 1}]}]
    for members in cases:
        with pytest.raises(ClaimSyntaxError):
            from_json(json.dumps(members).encode(), UserBody)
        with pytest.raises(ClaimSyntaxError):
            from_plain(members, UserBody)


def test_half_a_surrogate_pair_is_not_written() -> None:
    for claim in (UserBody(times_location="\ud800"), UserBody(extra={"x": "\ud800"})):
        with pytest.raises(ClaimSyntaxError, match="half a surrogate pair"):
            to_json(claim)


def test_only_our_own_bytes_are_canonical() -> None:
    data = to_json(UserBody(subs=1))
    assert from_canonical(data, UserBody) == UserBody(subs=1)
    for other in (
        data + b" ",
        data.replace(b":1", b": 1"),
        data.replace(b"subs", b"Subs"),
        b"",
        b"[]",
        data[:-1],
    ):
        assert from_canonical(other, UserBody) is None


def test_generic_bodies_keep_their_numbers() -> None:
    claims = GenericClaims(sub=PublicKey("x"), nats={"a": 1.0, "b": [1e21, {"c": 2}]})
    assert to_json(claims) == b'{"sub":"x","nats":{"a":1,"b":[1e+21,{"c":2}]}}'


@given(st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4) | st.none(), max_size=4))
def test_strict_reading_loses_nothing(members: dict[str, Any]) -> None:
    assert strict_object(json.dumps(members).encode()) == members
    assert strict_object(json.dumps(members, ensure_ascii=False).encode()) == members
