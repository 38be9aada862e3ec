"""Monitoring over HTTP: which pages there are, and what is refused."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from broker import monitor_http
from broker.monitor_http import respond, start_monitor
from tests.broker.services.headquarters import Headquarters


@pytest.fixture
def place(tmp_path: Path) -> Headquarters:
    place = Headquarters(tmp_path)
    place.enter(place.put("A"), "ann")
    return place


@pytest.mark.parametrize(
    "path", ["/varz", "/connz", "/subsz", "/subscriptionsz", "/accountz", "/accstatz", "/healthz", "/jsz", "/connz/"]
)  # fmt: skip
def test_pages(place: Headquarters, path: str) -> None:
    status, body, kind = respond(place.core, "GET", path)
    assert (status, kind) == (200, "application/json")
    assert isinstance(json.loads(body), dict)


@pytest.mark.parametrize("path", ["/none", "/VARZ", "/var%7a", "/../varz", "/varz/x"])
def test_there_is_nothing_else(place: Headquarters, path: str) -> None:
    assert respond(place.core, "GET", path)[0] == 404


@pytest.mark.parametrize(
    "query",
    ["limit=x", "limit=99999999999999999999", "limit=١", "offset=1.5", "cid=-1", "cid=x", "auth=yes", "state=bad",
     "sort=bad", "sort=stop", "subs=maybe"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(place: Headquarters, query: str) -> None:
    status, words, kind = respond(place.core, "GET", f"/connz?{query}")
    assert (status, kind) == (400, "text/plain; charset=utf-8")
    assert words


def test_an_account_that_is_not_here_is_refused_in_words(place: Headquarters) -> None:
    assert respond(place.core, "GET", "/accountz?acc=AX")[:2] == (400, b"Account AX does not exist")


def test_nothing_is_changed_from_here(place: Headquarters) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert respond(place.core, method, "/varz")[0] == 405


def test_no_name_ends_a_page(place: Headquarters) -> None:
    place.enter(place.put("A"), "</script>")
    assert b"</script>" not in respond(place.core, "GET", "/connz")[1]


async def said(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def test_over_a_socket(place: Headquarters) -> None:
    async def talk() -> None:
        server = await start_monitor(place.core, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        whole = await said(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        head, _, body = whole.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert json.loads(body) == {"status": "ok"}
        only = await said(port, b"HEAD /healthz HTTP/1.1\r\n\r\n")
        assert only.partition(b"\r\n\r\n") == (head, b"\r\n\r\n", b"")
        for bad in (b"\r\n\r\n", b"GET\r\n\r\n", b"GET /varz extra HTTP/1.1\r\n\r\n"):
            assert (await said(port, bad)).startswith(b"HTTP/1.1 400 ")
        assert not (await said(port, b"GET /" + b"x" * 20_000)).startswith(b"HTTP/1.1 200")
        server.close()
        await server.wait_closed()

    asyncio.run(talk())


def test_too_many_at_once_are_hung_up_on(place: Headquarters, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_http, "MAX_CONNECTIONS", 2)

    async def talk() -> None:
        server = await start_monitor(place.core, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert await said(port, b"GET /healthz HTTP/1.1\r\n\r\n") == b""
        for _, writer in silent:
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(0.05)
        assert (await said(port, b"GET /healthz HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")
        server.close()
        await server.wait_closed()

    asyncio.run(talk())
