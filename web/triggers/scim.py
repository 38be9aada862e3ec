"""SCIM 2.0 (RFC 7643, RFC 7644) over HTTP: `/scim/v2/{name}`, for the provider of that name.

It holds people, so that whoever is made inactive or deleted there is kept out here. It holds no groups:
those come with a login, and a second opinion on them would be one too many.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from issuer.errors import AccreditError, AlreadyExists, NotFound, Refused, Unavailable
from web.bodies import BodyError, TooLargeError, body_of
from web.triggers import scim_schemas as own
from web.triggers.bodies import is_one_of, object_in
from web.triggers.scim_paths import ScimError
from web.triggers.scim_service import Answer, Service
from web.triggers.settings import ScimClient

log = logging.getLogger("accredit.triggers")

BASE: Final = "/scim/v2/{name}"
MEDIA: Final = "application/scim+json"
_METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class _Fault(Exception):
    """An answer that is an error of SCIM (RFC 7644 §3.12)."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


def scim_router(services: Iterable[Service]) -> APIRouter:
    """The routes of these services."""
    known = {each.client.name: each for each in services}
    routes = APIRouter()

    @routes.api_route(BASE + "/Users", methods=["GET", "POST"])
    async def users(name: str, request: Request) -> Response:
        return await _answered(known.get(name), request, lambda service, base: _all(service, base, request))

    @routes.post(BASE + "/.search")
    @routes.post(BASE + "/Users/.search")
    async def search(name: str, request: Request) -> Response:
        return await _answered(
            known.get(name), request, lambda service, base: _sought(service, base, request)
        )

    @routes.api_route(BASE + "/Users/{number}", methods=["GET", "PUT", "PATCH", "DELETE"])
    async def user(name: str, number: str, request: Request) -> Response:
        return await _answered(
            known.get(name), request, lambda service, base: _one(service, base, number, request)
        )

    @routes.api_route(BASE + "/{rest:path}", methods=_METHODS)
    async def others(name: str, rest: str, request: Request) -> Response:
        async def work(service: Service, base: str) -> Answer:
            return _about_ourselves(service.client, base, rest, request)

        return await _answered(known.get(name), request, work)

    return routes


async def _answered(
    service: Service | None, request: Request, work: Callable[[Service, str], Awaitable[Answer]]
) -> Response:
    if service is None or not _is_admitted(service.client, request):
        return _refused(_Fault(HTTPStatus.UNAUTHORIZED, "the bearer token is not that of this client"), "")
    name = service.client.name
    try:
        status, document = await work(service, f"{str(request.base_url).rstrip('/')}/scim/v2/{name}")
    except (AccreditError, _Fault) as error:
        return _refused(error, name)
    if document is not None:
        document = _projected(document, request)
    return _json(status, document)


async def _all(service: Service, base: str, request: Request) -> Answer:
    if request.method == "GET":
        asked = {key.lower(): value for key, value in request.query_params.items()}
        return await service.search(base, asked)
    return await service.add(base, await _object(service, request))


async def _sought(service: Service, base: str, request: Request) -> Answer:
    """A question in a body, so that no name stands in an address (RFC 7644 §3.4.3)."""
    plain = await _object(service, request)
    asked = {
        name.lower(): ",".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in plain.items()
        if value is not None
    }
    status, document = await service.search(base, asked)
    return status, _narrowed(document or {}, asked)


async def _one(service: Service, base: str, number: str, request: Request) -> Answer:
    match request.method:
        case "GET":
            return await service.find(base, number)
        case "DELETE":
            return await service.remove(number)
        case "PUT":
            return await service.replace(base, number, await _object(service, request))
        case _:
            return await service.patch(base, number, await _object(service, request))


async def _object(service: Service, request: Request) -> dict[str, Any]:
    body = await body_of(request, service.client.max_bytes)
    return object_in(request, body, MEDIA, "application/json")


