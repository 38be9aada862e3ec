"""Clients that never come to the point: they cost the broker a socket each, and nobody his entrance."""

from __future__ import annotations

import asyncio
import functools
import resource
import time
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from tests.conformance.hosts import UNLIMITED, WIDE, Host
from tests.conformance.keys import Keys
from tests.conformance.model import Case, Connect, Ping, Pub, Send, Step, Sub, Token
from tests.conformance.play import play
from tests.processes import HOST

HALF_OPEN: Final = 10_000
_PER_CONNECTION: Final = 24  # kilobytes of the broker's memory
_BEGINNINGS: Final = (b"", b"C", b'CONNECT {"jwt":"', b"CONNECT " + b" " * 200, b"CONNECT {" + b"a" * 3000)
_GOOD: Final[list[Step]] = [
    Connect(client="u", user="u", options={"verbose": False, "protocol": 1}),
    Send("u", [Sub("a", "1"), Pub("a", "x"), Ping()]),
]


def case(steps: list[Step]) -> Case:
    return Case(
        theme="hostile",
        accounts={"A": Token(signer="O", sub="A", nats={"limits": WIDE})},
        users={"u": Token(signer="A", sub="u", nats=UNLIMITED)},
        steps=steps,
    )


@pytest.fixture
def room() -> Iterator[int]:
    """As many open files as the machine allows; how many silent connections fit beside our own files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    try:
        yield min(HALF_OPEN, before[1] - 200)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
def patient(room: int) -> Iterator[Host]:
    """A broker that lets clients be silent for a minute."""
    host = Host("ours", "plain", patience=60)
    host.start()
    try:
        yield host
    finally:
        host.stop()


class _Silent(asyncio.Protocol):
    """Says its beginning and no more."""

    def __init__(self, beginning: bytes) -> None:
        self._beginning = beginning
        self.open = False
        self.gone = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.open = True
        self.transport = transport
        if self._beginning:
            transport.write(self._beginning)  # type: ignore[attr-defined]

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        if not self.gone.done():
            self.gone.set_result(None)


async def _crowd(port: int, count: int) -> list[_Silent]:
    loop = asyncio.get_running_loop()
    crowd: list[_Silent] = []
    for start in range(0, count, 200):
        links = await asyncio.gather(
            *(
                loop.create_connection(
                    functools.partial(_Silent, _BEGINNINGS[n % len(_BEGINNINGS)]), HOST, port
                )
                for n in range(start, min(start + 200, count))
            )
        )
        crowd += (link for _, link in links)
    return crowd


async def _goes_in(host: Host, keys: Keys) -> None:
    """A good client comes in and hears itself."""
    sections = await play(case(_GOOD), host, keys)
    lines = [line for section in sections for line in section.lines]
    assert "u: MSG a to 1 'x'" in lines, lines


def test_silent_connections_do_not_keep_a_good_one_out(
    patient: Host, room: int, record_property: Callable[[str, object], None]
) -> None:
    async def scene() -> None:
        await patient.enter()
        alone = patient.resident()
        crowd = await _crowd(patient.port, room)
        try:
            await _goes_in(patient, Keys("hostile", int(time.time())))
            # Beside all of them, not after they were shown out.
            assert sum(link.open for link in crowd) == room
            each = (patient.resident() - alone) / room
            assert each < _PER_CONNECTION
        finally:
            for link in crowd:
                link.transport.close()
        await _goes_in(patient, Keys("hostile again", int(time.time())))
        await patient.leave()

    if room < HALF_OPEN:
        record_property("scaled", f"{room} connections: this machine allows no more open files")
    asyncio.run(scene())


def test_silent_connections_are_shown_out_in_time() -> None:
    """With the usual patience they go by themselves, each with the words for it."""
    host = Host("ours", "plain")
    host.start()

    async def scene() -> None:
        await host.enter()
        crowd = await _crowd(host.port, 400)
        try:
            async with asyncio.timeout(30):
                await asyncio.gather(*(link.gone for link in crowd))
        finally:
            for link in crowd:
                link.transport.close()
        await host.leave()

    try:
        asyncio.run(scene())
    finally:
        host.stop()
