"""A token found among the credentials and taken apart, before anything in it is believed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout.directories import Credentials
from callout.directories.oidc import OidcSettings, TokenKind
from callout.directories.oidc.tokens import (
    UnverifiedToken,
    read_claims,
    read_token,
    shown,
    unambiguous,
    unverified_issuer,
)
from callout.refusals import LoginRefusedError, Reason
from tests.callout.directories.oidc_world import encoded

ISSUER = "https://idp.test"
HEADER: dict[str, Any] = {"alg": "RS256", "kid": "k", "typ": "JWT"}
PAYLOAD: dict[str, Any] = {"iss": ISSUER, "sub": "alice"}


def settings_with(**more: Any) -> OidcSettings:
    given: dict[str, Any] = {"name": "idp", "issuer": ISSUER, "audiences": ("us",)}
    return OidcSettings(**given | more)


def part(value: Any) -> str:
    return encoded(value if isinstance(value, bytes) else json.dumps(value).encode())


def token_of(header: Any = HEADER, payload: Any = PAYLOAD, signature: bytes = b"signature") -> str:
    return f"{part(header)}.{part(payload)}.{encoded(signature)}"


def reason_of(token: str, **more: Any) -> Reason:
    with pytest.raises(LoginRefusedError) as refused:
        read_claims(read_token(token, settings_with(**more)))
    return refused.value.reason


TOKEN = token_of()
OTHER = token_of(payload={"iss": "https://other.test"})


# Where it is shown


@pytest.mark.parametrize(
    ("credentials", "kinds", "found"),
    [
        (Credentials(token=TOKEN), ("id", "access"), TOKEN),
        (Credentials(password=TOKEN), ("id", "access"), TOKEN),
        (Credentials(token=TOKEN, password=OTHER), ("id", "access"), TOKEN),
        (Credentials(user=TOKEN, nkey=TOKEN), ("id", "access"), ""),
        (Credentials(token=json.dumps({"id_token": TOKEN})), ("id", "access"), TOKEN),
        (Credentials(token=json.dumps({"access_token": TOKEN})), ("id", "access"), TOKEN),
        (Credentials(token=json.dumps({"access_token": OTHER, "id_token": TOKEN})), ("id", "access"), TOKEN),
        (Credentials(token=json.dumps({"access_token": OTHER, "id_token": TOKEN})), ("access",), OTHER),
        (Credentials(token=json.dumps({"access_token": OTHER, "id_token": ""})), ("id", "access"), OTHER),
        (Credentials(token=json.dumps({"id_token": TOKEN})), ("access",), TOKEN),
        (Credentials(token=json.dumps({"id_token": TOKEN, "expires_in": 5, "x": {}})), ("id",), TOKEN),
        (Credentials(token=json.dumps({"token": TOKEN})), ("id", "access"), ""),
        (Credentials(token=json.dumps({"id_token": 5})), ("id", "access"), ""),
        (Credentials(token="{"), ("id", "access"), ""),
        (Credentials(token='{"id_token": "\ud800"}'), ("id", "access"), ""),
        (Credentials(token="{" * 60_000), ("id", "access"), ""),
    ],
)
def test_where_a_token_is_shown(credentials: Credentials, kinds: tuple[str, ...], found: str) -> None:
    assert shown(credentials, settings_with(kinds=tuple(TokenKind(kind) for kind in kinds))) == found


def test_an_object_that_says_something_twice_is_refused() -> None:
    twice = f'{{"id_token": "{TOKEN}", "id_token": "{OTHER}"}}'
    with pytest.raises(LoginRefusedError) as refused:
        unambiguous(Credentials(token=twice), most=1 << 16)
    assert refused.value.reason is Reason.CREDENTIALS_MALFORMED
    unambiguous(Credentials(token=json.dumps({"id_token": TOKEN})), most=1 << 16)
    unambiguous(Credentials(token=TOKEN), most=1 << 16)


# Whose it says it is


@pytest.mark.parametrize(
    ("token", "issuer"),
    [
        (TOKEN, ISSUER),
        (token_of(header=b'{\n "alg": "RS256"}'), ISSUER),
        (token_of(payload={"sub": "x"}), None),
        (token_of(payload={"iss": ""}), None),
        (token_of(payload={"iss": 5}), None),
        (token_of(payload={"iss": [ISSUER]}), None),
        (token_of(payload=[ISSUER]), None),
        (token_of(payload=b"\xff\xff"), None),
        (token_of(payload=b"[" * 30_000), None),
        ("", None),
        ("e", None),
        ("e.", None),
        ("e..", None),
        ("eyJ.é.x", None),
        ("secret", None),
        ("ed25519 or so", None),
        ("x" + TOKEN, None),
        (token_of(payload={"iss": ISSUER, "x": "x" * 100_000}), None),
    ],
)
def test_whose_a_token_says_it_is(token: str, issuer: str | None) -> None:
    assert unverified_issuer(token, most=64 * 1024) == issuer


# Its form


def test_a_token_is_taken_apart() -> None:
    found = read_token(TOKEN, settings_with())
    assert found == UnverifiedToken(
        algorithm="RS256",
        kid="k",
        typ="jwt",
        signed=TOKEN.rpartition(".")[0].encode(),
        signature=b"signature",
        payload=json.dumps(PAYLOAD).encode(),
    )
    assert read_claims(found) == PAYLOAD


@pytest.mark.parametrize(
    ("typ", "read"),
    [("JWT", "jwt"), ("at+JWT", "at+jwt"), ("application/at+jwt", "at+jwt"), ("APPLICATION/JWT", "jwt")],
)
def test_a_type_is_read_as_media_types_are(typ: str, read: str) -> None:
    assert read_token(token_of(header=HEADER | {"typ": typ}), settings_with()).typ == read


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        TOKEN + ".",
        TOKEN + ".x",
        TOKEN + "=",
        TOKEN + "\n",
        " " + TOKEN,
        TOKEN.replace(".", " ."),
        TOKEN.replace(".", "=."),
        TOKEN[:20] + "é" + TOKEN[20:],
        TOKEN[:20] + "*" + TOKEN[20:],
        TOKEN.rpartition(".")[0],
        f"{TOKEN}.{encoded(b'x')}.{encoded(b'x')}",
        token_of(payload=b""),
        token_of(payload=[]),
        token_of(payload=b"{}{}"),
        token_of(payload=b'{"iss": "https://idp.test", "iss": "https://idp.test"}'),
        token_of(payload=b'{"a": {"groups": 1, "groups": 2}}'),
        token_of(payload=b'{"exp": NaN}'),
        token_of(payload=b'{"exp": 1e999}'),
        token_of(payload=b'{"exp": ' + b"9" * 5000 + b"}"),
        token_of(payload=b'{"sub": "\\ud800"}'),
        token_of(payload=b'{"sub": "\xff"}'),
        token_of(payload=b'{"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}"),
        token_of(header=b'{"alg": "RS256", "alg": "RS256"}'),
        token_of(header=b'{"alg": "RS256", "kid": "a", "kid": "b"}'),
        token_of(header=b"[]"),
        token_of(header=b""),
        token_of(header=HEADER | {"kid": 5}),
        token_of(header=HEADER | {"kid": ["k"]}),
        token_of(header=HEADER | {"typ": 5}),
        token_of(header=HEADER | {"typ": None}),
        token_of(header=HEADER | {"crit": ["exp"], "exp": 1}),
        token_of(header=HEADER | {"crit": ["b64"], "b64": False}),
        token_of(header=HEADER | {"crit": []}),
        token_of(header=HEADER | {"crit": None}),
    ],
)
def test_a_token_of_another_form_is_malformed(token: str) -> None:
    assert reason_of(token) is Reason.CREDENTIALS_MALFORMED


def test_a_token_has_one_spelling_only() -> None:
    """Spare bits in the last character: the same bytes, another text, another digest."""
    head, _, signature = TOKEN.rpartition(".")
    others = [
        head + "." + signature[:-1] + letter
        for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    ]
    assert len({read_token(TOKEN, settings_with()).signature}) == 1
    for other in others:
        try:
            assert read_token(other, settings_with()).signature != b"signature" or other == TOKEN
        except LoginRefusedError as refused:
            assert refused.reason is Reason.CREDENTIALS_MALFORMED


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "", "HS256", "RS512", "rs256", "RS256 ", None, ["RS256"], {}, 5]
)
def test_the_algorithm_is_one_of_those_configured(algorithm: Any) -> None:
    assert reason_of(token_of(header=HEADER | {"alg": algorithm})) is Reason.ALGORITHM


def test_a_token_without_an_algorithm() -> None:
    assert reason_of(token_of(header={"kid": "k"})) is Reason.ALGORITHM


def test_sizes_are_capped_before_anything_is_parsed() -> None:
    assert reason_of("x" * 65_537) is Reason.CREDENTIALS_TOO_LARGE
    assert reason_of(token_of(payload={"x": "x" * 60_000})) is Reason.CREDENTIALS_TOO_LARGE
    assert reason_of(token_of(header=HEADER | {"x": "x" * 13_000})) is Reason.CREDENTIALS_TOO_LARGE
    assert reason_of(token_of(signature=b"x" * 1100)) is Reason.CREDENTIALS_TOO_LARGE
    assert reason_of(token_of(payload={"x": "x" * 200}), max_token_bytes=256, max_header_bytes=64) is (
        Reason.CREDENTIALS_TOO_LARGE
    )


def test_a_header_with_a_certificate_chain_is_read() -> None:
    """joserfc's own limit of 512 bytes would refuse it."""
    chain = token_of(header=HEADER | {"x5c": ["M" * 2000] * 3})
    assert read_token(chain, settings_with()).kid == "k"


