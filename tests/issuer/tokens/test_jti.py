from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.keys.nkeys import b32
from issuer.tokens.jti import jti_of

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "vectors.json").read_text("utf-8"))


@pytest.mark.parametrize("entry", VECTORS["jwts"], ids=lambda entry: entry["id"])
def test_vectors(entry: dict[str, str]) -> None:
    assert jti_of(entry["jti_hash_input"].encode()).decode() == entry["jti"]


@given(st.binary(max_size=100))
def test_it_is_base32_of_the_digest(members: bytes) -> None:
    assert jti_of(members).decode() == b32(hashlib.new("sha512_256", members).digest())
