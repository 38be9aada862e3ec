"""Requests of those who tell us of people: whose they are, and their bodies, never more than is allowed."""

from __future__ import annotations

import hmac
from typing import Any

from starlette.requests import ClientDisconnect, Request

from callout.directories.secrets import Secret
from issuer.claims.wire import ClaimSyntaxError, strict_object
from issuer.errors import PeerError


class BodyError(PeerError):
    """A body that is not what it should be; the words quote nothing of it."""

    code = "trigger.body"


class TooLargeError(BodyError):
    """More of it than is taken."""

    code = "trigger.body-size"


def is_one_of(shown: str, *secrets: Secret | None) -> bool:
    """Whether this is one of them, in a time that tells nothing of how much of it is right."""
    # A header is bytes to the one who sent it; Starlette reads them as Latin-1.
    given = shown.encode("latin-1", "replace")
    found = False
    for secret in secrets:
        if secret is not None and secret:
            found |= hmac.compare_digest(given, secret.reveal().encode("utf-8", "surrogatepass"))
    return found


async def body_of(request: Request, most: int) -> bytes:
    """The whole body.

    Raises:
        TooLargeError: it is larger than that; no more than that was ever held.
        BodyError: it did not come to its end.
    """
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > most):
        raise TooLargeError("is too large")
    held = bytearray()
    try:
        async for chunk in request.stream():
            held += chunk
            if len(held) > most:
                raise TooLargeError("is too large")
    except ClientDisconnect:
        raise BodyError("did not come to its end") from None
    return bytes(held)


def object_in(request: Request, body: bytes, *media: str) -> dict[str, Any]:
    """The one JSON object in a body.

    Raises:
        BodyError: it is said to be something else, or is none, or has a member twice.
    """
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said not in media:
        raise BodyError(f"is not {media[0]}")
    try:
        return strict_object(body)
    except ClaimSyntaxError:
        # Its words may quote a name out of it.
        raise BodyError("is not one JSON object with every member once") from None


def plain_text(value: object, most: int = 255) -> str | None:
    """A text that can be stored and shown as it is; None for anything else."""
    if isinstance(value, str) and 0 < len(value) <= most and value.isprintable():
        return value
    return None
