"""The HTTP application: today the resolver path and health, later the API and the console."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse

from issuer import __version__
from issuer.authority.desk import Authority
from web.resolver import router as resolver_router

Health = Callable[[], dict[str, object]]


def application(authority: Authority, health: Health, routes: Iterable[APIRouter] = ()) -> FastAPI:
    """The application over one authority; `health` tells how the parts around it are, which may have
    `routes` of their own."""
    app = FastAPI(title="Accredit", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(resolver_router(authority))
    for router in routes:
        app.include_router(router)

    @app.get("/healthz")
    def healthz() -> JSONResponse:
        parts = health()
        good = all(part != "down" for part in parts.values())
        return JSONResponse({"status": "ok" if good else "degraded", **parts}, 200 if good else 503)

    return app
