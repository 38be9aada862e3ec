"""The only door between text and claims: encode and sign, verify and decode.

Tokens in our own form (every v2 token the Go library or we write) take a short way through
here whose results are those of PyJWT, which the tests hold it to; any other header goes
through PyJWT itself. Claims leave this module only as `Verified`: the signature fits the
issuer it names, and the kinds of key fit the kind of token. Whether that issuer may be
trusted is `chain`'s question, whether the claims make sense `findings`'.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from typing import Any, Final, Generic, NewType, TypeVar, overload

import msgspec

from issuer.claims.account import AccountClaims
from issuer.claims.exchange import (
    ActivationClaims,
    AuthorizationRequestClaims,
    AuthorizationResponseClaims,
    GenericClaims,
)
from issuer.claims.fields import VERSION, Envelope
from issuer.claims.operator import OperatorClaims
from issuer.claims.user import UserClaims
from issuer.claims.wire import ClaimSyntaxError, escape, from_json, to_json
from issuer.errors import PeerError
from issuer.keys.nkeys import KeyFormatError, PublicKey, b32, parse_public, role_of, verify
from issuer.tokens.signer import Signer
from issuer.tokens.version_one import modernised

Token = NewType("Token", str)
C = TypeVar("C", bound=Envelope)

MAX_BYTES: Final = 1_048_576  # nats-io/jwt refuses longer ones (claims spec §2.5)
HEADER: Final = "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ"
_HEADER_DOT: Final = HEADER + "."
_CHUNK: Final = re.compile(r"[A-Za-z0-9_-]*").fullmatch
_TO_URLSAFE: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URLSAFE: Final = str.maketrans("-_", "+/")

KINDS: Final[dict[str, type[Envelope]]] = {
    kind.kind: kind
    for kind in (
        OperatorClaims,
        AccountClaims,
        UserClaims,
        ActivationClaims,
        AuthorizationRequestClaims,
        AuthorizationResponseClaims,
    )
}


class TokenError(PeerError):
    """A token that cannot be read or believed."""

    code = "token.malformed"


class TokenTooLarge(TokenError):
    """Longer than any server would take."""

    code = "token.too-large"


class TokenAlgorithmError(TokenError):
    """Not signed the way NATS tokens are."""

    code = "token.algorithm"


class TokenSignatureError(TokenError):
    """The signature is not that of the issuer the token names."""

    code = "token.signature"


class TokenRoleError(TokenError):
    """A kind of key that may not sign, or be the subject of, this kind of token."""

    code = "token.role"


class TokenKindError(TokenError):
    """Another kind of token than was asked for."""

    code = "token.kind"


class TokenTimeError(TokenError):
    """Expired or not yet valid at the time given."""

    code = "token.time"


class Signed(msgspec.Struct, Generic[C], frozen=True):
    """Fresh text and exactly what it says."""

    token: Token
    claims: C


class Verified(msgspec.Struct, Generic[C], frozen=True):
    """Claims whose signature fits; `version` is 1 for tokens of the first format."""

    token: Token
    claims: C
    version: int = VERSION


def encode(claims: C, signer: Signer, *, now: int) -> Signed[C]:
    """Sign claims as of second `now`; issuer, time, id, kind and version are set here.

    Raises:
        TokenRoleError: a subject or signer of the wrong kind for this kind of token.
        TokenTooLarge: the result would be refused by every server.
    """
    issuer = signer.public
    _check_roles(claims, issuer, at_encode=True)
    stamped = msgspec.structs.replace(claims, iss=issuer, iat=now, jti="", nats=_body(claims))
    head, separator, body = to_json(stamped).partition(b',"nats":')
    # Inside a JSON string every quote is escaped, so these keys are found where they stand.
    jti = b32(hashlib.new("sha512_256", head + b"}").digest())
    before, key, after = head.partition(b'"iat":')
    payload = b"".join((before, b'"jti":"', jti.encode(), b'",', key, after, separator, body))
    message = _HEADER_DOT.encode() + _encode64(payload)
    token = (message + b"." + _encode64(signer.sign(message))).decode()
    _check_size(token)
    msgspec.structs.force_setattr(stamped, "jti", jti)
    return Signed(Token(token), stamped)


@overload
def decode(text: str, *, now: int | None = None) -> Verified[Envelope]: ...


@overload
def decode(text: str, kind: type[C], *, now: int | None = None) -> Verified[C]: ...


def decode(text: str, kind: type[Any] | None = None, *, now: int | None = None) -> Verified[Any]:
    """Verify a token and read it; with `now`, also refuse it outside its time.

    Raises:
        TokenError: one subclass per fault, in the order of claims spec §2.5.
        ClaimSyntaxError: the payload is not what its kind allows.
    """
    text = text.strip()
    _check_size(text)
    chunks = text.split(".")
    if len(chunks) != 3:  # noqa: PLR2004  header, payload, signature
        raise TokenError("expected 3 chunks")
    header, payload64, signature64 = chunks
    canonical = header == HEADER
    algorithm = "" if canonical else _foreign_algorithm(header)
    payload = _decode64(payload64, "payload")
    claims, version = _read(payload, kind, first_format=algorithm.lower() == "ed25519")
    try:
        issuer = parse_public(claims.iss, at="/iss")
    except KeyFormatError as error:
        raise TokenRoleError(error.message, at="/iss") from None
    signature = _decode64(signature64, "signature")
    if canonical and version == VERSION:
        good = verify(issuer, text.encode()[: -len(signature64) - 1], signature)
    else:
        good = _verify_by_pyjwt(text, algorithm, issuer, version)
    if not good:
        raise TokenSignatureError(f"claim failed V{version} signature verification")
    _check_roles(claims, issuer, at_encode=False)
    if now is not None:
        _check_time(claims, now)
    return Verified(Token(text), claims, version)


def token_hash(token: str) -> str:
    """SHA-256 of the text, in hex: what identifies one version of a token; `jti` does not (§2.3)."""
    return hashlib.sha256(token.encode()).hexdigest()


def _read(payload: bytes, kind: type[Any] | None, *, first_format: bool) -> tuple[Any, int]:
    if kind is not None and kind is not GenericClaims:
        # The common case: the caller knows the kind, so the type of the body decides at once.
        claims = from_json_or_none(payload, kind)
        if claims is not None and claims.nats.type == kind.kind and claims.nats.version == VERSION:
            return claims, VERSION
    plain, found, version = _peek(payload, first_format=first_format)
    wanted = KINDS.get(found, GenericClaims)
    if kind is not None and kind is not wanted:
        raise TokenKindError(f"is not a token of kind {kind.kind}, but {found or 'of no kind'}")
    if version == 1 and plain is not None:
        return modernised(plain, wanted), 1
    return from_json(payload, wanted), version


def from_json_or_none(payload: bytes, kind: type[C]) -> C | None:
    """The claims, or None where the careful way must explain what is wrong."""
    try:
        return from_json(payload, kind)
    except ClaimSyntaxError as error:
        if "twice" in error.message:
            raise
        return None


class _PeekBody(msgspec.Struct):
    type: str = ""
    version: int = 0


class _Peek(msgspec.Struct):
    type: str = ""
    nats: _PeekBody | None = None


_peek_decoder: Final = msgspec.json.Decoder(_Peek)


def _peek(payload: bytes, *, first_format: bool) -> tuple[dict[str, Any] | None, str, int]:
    """Kind and version before the typed reading; the plain object too for a first-format token."""
    from issuer.claims.wire import strict_object  # noqa: PLC0415  off the common way

    try:
        seen = _peek_decoder.decode(payload)
    except msgspec.DecodeError as error:
        strict_object(payload)
        raise ClaimSyntaxError(f"is not a claim: {error}") from None
    body = seen.nats or _PeekBody()
    version = 1 if seen.type else body.version
    if version > VERSION:
        raise TokenError("JWT was generated by a newer version", at="/nats/version")
    found = seen.type or body.type
    if found in {"cluster", "server"}:
        raise TokenKindError(f"{found.title()}Claims are not supported", at="/nats/type")
    if found in KINDS:
        # Requests and responses without a version are read as the first format (§2.5).
        if version not in {1, VERSION} and found.startswith("authorization_"):
            version = 1
        if version not in {1, VERSION}:
            raise TokenError(
                f"library supports version 2 or less - received {version}", at="/nats/version"
            )
    else:
        version = 1 if first_format else VERSION
    return (strict_object(payload) if version == 1 else None), found, version


def _foreign_algorithm(header64: str) -> str:
    from issuer.claims.wire import strict_object  # noqa: PLC0415

    try:
        header = strict_object(_decode64(header64, "header"))
    except ClaimSyntaxError as error:
        raise TokenError(f"header {error.message}") from None
    typ, algorithm = header.get("typ", ""), header.get("alg", "")
    if not isinstance(typ, str) or typ.upper() != "JWT":
        raise TokenAlgorithmError(f'not supported type "{typ}"', at="header")
    if not isinstance(algorithm, str) or algorithm.lower() not in {"ed25519", "ed25519-nkey"}:
        raise TokenAlgorithmError(f'unexpected "{algorithm}" algorithm', at="header")
    return algorithm


def _verify_by_pyjwt(text: str, algorithm: str, issuer: PublicKey, version: int) -> bool:
    # Imported here: reading our own tokens must not cost every command PyJWT's start-up.
    import jwt  # noqa: PLC0415

    from issuer.tokens.algorithm import NAME, VerifyKey, jws  # noqa: PLC0415

    spelling = algorithm or NAME
    try:
        jws(spelling).decode(text, VerifyKey(issuer, version), algorithms=[spelling])
    except jwt.InvalidTokenError:
        return False
    return True


def _check_roles(claims: Envelope, issuer: PublicKey, *, at_encode: bool) -> None:
    kind: Any = type(claims)
    if not claims.sub and (at_encode or kind.subjects):
        raise TokenRoleError("subject is not set", at="/sub")
    if kind.issuers and role_of(issuer) not in kind.issuers:
        wanted = " ".join(role.value for role in kind.issuers)
        raise TokenRoleError(f"unable to validate expected prefixes - [{wanted}]", at="/iss")
    if kind.subjects:
        try:
            parse_public(claims.sub, *kind.subjects, at="/sub")
        except KeyFormatError as error:
            raise TokenRoleError(error.message, at="/sub", hint=error.hint) from None


def _check_time(claims: Envelope, now: int) -> None:
    # The library accepts during the second of `exp` itself (claims spec §4.2).
    if 0 < claims.exp < now:
        raise TokenTimeError("claim is expired", at="/exp")
    if claims.nbf > now and claims.nbf > 0:
        raise TokenTimeError("claim is not yet valid", at="/nbf")


def _check_size(token: str) -> None:
    size = len(token)
    if size > MAX_BYTES:
        raise TokenTooLarge(
            f"token size {size} exceeds maximum of {MAX_BYTES} bytes: token too large",
            hint="compact revocations, or split the account",
        )


def _body(claims: Any) -> Any:
    kind, body = type(claims).kind, claims.nats
    if isinstance(claims, GenericClaims):
        return {**body, "version": VERSION} if body else body
    if isinstance(claims, AccountClaims):
        body = claims.nats.sorted()
    if body.type != kind or body.version != VERSION:
        body = msgspec.structs.replace(body, type=kind, version=VERSION)
    return body


def _encode64(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URLSAFE)


def _decode64(chunk: str, what: str) -> bytes:
    # The tolerant alphabet of most decoders would make many texts of one token.
    if not _CHUNK(chunk) or len(chunk) % 4 == 1:
        raise TokenError(f"{what} is not unpadded base64url")
    return binascii.a2b_base64(chunk.translate(_FROM_URLSAFE) + "==="[: -len(chunk) % 4])


__all__ = [
    "KINDS",
    "MAX_BYTES",
    "Signed",
    "Token",
    "TokenAlgorithmError",
    "TokenError",
    "TokenKindError",
    "TokenRoleError",
    "TokenSignatureError",
    "TokenTimeError",
    "TokenTooLarge",
    "Verified",
    "decode",
    "encode",
    "escape",
    "token_hash",
]
