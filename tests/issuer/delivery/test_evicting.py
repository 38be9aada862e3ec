"""Kicked until nobody is left, and what a server does not say is not taken for an answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence

import pytest

from issuer.delivery.evicting import Evicted, Link, evict
from issuer.delivery.sessions_followed import ended
from issuer.delivery.system_account import Enough, Handler, Reply


class Servers:
    """Servers with connections; `silent` are there and answer no question but a ping, `stubborn` kick nobody."""

    max_payload = 1 << 20
    closed = False

    def __init__(
        self, open_: Collection[Link], *, silent: Collection[str] = (), stubborn: bool = False
    ) -> None:
        self.open = set(open_)
        self.there = {link.server_id for link in open_} | set(silent)
        self.silent = set(silent)
        self.stubborn = stubborn

    async def request_many(
        self,
        subject: str,
        payload: bytes = b"",
        *,
        deadline: float,
        enough: Enough | None = None,
        quiet: float | None = None,
    ) -> list[Reply]:
        del deadline, enough, quiet
        if subject.endswith(".PING"):
            return [_said({"server": {"id": each}, "statsz": {}}) for each in self.there]
        server, what = subject.split(".")[3:]
        if server not in self.there or server in self.silent:
            return []
        link = Link(server, json.loads(payload)["cid"])
        if what == "CONNZ":
            found = [{"cid": link.client_id}] if link in self.open else []
            return [_said({"server": {"id": server}, "data": {"connections": found}})]
        if link not in self.open:
            fault = {"code": 500, "description": "no such client or leafnode id"}
            return [_said({"server": {"id": server}, "error": fault})]
        if not self.stubborn:
            self.open.discard(link)
        return [_said({"server": {"id": server}})]

    async def publish(
        self, subject: str, payload: bytes, *, headers: Mapping[str, str] | None = None
    ) -> None: ...
    async def subscribe(self, subject: str, handler: Handler) -> None: ...
    async def close(self) -> None: ...


def _said(document: object) -> Reply:
    return Reply(json.dumps(document).encode())


def evicted(servers: Servers, rounds: Sequence[Collection[Link]], **how: float) -> Evicted:
    waiting = list(rounds)

    async def find() -> Collection[Link]:
        return waiting.pop(0) if waiting else ()

    return asyncio.run(evict(servers, find, **how))


A, B, C = Link("N1", 1), Link("N1", 2), Link("N2", 1)


def test_all_are_kicked_and_seen_to_be_gone() -> None:
    found = evicted(Servers([A, B, C]), [[A, C]])
    assert (set(found.kicked), set(found.gone), found.left, found.came_back) == (
        {A, C},
        {A, C},
        frozenset(),
        0,
    )
    assert found.first_kick is not None
    assert found.last_gone is not None
    assert found.first_kick <= found.last_gone


def test_who_comes_back_while_it_settles_is_kicked_too() -> None:
    found = evicted(Servers([A, B]), [[A], [], [B]], settle=0.5)
    assert (set(found.gone), found.came_back) == ({A, B}, 1)


def test_who_had_left_before_is_gone_and_was_not_kicked() -> None:
    found = evicted(Servers([C]), [[A, C], []])
    assert set(found.gone) == {A, C}
    assert set(found.kicked) == {C}


def test_a_server_that_is_there_and_does_not_answer_is_no_proof() -> None:
    found = evicted(Servers([A], silent=["N2"]), [[A, C]], seconds=0.3)
    assert (set(found.gone), found.left) == ({A}, frozenset({C}))


def test_with_a_server_its_connections_have_gone() -> None:
    assert set(evicted(Servers([A]), [[A, C]]).gone) == {A, C}


def test_no_server_at_all_is_no_proof() -> None:
    assert evicted(Servers([]), [[A]], seconds=0.3).left == {A}


def test_an_answer_to_a_kick_is_no_proof() -> None:
    found = evicted(Servers([A], stubborn=True), [[A]], seconds=0.3)
    assert (set(found.kicked), found.left) == ({A}, frozenset({A}))


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (b'{"server":{"id":"N1"},"client":{"id":2,"acc":"A"},"reason":"Kicked"}', (B, "Kicked")),
        (b'{"server":{"id":"N1"},"client":{"id":2}}', (B, "")),
        (b'{"server":{"id":""},"client":{"id":2}}', None),
        (b'{"server":{"id":"N1"},"client":{}}', None),
        (b"\xff", None),
        (b"[]", None),
    ],
)
def test_what_an_advisory_says(payload: bytes, told: object) -> None:
    assert ended(Reply(payload)) == told
