"""What a nats-server with a URL resolver asks for (enforcement spec §5.2).

`GET <base>/` must answer 200 or the server does not start; `GET <base>/<account key>` gives the
token's text, and any other status means there is none. Account tokens are signed, not secret.
"""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response

from issuer.authority.desk import Authority
from issuer.keys.nkeys import PublicKey, Role, is_public
from issuer.store import hierarchy
from issuer.store.unit import Unit

BASE: Final = "/jwt/v1/accounts"
TOKEN_TYPE: Final = "application/jwt"  # noqa: S105  a media type


def router(authority: Authority) -> APIRouter:
    routes = APIRouter()

    @routes.get(BASE + "/")
    @routes.get(BASE)
    def base() -> PlainTextResponse:
        return PlainTextResponse("accredit\n")

    @routes.get(BASE + "/{public}")
    def account(public: str) -> Response:
        token = authority.ask(account_token, public)
        if token is None:
            return PlainTextResponse("no such account\n", 404)
        return Response(token, media_type=TOKEN_TYPE)

    @routes.get("/jwt/v1/operator")
    @routes.get("/jwt/v2/operator")
    def operator() -> Response:
        token = authority.ask(operator_token, None)
        if token is None:
            return PlainTextResponse("no operator\n", 404)
        return Response(token, media_type=TOKEN_TYPE)

    return routes


def account_token(unit: Unit, public: str) -> str | None:
    """The newest token of a live account."""
    if not is_public(public, Role.ACCOUNT):
        return None
    row = hierarchy.account_by_public(unit, PublicKey(public))
    return hierarchy.head_token(unit, "account", row.id).token if row else None


def operator_token(unit: Unit, _: None) -> str | None:
    """The token of the operator served here; None when there is not exactly one."""
    rows = list(hierarchy.operators(unit))
    return hierarchy.head_token(unit, "operator", rows[0].id).token if len(rows) == 1 else None
