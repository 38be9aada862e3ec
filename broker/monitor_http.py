"""Monitoring over HTTP: /varz, /connz, /healthz and the others, read only (enforcement spec §7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from broker.core import Core
from broker.services.asked import AskedWrongError
from broker.services.envelope import encoded
from broker.services.events import account_statz
from broker.services.monitoring import ANY, CLOSED, OPEN, PAGES

MAX_HEAD: Final = 8192
READ_SECONDS: Final = 10.0
WRITE_SECONDS: Final = 10.0
# Each may hold a whole page in memory until its client has taken it.
MAX_CONNECTIONS: Final = 64
_FLAGS: Final = frozenset({"auth", "unused"})
_NUMBERS: Final = frozenset({"limit", "offset"})
_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"", "0", "f", "F", "FALSE", "false", "False"})
_STATES: Final = {"": OPEN, "open": OPEN, "closed": CLOSED, "any": ANY, "all": ANY}
_ALIASES: Final = {"SUBSCRIPTIONSZ": "SUBSZ"}
_DIGITS: Final = 19  # what fits 64 bits
_PLAIN: Final = "text/plain; charset=utf-8"
_WORDS: Final = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}

Page = tuple[int, bytes, str]


async def answer(core: Core, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request, one answer, and the connection ends."""
    method = ""
    try:
        async with asyncio.timeout(READ_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        status, body, kind = respond(core, method, target)
    except (
        TimeoutError,
        ValueError,
        asyncio.IncompleteReadError,
        asyncio.LimitOverrunError,
        ConnectionError,
    ):
        status, body, kind = 400, b"400 Bad Request\n", _PLAIN
    head_out = (
        f"HTTP/1.1 {status} {_WORDS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    )
    try:
        async with asyncio.timeout(WRITE_SECONDS):
            writer.write(f"{head_out}Connection: close\r\n\r\n".encode())
            writer.write(b"" if method == "HEAD" else body)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
    except (TimeoutError, ConnectionError):
        writer.transport.abort()


def respond(core: Core, method: str, target: str) -> Page:
    """Status, body and its type for a request line."""
    if method not in {"GET", "HEAD"}:
        return 405, b"405 Method Not Allowed\n", _PLAIN
    parts = urlsplit(target)
    base = core.options.http_base_path.rstrip("/")
    path = parts.path.removeprefix(base).rstrip("/") or "/"
    if path == "/":
        links = "".join(f'<a href="{base}/{name.lower()}">{name.lower()}</a><br>\n' for name in PAGES)
        return 200, f"<html><body>\n{links}</body></html>\n".encode(), "text/html; charset=utf-8"
    name = path.removeprefix("/")
    # Paths are in lower case only, as on a server.
    page = _page(_ALIASES.get(name.upper(), name.upper())) if name.islower() else None
    if page is None:
        return 404, b"404 page not found\n", _PLAIN
    try:
        body = page(core, _asked(dict(parse_qsl(parts.query, keep_blank_values=True))))
    except AskedWrongError as error:
        return 400, error.message.encode(), _PLAIN
    return 200, msgspec.json.format(encoded(body), indent=2), "application/json"


def _page(name: str) -> Callable[[Core, Mapping[str, Any]], dict[str, Any]] | None:
    if name == "ACCSTATZ":
        return lambda core, asked: account_statz(core, {"include_unused": asked.get("unused", False)})
    if name in {"ACCOUNTZ", "SUBSZ"}:
        return lambda core, asked: PAGES[name](core, {**asked, "account": asked.get("acc", "")})
    if name == "HEALTHZ":
        return lambda _, __: {"status": "ok"}
    return PAGES.get(name)


def _asked(query: Mapping[str, str]) -> dict[str, Any]:
    """The options of a query, as those of a request.

    Raises:
        AskedWrongError: one is of another kind.
    """
    asked: dict[str, Any] = {}
    for name, value in query.items():
        if name == "subs":
            if value == "detail":
                asked["subscriptions_detail"] = True
            else:
                asked["subscriptions"] = _flag(name, value)
        elif name in _FLAGS:
            asked[name] = _flag(name, value)
        elif name in _NUMBERS:
            asked[name] = _number(name, value, "int")
        elif name == "cid":
            asked[name] = _number(name, value, "uint64", signs="")
        elif name == "state":
            if value.lower() not in _STATES:
                raise AskedWrongError(f"Error decoding state for {value}")
            asked[name] = _STATES[value.lower()]
        elif name in {"sort", "user", "acc", "mqtt_client", "test"}:
            asked[name] = value
    return asked


def _flag(name: str, value: str) -> bool:
    if value not in _TRUE | _FALSE:
        raise AskedWrongError(f"Error decoding boolean for '{name}': {value} is none")
    return value in _TRUE


def _number(name: str, value: str, kind: str, *, signs: str = "+-") -> int:
    digits = value.removeprefix(value[:1]) if value[:1] and value[:1] in signs else value
    if value and not (digits.isascii() and digits.isdecimal() and len(digits) < _DIGITS):
        raise AskedWrongError(f"Error decoding {kind} for '{name}': {value} is none")
    return int(value or 0)


async def start_monitor(core: Core, host: str, port: int) -> asyncio.Server:
    """Listen; a port below zero picks a free one."""
    busy = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal busy
        if busy >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        busy += 1
        try:
            await answer(core, reader, writer)
        finally:
            busy -= 1

    return await asyncio.start_server(serve, host, max(port, 0), limit=MAX_HEAD)
