"""Requests of those who tell us of people: whose they are, and what is in their bodies."""

from __future__ import annotations

import hmac
from typing import Any

from starlette.requests import Request

from callout.directories.secrets import Secret
from issuer.claims.wire import ClaimSyntaxError, strict_object
from web.bodies import BodyError


def is_one_of(shown: str, *secrets: Secret | None) -> bool:
    """Whether this is one of them, in a time that tells nothing of how much of it is right."""
    # A header is bytes to the one who sent it; Starlette reads them as Latin-1.
    given = shown.encode("latin-1", "replace")
    found = False
    for secret in secrets:
        if secret is not None and secret:
            found |= hmac.compare_digest(given, secret.reveal().encode("utf-8", "surrogatepass"))
    return found


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
