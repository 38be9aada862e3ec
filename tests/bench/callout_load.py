"""Clients of the callout's rows: raw sockets that say CONNECT and wait for PONG, or for a refusal.

Connections stay open until they are let go: what is measured are logins, not departures.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from tests.processes import HOST

T = TypeVar("T")
Show = Callable[[dict[str, Any]], dict[str, Any]]
"""What a client shows, by the server's INFO."""

PATIENCE: Final = 120.0
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 5.0


class RefusedError(RuntimeError):
    """The server said no, or closed."""


class Client:
    """One connection; afterwards `gone` is set when the server closes it."""

    def __init__(self, port: int, show: Show) -> None:
        self._port = port
        self._show = show
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def login(self) -> float:
        """Seconds from the socket to the PONG.

        Raises:
            RefusedError: it is not let in; nothing is open then.
        """
        began = time.perf_counter()
        reader, writer = await asyncio.open_connection(HOST, self._port)
        try:
            info = json.loads((await reader.readline())[5:])
            options = {"verbose": False, "pedantic": False, "protocol": 1, **self._show(info)}
            writer.write(b"CONNECT " + json.dumps(options).encode() + b"\r\nPING\r\n")
            said = await reader.readline()
            while said.startswith((b"PING", b"INFO")):  # whoever waits for long is asked whether he is there
                if said.startswith(b"PING"):
                    writer.write(b"PONG\r\n")
                said = await reader.readline()
        except (OSError, ValueError) as fault:
            said = str(fault).encode()
        if not said.startswith(b"PONG"):
            writer.close()
            raise RefusedError(f"not let in: {said!r}")
        self._reader, self._writer = reader, writer
        return time.perf_counter() - began

    async def insist(self, chance: random.Random) -> tuple[float, int]:
        """Seconds until it is in, however often it must come again, and how often it was refused.

        It waits twice as long after each refusal, and never as long as the others.
        """
        began = time.perf_counter()
        pause, refusals = FIRST_PAUSE, 0
        while True:
            try:
                await self.login()
            except (RefusedError, OSError):
                refusals += 1
                await asyncio.sleep(pause * chance.uniform(0.5, 1.5))
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                return time.perf_counter() - began, refusals

    async def lost(self) -> float:
        """The moment, by `perf_counter`, at which the server closes it; answers pings until then."""
        assert self._reader is not None
        assert self._writer is not None
        with contextlib.suppress(OSError):
            while line := await self._reader.readline():
                if line.startswith(b"PING"):
                    self._writer.write(b"PONG\r\n")
        return time.perf_counter()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


@asynccontextmanager
async def connected(port: int, shows: Iterable[Show], *, at_once: int) -> AsyncIterator[list[Client]]:
    """A client for each, so many at a time; they stay until the end."""
    clients = [Client(port, show) for show in shows]
    left = iter(clients)

    async def one_after_another() -> None:
        for client in left:
            await client.login()

    try:
        await asyncio.gather(*(one_after_another() for _ in range(at_once)))
        yield clients
    finally:
        for client in clients:
            client.close()


async def alone(port: int, shows: Sequence[Sequence[Show]]) -> list[list[float]]:
    """Seconds of each login when nobody else comes; the kinds take turns, one login after the other."""
    took: list[list[float]] = [[] for _ in shows]
    for turn in zip(*shows, strict=True):
        for number, show in enumerate(turn):
            client = Client(port, show)
            took[number].append(await client.login())
            client.close()
            await asyncio.sleep(0.005)
    return took


@dataclass(frozen=True, slots=True)
class Storm:
    """What became of one."""

    seconds: list[float]
    """Of each that came in, from the first attempt."""
    refusals: int


async def storm(port: int, shows: Iterable[Show], *, patience: float) -> Storm:
    """All come in the same moment and do not give up before `patience` seconds are over."""
    chance = random.Random(1)
    clients = [Client(port, show) for show in shows]
    try:
        done, late = await asyncio.wait(
            [asyncio.create_task(client.insist(chance)) for client in clients], timeout=patience
        )
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
    finally:
        for client in clients:
            client.close()
    came = [task.result() for task in done]
    return Storm([seconds for seconds, _ in came], sum(refusals for _, refusals in came))


def run(story: Coroutine[Any, Any, T]) -> T:
    """On the faster loop where there is one, and not for ever."""

    async def bounded() -> T:
        return await asyncio.wait_for(story, PATIENCE)

    try:
        import uvloop
    except ImportError:
        return asyncio.run(bounded())
    return uvloop.run(bounded())
