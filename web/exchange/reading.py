"""A request for an exchange, from the body it came in (RFC 8693 §2.1, RFC 6749 §3.2)."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from callout.directories.keys import is_key
from issuer.claims.wire import ClaimSyntaxError, strict_object
from issuer.client import GRANT, TokenType
from issuer.errors import PeerError
from issuer.keys.nkeys import PublicKey, Role, is_public

JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"
_MOST_FIELDS: Final = 32


class RequestError(PeerError):
    """A request that is none; the words are for the log."""

    code = "exchange.malformed"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request. Never log its token."""

    subject_token: str
    kind: TokenType
    public: PublicKey
    nonce: str
    signature: str

    def __repr__(self) -> str:
        return f"Request({self.kind.name}, {self.public})"


def read_request(content_type: str, body: bytes) -> Request:
    """The request in a body.

    Raises:
        RequestError: it is none; the message quotes nothing of it.
    """
    fields = read_fields(content_type, body)
    if fields.get("grant_type") != GRANT:
        raise RequestError("its grant_type is not token-exchange")
    if fields.get("requested_token_type", JWT) != JWT:
        raise RequestError("it asks for a type of token that is not issued here")
    if fields.get("actor_token"):
        # To pass it over would give a token that says less than was asked for.
        raise RequestError("it has an actor_token")
    try:
        kind = TokenType(fields.get("subject_token_type", ""))
    except ValueError:
        raise RequestError("its subject_token_type is not known") from None
    token = fields.get("subject_token", "")
    if not token:
        raise RequestError("it has no subject_token")
    if is_key(token) != (kind is TokenType.API_KEY):
        raise RequestError("its subject_token is of another type than it says")
    public = fields.get("public_key", "")
    if not is_public(public, Role.USER):
        raise RequestError("its public_key is no user key")
    return Request(
        subject_token=token,
        kind=kind,
        public=PublicKey(public),
        nonce=fields.get("nonce", ""),
        signature=fields.get("signature", ""),
    )


def read_fields(content_type: str, body: bytes) -> dict[str, str]:
    """Names and texts of a form or of a JSON object; none may be there twice.

    Raises:
        RequestError: it is neither.
    """
    media = content_type.partition(";")[0].strip().lower()
    if media == FORM:
        return _form(body)
    if media == JSON:
        try:
            plain: dict[str, Any] = strict_object(body)
        except ClaimSyntaxError as error:
            raise RequestError(f"its JSON {error.code}") from None
        return {name: value for name, value in plain.items() if isinstance(value, str)}
    raise RequestError("it is neither a form nor JSON")


def _form(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise RequestError("it is no form") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise RequestError("a parameter is there twice")
    return fields
