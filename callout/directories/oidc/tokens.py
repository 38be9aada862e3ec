"""A token as it is shown: found among the credentials, and taken apart without belief.

What comes out of here is unverified. Its parts are in the one spelling they can have: a token that
could be written differently and still verify would pass whatever remembers tokens by their bytes.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from callout.directories.directory import Credentials
from callout.directories.oidc.settings import OidcSettings, TokenKind
from callout.refusals import LoginRefusedError, Reason
from issuer.claims.wire import ClaimSyntaxError, strict_object

MAX_SIGNATURE_BYTES: Final = 1400
"""Encoded; RSA of 8192 bits has 1366."""
_FIELDS: Final = {TokenKind.ID: "id_token", TokenKind.ACCESS: "access_token"}


class _Wrapper(msgspec.Struct):
    id_token: str = ""
    access_token: str = ""


class _Issued(msgspec.Struct):
    iss: str = ""


_wrapper: Final = msgspec.json.Decoder(_Wrapper)
_issued: Final = msgspec.json.Decoder(_Issued)


class UnverifiedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A compact JWS (RFC 7515 §7.1) in its parts. Nothing in it is proved."""

    algorithm: str
    kid: str | None
    typ: str
    """In lower case and without "application/"; empty where there is none."""
    signed: bytes
    """What the signature is over."""
    signature: bytes
    payload: bytes


def shown(credentials: Credentials, settings: OidcSettings) -> str:
    """The token among the credentials, or "".

    It is CONNECT's token, else its password: either the token itself or a JSON object as a token
    endpoint answers it, of which the kind this issuer takes is chosen, an ID token before another.
    """
    text = credentials.token or credentials.password
    if len(text) > settings.max_token_bytes or not text.startswith("{"):
        return text
    try:
        found = _wrapper.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ""
    for kind, name in _FIELDS.items():
        if kind in settings.kinds and (token := getattr(found, name)):
            return str(token)
    return found.id_token or found.access_token


def unambiguous(credentials: Credentials, *, most: int) -> None:
    """Refuse an object of tokens that says something twice: another reader might take the other one.

    Raises:
        LoginRefusedError: it does.
    """
    text = credentials.token or credentials.password
    if text.startswith("{") and len(text) <= most:
        try:
            strict_object(text.encode())
        except (ClaimSyntaxError, UnicodeError) as error:
            raise malformed(f"the object of tokens: {error}") from None


def unverified_issuer(token: str, *, most: int) -> str | None:
    """Whose the token says it is; None if it is no token. It parses no more than that."""
    # A compact JWS begins with an object, and "{" in base64 with this: most passwords end here.
    if not token.startswith("e") or len(token) > most:
        return None
    begin = token.find(".") + 1
    end = token.find(".", begin)
    if begin == 0 or end < 0:
        return None
    payload = token[begin:end]
    try:
        data = binascii.a2b_base64(payload.replace("-", "+").replace("_", "/") + "==")
    except (binascii.Error, ValueError):
        return None
    return issuer_in(data)


def issuer_in(payload: bytes) -> str | None:
    """The issuer a payload names, with as little parsing as that takes."""
    try:
        return _issued.decode(payload).iss or None
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def read_token(token: str, settings: OidcSettings) -> UnverifiedToken:
    """Take a token apart: sizes, form, header, in this order.

    Raises:
        LoginRefusedError: it is too large, not of the form, names an algorithm that is not allowed for
            this issuer, or demands that we understand something we do not.
    """
    if len(token) > settings.max_token_bytes:
        raise LoginRefusedError(
            Reason.CREDENTIALS_TOO_LARGE,
            f"a token of {len(token)} bytes; {settings.max_token_bytes} are the most",
        )
    try:
        encoded = token.encode("ascii").split(b".")
    except UnicodeEncodeError:
        raise malformed("the token is not ASCII") from None
    if len(encoded) != 3:
        words = "the token is encrypted; only signed ones are taken" if len(encoded) == 5 else "it is no JWS"
        raise malformed(words)
    if len(encoded[0]) > settings.max_header_bytes or len(encoded[2]) > MAX_SIGNATURE_BYTES:
        raise LoginRefusedError(
            Reason.CREDENTIALS_TOO_LARGE, "the header or the signature is larger than allowed"
        )
    algorithm, kid, typ = _header(encoded[0])
    if algorithm not in settings.algorithms:
        raise LoginRefusedError(
            Reason.ALGORITHM,
            f"algorithm {algorithm[:40]!r} is not allowed for this issuer",
            hint="name it in `algorithms` if the issuer is meant to use it",
        )
    return UnverifiedToken(
        algorithm=algorithm,
        kid=kid,
        typ=typ,
        signed=encoded[0] + b"." + encoded[1],
        signature=_decoded(encoded[2], "signature"),
        payload=_decoded(encoded[1], "payload"),
    )


def read_claims(token: UnverifiedToken) -> Mapping[str, Any]:
    """The claims; to be called when the signature is verified, so that nobody else's JSON is parsed.

    Raises:
        LoginRefusedError: they are not one object whose every member stands once.
    """
    return _object(token.payload, "payload")


def malformed(words: str, *, at: str | None = None) -> LoginRefusedError:
    return LoginRefusedError(Reason.CREDENTIALS_MALFORMED, words, at=at)


# An issuer's headers are few: the same key and type in all its tokens.
@lru_cache(maxsize=64)
def _header(segment: bytes) -> tuple[str, str | None, str]:
    """Algorithm, key and type that a header names."""
    header = _object(_decoded(segment, "header"), "header")
    algorithm, kid, typ = header.get("alg"), header.get("kid"), header.get("typ", "")
    if not isinstance(algorithm, str):
        raise LoginRefusedError(Reason.ALGORITHM, "it names no algorithm")
    if "crit" in header:
        # RFC 7515 §4.1.11: we understand no extension, so there is none we may accept.
        raise malformed("the header demands extensions (crit)")
    if not isinstance(kid, str | None) or not isinstance(typ, str):
        raise malformed("kid or typ is no text")
    return algorithm, kid, typ.lower().removeprefix("application/")


def _object(data: bytes, part: str) -> dict[str, Any]:
    try:
        return strict_object(data)
    except ClaimSyntaxError as error:
        raise malformed(f"the {part} {error.message}") from None


def _decoded(segment: bytes, part: str) -> bytes:
    try:
        data = base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    except (binascii.Error, ValueError):
        raise malformed(f"the {part} is not base64url") from None
    # The decoder passes over foreign characters and spare bits.
    if base64.urlsafe_b64encode(data).rstrip(b"=") != segment:
        raise malformed(f"the {part} is not base64url as it must be written")
    return data
