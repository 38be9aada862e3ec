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
from issuer.claims.wire import (
    AmbiguousMemberError,
    ClaimSyntaxError,
    from_canonical,
    from_json,
    strict_object,
    to_json,
)
from issuer.errors import PeerError
from issuer.keys.nkeys import KeyFormatError, PublicKey, parse_public, verify
from issuer.tokens.jti import jti_of
from issuer.tokens.signer import Signer
from issuer.tokens.version_one import modernised

Token = NewType("Token", str)
C = TypeVar("C", bound=Envelope)

MAX_BYTES: Final = 1_048_576  # nats-io/jwt refuses longer ones (claims spec §2.5)
HEADER: Final = b"eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ"
_HEADER_DOT: Final = HEADER + b"."
_BLANKS: Final = " \t\r\n\v\f"
_STANDARD: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_FOREIGN: Final = b"*"  # stands for every byte outside the alphabet
_FROM_URLSAFE: Final = bytes(
    b"+/"[b"-_".index(byte)] if byte in b"-_" else byte if byte in _STANDARD else _FOREIGN[0]
    for byte in range(256)
)

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
# First letters of the keys that may sign a kind, and that it may be about; empty is any.
_KINDS: Final[tuple[type[Envelope], ...]] = (*KINDS.values(), GenericClaims)
_ROLES: Final = {
    kind: ("".join(role.letter for role in kind.issuers), "".join(role.letter for role in kind.subjects))
    for kind in _KINDS
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
        ClaimSyntaxError: a text that no token can carry.
    """
    issuer = signer.public
    _check_roles(claims, issuer, at_encode=True)
    stamped = msgspec.structs.replace(claims, iss=issuer, iat=now, jti="", nats=_body(claims))
    data = to_json(stamped)
    # Inside a JSON string every quote is escaped, so members are found where they stand.
    end = data.find(b',"nats":')
    registered = data[:end] + b"}" if end >= 0 else data
    jti = jti_of(registered)
    place = data.find(b'"iat":' if now else b'"iss":')
    payload = data[:place] + b'"jti":"' + jti + b'",' + data[place:]
    message = _HEADER_DOT + _encode64(payload)
    token: Any = (message + b"." + _encode64(signer.sign(message))).decode()
    if len(token) > MAX_BYTES:
        raise _too_large(len(token))
    msgspec.structs.force_setattr(stamped, "jti", jti.decode())
    return Signed(token, stamped)


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
    text = text.strip(_BLANKS)
    if len(text) > MAX_BYTES:
        raise _too_large(len(text))
    raw = text.encode("ascii", "replace")
    chunks = raw.split(b".")
    if len(chunks) != 3:
        raise TokenError("expected 3 chunks")
    header, payload64, signature64 = chunks
    canonical = header == HEADER
    algorithm = "" if canonical else _foreign_algorithm(header)
    payload = _decode64(payload64, "payload")
    claims, version = _read(payload, kind, first_format=algorithm.lower() == "ed25519")
    issuer = claims.iss
    try:
        parse_public(issuer)
    except KeyFormatError as error:
        raise TokenRoleError(error.message, at="/iss", hint=error.hint) from None
    signature = _decode64(signature64, "signature")
    if canonical and version == VERSION:
        good = verify(issuer, raw[: -len(signature64) - 1], signature)
    else:
        good = _verify_by_pyjwt(text, algorithm, issuer, version)
    if not good:
        raise TokenSignatureError(f"claim failed V{version} signature verification")
    _check_roles(claims, issuer, at_encode=False)
    if now is not None:
        _check_time(claims, now)
    return Verified(Token(text), claims, version)


def plain_claims(token: Token) -> dict[str, Any]:
    """What a verified token says, as plain JSON values: absent and empty are still two things."""
    return strict_object(_decode64(token.split(".")[1].encode(), "payload"))


def written_by_us(verified: Verified[Any]) -> bool:
    """Whether the token says what its claims say in the very bytes we would write, nothing empty in them."""
    payload = _decode64(verified.token.split(".")[1].encode(), "payload")
    return to_json(verified.claims) == payload


def token_hash(token: str) -> str:
    """SHA-256 of the text, in hex: what identifies one version of a token; `jti` does not (§2.3)."""
    return hashlib.sha256(token.encode()).hexdigest()


def _read(payload: bytes, kind: type[Any] | None, *, first_format: bool) -> tuple[Any, int]:
    if kind is not None and kind is not GenericClaims:
        # The common case: the caller knows the kind, so the type of the body decides at once.
        claims = from_canonical(payload, kind)
        if claims is not None and claims.nats.type == kind.kind and claims.nats.version == VERSION:
            return claims, VERSION
    found, version = _peek(payload)
    wanted: type[Any] = KINDS.get(found, GenericClaims)
    if kind is not None and kind is not wanted:
        raise TokenKindError(f"is not a token of kind {kind.kind}, but {found or 'of no kind'}")
    if wanted is GenericClaims:
        version = 1 if first_format else VERSION
    if version == 1:
        return modernised(strict_object(payload), wanted), 1
    claims = from_json(payload, wanted)
    _refuse_disguises(claims)
    return claims, version


class _PeekBody(msgspec.Struct):
    type: str | None = None
    version: int | None = None


class _Peek(msgspec.Struct):
    type: str | None = None
    nats: _PeekBody | None = None


_peek_decoder: Final = msgspec.json.Decoder(_Peek)


def _peek(payload: bytes) -> tuple[str, int]:
    """Kind and version of a token, before it is read as what it says it is."""
    try:
        seen = _peek_decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        strict_object(payload)
        raise ClaimSyntaxError(f"is not a claim: {error}") from None
    body = seen.nats or _PeekBody()
    version = 1 if seen.type else body.version or 0
    if version > VERSION:
        raise TokenError("JWT was generated by a newer version", at="/nats/version")
    found = seen.type or body.type or ""
    if found in {"cluster", "server"}:
        raise TokenKindError(f"{found.title()}Claims are not supported", at="/nats/type")
    if version in {1, VERSION} or found not in KINDS:
        return found, version
    # Requests and responses without a version are read as the first format (§2.5).
    if found.startswith("authorization_"):
        return found, 1
    raise TokenError(f"library supports version 2 or less - received {version}", at="/nats/version")


def _refuse_disguises(claims: Any) -> None:
    """Servers match member names in any letter case: what decides the kind must be plain."""
    free = claims.nats if isinstance(claims, GenericClaims) else ()
    for names, decisive in ((claims.extra, {"type"}), (free, {"type", "version"})):
        for name in names:
            if name not in decisive and name.casefold() in decisive:
                raise AmbiguousMemberError(f"member {name!r} is a known member in other letter case")


def _foreign_algorithm(header64: bytes) -> str:
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
    import jwt

    from issuer.tokens.algorithm import NAME, VerifyKey, jws

    spelling = algorithm or NAME
    key: Any = VerifyKey(issuer, version)  # PyJWT's annotations know its own kinds of key only
    try:
        jws(spelling).decode(text, key, algorithms=[spelling])
    except jwt.InvalidTokenError:
        return False
    return True


def _check_roles(claims: Envelope, issuer: PublicKey, *, at_encode: bool) -> None:
    kind: Any = type(claims)
    issuers, subjects = _ROLES[kind]
    if issuers and issuer[:1] not in issuers:
        wanted = " ".join(role.value for role in kind.issuers)
        raise TokenRoleError(f"unable to validate expected prefixes - [{wanted}]", at="/iss")
    if not claims.sub:
        if at_encode or subjects:
            raise TokenRoleError("subject is not set", at="/sub")
    elif subjects:
        try:
            # A sound key of the right first letter is one of the right role.
            parse_public(claims.sub, *(() if claims.sub[0] in subjects else kind.subjects))
        except KeyFormatError as error:
            raise TokenRoleError(error.message, at="/sub", hint=error.hint) from None


def _check_time(claims: Envelope, now: int) -> None:
    # The library accepts during the second of `exp` itself (claims spec §4.2).
    if 0 < claims.exp < now:
        raise TokenTimeError("claim is expired", at="/exp")
    if claims.nbf > now and claims.nbf > 0:
        raise TokenTimeError("claim is not yet valid", at="/nbf")


def _too_large(size: int) -> TokenTooLarge:
    return TokenTooLarge(
        f"token size {size} exceeds maximum of {MAX_BYTES} bytes: token too large",
        hint="compact revocations, or split the account",
    )


def _body(claims: Any) -> Any:
    kind, body = type(claims), claims.nats
    if kind is GenericClaims:
        return {**body, "version": VERSION} if body else body
    if kind is AccountClaims:
        body = body.sorted()
    if body.type != kind.kind or body.version != VERSION:
        body = msgspec.structs.replace(body, type=kind.kind, version=VERSION)
    return body


def _encode64(data: bytes) -> bytes:
    # The two letters are rare in the base64 of JSON: replacing beats translating every byte.
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").replace(b"+", b"-").replace(b"/", b"_")


def _decode64(chunk: bytes, what: str) -> bytes:
    # The tolerant alphabet of most decoders would make many texts of one token.
    standard = chunk.translate(_FROM_URLSAFE)
    if _FOREIGN in standard or len(chunk) % 4 == 1:
        raise TokenError(f"{what} is not unpadded base64url")
    return binascii.a2b_base64(standard + b"==="[: -len(chunk) % 4])


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
    "plain_claims",
    "token_hash",
    "written_by_us",
]
