"""What holds of the findings of any claims at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.claims.exchange import GenericClaims
from issuer.claims.operator import OperatorClaims
from issuer.claims.wire import from_plain
from issuer.findings import advise, validate
from issuer.keys.nkeys import Role
from issuer.tokens.envelope import KINDS
from tests.issuer.claims.making import BODIES, KEYS, any_claims

NOW = 1_700_000_000
EXPORTER, IMPORTER, STRANGER = KEYS[Role.ACCOUNT]
LONG = "x" * 8193


@pytest.mark.parametrize("kind", BODIES)
@given(data=st.data())
def test_pointers_lead_somewhere(kind: str, data: st.DataObject) -> None:
    claims: Any = from_plain(data.draw(any_claims(kind)), KINDS[kind])
    for one in (*validate(claims, now=NOW), *advise(claims)):
        assert one.pointer.startswith("/")
        place: Any = claims
        for step in one.pointer[1:].split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(place, str):
                break  # a token inside
            if isinstance(place, tuple):
                place = place[int(name)]
            elif isinstance(place, dict):
                place = place[name]
            else:
                place = getattr(place, {"kind": "share"}.get(name, name))


def test_only_tokens_of_a_kind_with_rules_get_advice() -> None:
    assert advise(GenericClaims()) == ()
    assert advise(OperatorClaims()) == ()
