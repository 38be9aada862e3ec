"""What holds for every token: there and back, the same bytes as PyJWT's, and no way around the errors."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from issuer.claims.fields import Envelope
from issuer.claims.wire import from_json, from_plain, to_json, to_plain
from issuer.errors import AccreditError
from issuer.keys.nkeys import Role, Seed
from issuer.tokens.algorithm import NAME, VerifyKey, jws
from issuer.tokens.envelope import KINDS, decode, encode
from issuer.tokens.signer import SeedSigner
from tests.nasty_claims import ACCOUNT, OPERATOR, OTHER_ACCOUNT, SERVER, USER, Maker

NOW = 1_700_000_000
SIGNERS = {
    "operator": OPERATOR,
    "account": OPERATOR,
    "user": ACCOUNT,
    "activation": OTHER_ACCOUNT,
    "authorization_request": SERVER,
    "authorization_response": ACCOUNT,
}
SUBJECTS = {"operator": OPERATOR, "account": ACCOUNT, "activation": ACCOUNT}
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)


@st.composite
def claims_of_any_kind(draw: st.DrawFn) -> Envelope:
    kind = draw(st.sampled_from(sorted(KINDS)))
    maker = Maker(draw(st.integers(0, 2**32)))
    plain = {**maker.claims(kind), "sub": SUBJECTS.get(kind, USER).public, "name": draw(st.text(max_size=8))}
    # Names no kind of token uses, now or as another spelling of a known one.
    unknown = st.text("%01", min_size=1, max_size=4)
    plain.update(draw(st.dictionaries(unknown, JSON, max_size=2)))
    plain["nats"].update(draw(st.dictionaries(unknown, JSON, max_size=2)))
    return from_plain(plain, KINDS[kind])


def signer_of(claims: Envelope) -> Seed:
    return SIGNERS[type(claims).kind]


def recipe(value: Any) -> bytes:
    """Canonical JSON the way the spec tells it (claims spec §2.2)."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


@given(claims_of_any_kind())
def test_what_is_written_is_read_again(claims: Envelope) -> None:
    signed = encode(claims, SeedSigner(signer_of(claims)), now=NOW)
    assert decode(signed.token).claims == signed.claims
    assert decode(signed.token, type(claims)).claims == signed.claims
    assert encode(signed.claims, SeedSigner(signer_of(claims)), now=NOW) == signed


@given(claims_of_any_kind())
def test_the_bytes_are_those_of_the_recipe(claims: Envelope) -> None:
    data = to_json(claims)
    assert data == recipe(to_plain(claims))
    assert from_json(data, type(claims)) == claims
    # Any other spelling of the same JSON reads the same.
    assert from_json(json.dumps(to_plain(claims), indent=1).encode(), type(claims)) == claims


@given(claims_of_any_kind())
def test_pyjwt_writes_and_reads_the_same(claims: Envelope) -> None:
    signer = SeedSigner(signer_of(claims))
    signed = encode(claims, signer, now=NOW)
    codec: Any = jws(NAME)
    payload = to_json(signed.claims)
    theirs = codec.encode(payload, signer, algorithm=NAME, headers={"typ": "JWT"})
    assert json.loads(base64.urlsafe_b64decode(theirs.split(".")[0] + "==")) == {"typ": "JWT", "alg": NAME}
    assert decode(theirs).claims == signed.claims
    read = codec.decode(signed.token, VerifyKey(signer.public), algorithms=[NAME])
    assert read == payload
    # The header apart, whose members PyJWT sorts, the text is the same.
    assert theirs.split(".")[1] == signed.token.split(".")[1]


TOKENS = [
    encode(
        from_plain({**Maker(n).claims(kind), "sub": SUBJECTS.get(kind, USER).public}, KINDS[kind]),
        SeedSigner(SIGNERS[kind]),
        now=NOW,
    ).token
    for kind in sorted(KINDS)
    for n in range(3)
]


def refused(text: str) -> bool:
    try:
        decode(text)
    except AccreditError:
        return True
    return False


def pyjwt_refuses(text: str, issuer: Any) -> bool:
    codec: Any = jws(NAME)
    try:
        codec.decode(text, VerifyKey(issuer), algorithms=[NAME])
    except jwt.InvalidTokenError:
        return True
    return False


@given(st.sampled_from(TOKENS), st.data())
def test_a_truncated_token_is_refused(token: str, data: st.DataObject) -> None:
    assert refused(token[: data.draw(st.integers(0, len(token) - 1))])
    assert refused(token[data.draw(st.integers(1, len(token))) :])


@settings(max_examples=400)
@given(st.sampled_from(TOKENS), st.data())
def test_a_token_with_a_flipped_bit_is_refused(token: str, data: st.DataObject) -> None:
    raw = bytearray(token.encode())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= 1 << data.draw(st.integers(0, 7))
    changed = raw.decode("latin-1")
    if not refused(changed):
        # Spare bits of the last character carry nothing: the same bytes in another text.
        assert place == len(token) - 1
        assert decode(changed).claims == decode(token).claims


@given(st.sampled_from(TOKENS), st.sampled_from(TOKENS), st.integers(0, 2))
def test_a_spliced_token_is_refused(one: str, other: str, chunk: int) -> None:
    chunks = one.split(".")
    chunks[chunk] = other.split(".")[chunk]
    spliced = ".".join(chunks)
    assert refused(spliced) is (spliced != one)


@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda b: b.decode("latin-1")))
def test_no_text_at_all_breaks_the_reader(text: str) -> None:
    assert refused(text)
    assert refused(f"{TOKENS[0].split('.')[0]}.{text}.{text}")
    body = base64.urlsafe_b64encode(text.encode("utf-8", "replace")).decode().rstrip("=")
    assert refused(f"{TOKENS[0].split('.')[0]}.{body}.{body}")


@given(st.sampled_from(TOKENS), st.data())
def test_what_we_believe_pyjwt_believes(token: str, data: st.DataObject) -> None:
    head, body, signature = token.split(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[data.draw(st.integers(0, 63))] ^= data.draw(st.integers(0, 255))
    changed = f"{head}.{body}.{base64.urlsafe_b64encode(raw).decode().rstrip('=')}"
    assert refused(changed) is pyjwt_refuses(changed, decode(token).claims.iss)


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.USER, Role.SERVER])
def test_a_token_by_another_kind_of_key_is_refused(role: Role) -> None:
    other = Seed.from_raw(role, bytes([6]) * 32)
    claims = from_plain({"sub": USER.public, "nats": {}}, KINDS["user"])
    with pytest.raises(AccreditError):
        encode(claims, SeedSigner(other), now=NOW)
