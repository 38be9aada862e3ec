"""Okta event hooks over HTTP: `/api/v1/hooks/okta/{name}`.

A delivery is answered when what follows from it is written; ending connections goes on after that. If it
cannot be written the answer is 503, so that Okta delivers it again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from issuer.authority.desk import Actor, Authority
from issuer.authority.hearing import Hear, Heard, hear
from issuer.errors import AccreditError
from web.bodies import BodyError, TooLargeError, body_of
from web.triggers.bodies import is_one_of, object_in, plain_text
from web.triggers.okta_events import read_delivery
from web.triggers.settings import OktaHook

log = logging.getLogger("accredit.triggers")

PATH: Final = "/api/v1/hooks/okta/{name}"
CHALLENGE: Final = "x-okta-verification-challenge"


def okta_router(
    hooks: Iterable[tuple[OktaHook, str]],
    authority: Authority,
    *,
    operator: str,
    wake: Callable[[Sequence[str]], None],
    now: Callable[[], float],
) -> APIRouter:
    """The routes over these hooks, each with the issuer of the people it tells of.

    `wake` is told the names of errands that were left.
    """
    known: Mapping[str, tuple[OktaHook, str]] = {hook.name: (hook, issuer) for hook, issuer in hooks}
    routes = APIRouter()

    def admitted(name: str, request: Request) -> tuple[OktaHook, str] | None:
        found = known.get(name)
        if found is None:
            return None
        shown = request.headers.get(found[0].header, "")
        return found if is_one_of(shown, found[0].secret, found[0].previous_secret) else None

    @routes.get(PATH)
    async def verify(name: str, request: Request) -> Response:
        """Okta asks once whether we are who was meant."""
        if admitted(name, request) is None:
            return _fault(HTTPStatus.UNAUTHORIZED)
        challenge = plain_text(request.headers.get(CHALLENGE), 1024)
        if challenge is None:
            return _fault(HTTPStatus.BAD_REQUEST)
        return JSONResponse({"verification": challenge}, headers={"Cache-Control": "no-store"})

    @routes.post(PATH)
    async def deliver(name: str, request: Request) -> Response:
        found = admitted(name, request)
        if found is None:
            return _fault(HTTPStatus.UNAUTHORIZED)
        hook, issuer = found
        try:
            body = await body_of(request, hook.max_bytes)
            plain = object_in(request, body, "application/json")
            delivery = read_delivery(plain, hook, issuer, now=int(now()))
        except BodyError as error:
            log.warning("okta hook %s: a delivery %s", hook.name, error.message)
            large = isinstance(error, TooLargeError)
            return _fault(HTTPStatus.REQUEST_ENTITY_TOO_LARGE if large else HTTPStatus.BAD_REQUEST)
        if delivery.unread:
            log.warning("okta hook %s: %d events say not whom they are about", hook.name, delivery.unread)
        if delivery.told:
            act = Hear(source=hook.source, told=delivery.told, notice=delivery.notice, operator=operator)
            try:
                heard = await asyncio.to_thread(_perform, authority, act, Actor(hook.name, "okta"))
            except AccreditError as error:
                log.error("okta hook %s: a delivery is not written: %s", hook.name, error)  # noqa: TRY400
                return _fault(HTTPStatus.SERVICE_UNAVAILABLE)
            wake(heard.errands)
        return Response(status_code=HTTPStatus.OK)

    return routes


def _perform(authority: Authority, act: Hear, actor: Actor) -> Heard:
    return authority.perform(hear, act, actor)


def _fault(status: HTTPStatus) -> Response:
    document: dict[str, Any] = {"type": "about:blank", "title": status.phrase, "status": int(status)}
    return JSONResponse(document, int(status), media_type="application/problem+json")