def test_members_of_the_header_that_name_keys_are_not_looked_at() -> None:
    header = HEADER | {
        "jku": "https://evil.test/keys",
        "x5u": "https://evil.test/",
        "jwk": {"kty": "oct", "k": "eA"},
    }
    assert read_token(token_of(header=header), settings_with()).kid == "k"


@given(st.text(max_size=200) | st.binary(max_size=100).map(encoded))
def test_whatever_is_shown_it_is_read_or_refused(text: str) -> None:
    for candidate in (text, f"e{text}", f"{part(HEADER)}.{text}.{text}", f"{text}.{part(PAYLOAD)}.{text}"):
        unverified_issuer(candidate, most=1000)
        shown(Credentials(token=candidate), settings_with())
        shown(Credentials(token="{" + candidate), settings_with())
        try:
            read_claims(read_token(candidate, settings_with()))
        except LoginRefusedError as refused:
            assert candidate not in str(refused) or len(candidate) < 12


@given(
    st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers() | st.none(), max_size=5),
    st.binary(max_size=80),
)
def test_what_is_written_is_what_is_read(more: dict[str, Any], signature: bytes) -> None:
    payload = more | PAYLOAD
    found = read_token(token_of(payload=payload, signature=signature), settings_with())
    assert (read_claims(found), found.signature) == (payload, signature)
