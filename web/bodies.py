"""Bodies of requests, never more of them than is allowed."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request

from issuer.errors import PeerError


class BodyError(PeerError):
    """A body that is not what it should be; the words quote nothing of it."""

    code = "request.body"


class TooLargeError(BodyError):
    """More of it than is taken."""

    code = "request.body-size"


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
