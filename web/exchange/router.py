"""Token exchange over HTTP (RFC 8693). Whoever is refused learns nothing but that.

`POST /api/v1/token/challenge`, `POST /api/v1/token`, `GET /api/v1/token/sources`. Faults are problem
documents (RFC 9457) with the `error` of RFC 6749 §5.2 among their members.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from callout.tracing import PARENT_HEADER
from issuer.errors import AccreditError
from web.bodies import BodyError, TooLargeError, body_of
from web.exchange.reading import JWT, RequestError, read_request
from web.exchange.service import Exchange, Issued, No, Wait

log = logging.getLogger("accredit.exchange")

BASE: Final = "/api/v1/token"
PROBLEM: Final = "application/problem+json"
REFUSED: Final = "the token was not exchanged"
"""All that a client learns of a no."""
_NEVER_STORED: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def exchange_router(exchange: Exchange, *, now: Callable[[], float]) -> APIRouter:
    """The routes over one exchange."""
    routes = APIRouter()

    @routes.post(BASE + "/challenge")
    async def challenge(request: Request) -> JSONResponse:
        try:
            told = exchange.challenge(_address(request))
        except AccreditError as error:
            log.error("no challenge could be made: %s", error)  # noqa: TRY400
            return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "temporarily_unavailable", "try again later")
        if isinstance(told, Wait):
            return _wait(told)
        return _answer({"nonce": told.nonce, "expires_in": told.seconds})

    @routes.post(BASE)
    async def token(request: Request) -> JSONResponse:
        address = _address(request)
        wait = exchange.admit(address)
        if wait is not None:
            return _wait(wait)
        try:
            body = await body_of(request, exchange.settings.max_bytes)
        except TooLargeError:
            return _problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "invalid_request", "the request is too large"
            )
        except BodyError:
            body = b""
        try:
            asked = read_request(request.headers.get("content-type", ""), body)
        except RequestError as error:
            log.info("no request for an exchange, from %s: %s", address, error)
            return _problem(HTTPStatus.BAD_REQUEST, "invalid_request", "this is no request for an exchange")
        parent = request.headers.get(PARENT_HEADER, "")
        outcome = await exchange.exchange(asked, address, parent=parent)
        match outcome:
            case Issued():
                return _answer(
                    {
                        "access_token": outcome.token,
                        "issued_token_type": JWT,
                        # RFC 8693 §2.2.1: it is no OAuth access token.
                        "token_type": "N_A",
                        "expires_in": max(outcome.expires_at - int(now()), 0),
                        "account": outcome.account,
                        "servers": list(outcome.servers),
                    }
                )
            case Wait():
                return _wait(outcome)
            case No(ours=True):
                return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "temporarily_unavailable", "try again later")
            case No():
                # RFC 8693 §2.2.2
                return _problem(HTTPStatus.BAD_REQUEST, "invalid_grant", REFUSED)

    @routes.get(BASE + "/sources")
    async def sources() -> JSONResponse:
        return _answer({"sources": [msgspec.to_builtins(source) for source in exchange.sources]})

    return routes


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def _answer(document: dict[str, Any]) -> JSONResponse:
    return JSONResponse(document, headers=_NEVER_STORED)


def _wait(wait: Wait) -> JSONResponse:
    seconds = max(1, math.ceil(wait.seconds))
    return _problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        "slow_down",
        "too many requests",
        **{"Retry-After": str(seconds)},
    )


def _problem(status: HTTPStatus, error: str, detail: str, **headers: str) -> JSONResponse:
    document = {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
        "error": error,
    }
    return JSONResponse(document, int(status), headers={**_NEVER_STORED, **headers}, media_type=PROBLEM)