def _about_ourselves(client: ScimClient, base: str, rest: str, request: Request) -> Answer:
    kind, _, which = rest.rstrip("/").partition("/")
    if kind == "Groups" and not which and request.method == "GET":
        # None are held; whoever looks whether one is there is told so.
        return HTTPStatus.OK, own.listed([])
    if kind in {"Groups", "Me", "Bulk"}:
        raise _Fault(HTTPStatus.NOT_IMPLEMENTED, f"{kind}: not here; groups come with each login")
    lists = {"ResourceTypes": own.resource_types, "Schemas": own.schemas}
    if request.method != "GET":
        known = kind in {*lists, "ServiceProviderConfig", "Users"}
        raise _Fault(
            HTTPStatus.METHOD_NOT_ALLOWED if known else HTTPStatus.NOT_FOUND, "that cannot be done here"
        )
    if kind == "ServiceProviderConfig" and not which:
        return HTTPStatus.OK, own.service_provider_config(base, client.page)
    if kind not in lists:
        raise _Fault(HTTPStatus.NOT_FOUND, "there is nothing here")
    if "filter" in {key.lower() for key in request.query_params}:
        # RFC 7644 §4: whoever asked for a part must not be given all.
        raise _Fault(HTTPStatus.FORBIDDEN, "these cannot be filtered")
    found = lists[kind](base)
    if not which:
        return HTTPStatus.OK, own.listed(found)
    one = next((each for each in found if each["id"].lower() == which.lower()), None)
    if one is None:
        raise _Fault(HTTPStatus.NOT_FOUND, "there is nothing of that id")
    return HTTPStatus.OK, one


def _is_admitted(client: ScimClient, request: Request) -> bool:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and is_one_of(token.strip(), client.token, client.previous_token)


def _refused(error: AccreditError | _Fault, name: str) -> Response:
    status, detail, kind = _meaning(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status is not HTTPStatus.NOT_IMPLEMENTED:
        log.error("scim %s: not done: %s", name, error)
    document = {"schemas": [own.ERROR], "status": str(int(status)), "detail": detail}
    if kind:
        document["scimType"] = kind
    headers = {"WWW-Authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else {}
    return _json(status, document, headers)


def _meaning(error: AccreditError | _Fault) -> tuple[HTTPStatus, str, str]:
    match error:
        case _Fault():
            return error.status, error.detail, ""
        case ScimError():
            return HTTPStatus.BAD_REQUEST, error.message, error.kind
        case TooLargeError():
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request is too large", ""
        case BodyError():
            return HTTPStatus.BAD_REQUEST, f"the body {error.message}", "invalidSyntax"
        case AlreadyExists():
            return HTTPStatus.CONFLICT, error.message, "uniqueness"
        case NotFound():
            return HTTPStatus.NOT_FOUND, error.message, ""
        case Refused():
            return HTTPStatus.CONFLICT, "somebody else changes the same; try again", ""
        case Unavailable():
            return HTTPStatus.SERVICE_UNAVAILABLE, "try again later", ""
    return HTTPStatus.INTERNAL_SERVER_ERROR, "this is a fault of ours", ""


def _json(
    status: HTTPStatus, document: dict[str, Any] | None, headers: dict[str, str] | None = None
) -> Response:
    never_stored = {"Cache-Control": "no-store", **(headers or {})}
    if document is None:
        return Response(status_code=int(status), headers=never_stored)
    return JSONResponse(document, int(status), headers=never_stored, media_type=MEDIA)


def _projected(document: dict[str, Any], request: Request) -> dict[str, Any]:
    """With `attributes` only these, with `excludedAttributes` all but these (RFC 7644 §3.9)."""
    return _narrowed(document, {key.lower(): value for key, value in request.query_params.items()})


def _narrowed(document: dict[str, Any], asked: Mapping[str, str]) -> dict[str, Any]:
    wanted, unwanted = _names(asked.get("attributes")), _names(asked.get("excludedattributes"))
    if not wanted and not unwanted:
        return document
    if "Resources" in document:
        return document | {"Resources": [_part(each, wanted, unwanted) for each in document["Resources"]]}
    return _part(document, wanted, unwanted)


def _part(resource: dict[str, Any], wanted: frozenset[str], unwanted: frozenset[str]) -> dict[str, Any]:
    always = {"schemas", "id"}
    return {
        name: value
        for name, value in resource.items()
        if name in always or (name.lower() in wanted if wanted else name.lower() not in unwanted)
    }


def _names(text: str | None) -> frozenset[str]:
    names = (each.strip().lower() for each in (text or "").split(","))
    return frozenset(each.removeprefix(f"{own.USER.lower()}:").partition(".")[0] for each in names if each)
