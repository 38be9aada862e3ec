"""Monitoring over HTTP: /varz, /connz, /healthz and the others, read only (enforcement spec §7)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from broker.core import Core
from broker.services.events import connections_of
from broker.services.monitoring import PAGES

MAX_HEAD: Final = 8192
READ_SECONDS: Final = 10.0
_TRUE: Final = frozenset({"1", "true", "t"})
_FLAGS: Final = frozenset({"auth", "subscriptions", "subscriptions_detail"})
_NUMBERS: Final = frozenset({"cid", "limit", "offset"})


async def answer(core: Core, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request, one answer, and the connection ends."""
    status, body, kind = 400, b"400 Bad Request\n", "text/plain; charset=utf-8"
    try:
        async with asyncio.timeout(READ_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        status, body, kind = respond(core, method, target)
    except (TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass
    words = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}[status]
    head_out = f"HTTP/1.1 {status} {words}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    with contextlib.suppress(ConnectionError):
        writer.write(f"{head_out}Connection: close\r\n\r\n".encode() + body)
        await writer.drain()
    writer.close()


def respond(core: Core, method: str, target: str) -> tuple[int, bytes, str]:
    """Status, body and its type for a request line."""
    if method not in {"GET", "HEAD"}:
        return 405, b"405 Method Not Allowed\n", "text/plain; charset=utf-8"
    parts = urlsplit(target)
    base = core.options.http_base_path.rstrip("/")
    path = parts.path.removeprefix(base).rstrip("/") or "/"
    asked = _asked(dict(parse_qsl(parts.query)))
    if path == "/":
        links = "".join(f'<a href="{base}/{name.lower()}">{name.lower()}</a><br>\n' for name in PAGES)
        return 200, f"<html><body>\n{links}</body></html>\n".encode(), "text/html; charset=utf-8"
    name = path.removeprefix("/").upper()
    if name == "ACCSTATZ":
        body: Any = {
            "server_id": core.identity.id,
            "account_statz": [connections_of(each) for each in core.accounts.values() if each.clients],
        }
    elif name == "ACCOUNTZ" and "acc" in asked:
        body = PAGES[name](core, {"account": asked["acc"]})
    elif name in PAGES:
        body = PAGES[name](core, asked)
        if name == "HEALTHZ":
            body = {"status": "ok"}
    else:
        return 404, b"404 page not found\n", "text/plain; charset=utf-8"
    return 200, msgspec.json.format(msgspec.json.encode(body), indent=2), "application/json"


def _asked(query: Mapping[str, str]) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    for name, value in query.items():
        if name == "subs":
            asked["subscriptions_detail" if value == "detail" else "subscriptions"] = True
        elif name in _FLAGS:
            asked[name] = value.lower() in _TRUE
        elif name in _NUMBERS:
            asked[name] = int(value)
        else:
            asked[name] = value
    return asked


async def start_monitor(core: Core, host: str, port: int) -> asyncio.Server:
    """Listen; a port below zero picks a free one."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(core, reader, writer)

    return await asyncio.start_server(serve, host, max(port, 0), limit=MAX_HEAD)
