"""The service while it runs: HTTP, delivery, and whatever else must live and end together.

Every part is a coroutine that runs until `stop` is set; when one ends by itself, all end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from issuer.delivery.shift import until
from issuer.errors import AccreditError, Unavailable

Part = Callable[[asyncio.Event], Coroutine[Any, Any, None]]
SHUTDOWN_SECONDS: Final = 3
AGAIN_SECONDS: Final = 5.0

log = logging.getLogger("accredit.running")


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free one.

    Raises:
        Unavailable: the address is taken or not ours.
    """
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(1024)
    except OSError as error:
        made.close()
        raise Unavailable(
            f"cannot listen on {host}:{port}: {error.strerror}",
            at="--http-port",
            hint="0 picks a free port",
        ) from None
    made.setblocking(False)
    return made


def http_part(app: FastAPI, listener: socket.socket) -> Part:
    """The HTTP server as a part; requests under way are finished when it stops."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    server = uvicorn.Server(config)

    async def run(stop: asyncio.Event) -> None:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        stopping.cancel()
        await serving

    return run


async def run_together(stop: asyncio.Event, *parts: Part) -> None:
    """Run all parts until `stop` is set or one of them ends or breaks; then stop the others."""
    tasks = [asyncio.create_task(part(stop)) for part in parts]
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    stopping.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result


def kept_going(part: Part, name: str) -> Part:
    """A part that is begun anew when it breaks, for what the others do not depend on."""

    async def run(stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await part(stop)
            except Exception:
                log.exception("%s broke, and is begun anew in %g s", name, AGAIN_SECONDS)
                await until(stop, AGAIN_SECONDS)

    return run


async def again_and_again(
    work: Callable[[], Awaitable[object]],
    stop: asyncio.Event,
    *,
    every: float,
    trouble: Callable[[AccreditError], None],
) -> None:
    """Do it every so many seconds until told to stop; of several faults in a row the first is told."""
    well = True
    while not stop.is_set():
        try:
            await work()
            well = True
        except AccreditError as error:
            if well:
                trouble(error)
            well = False
        await until(stop, every)


@contextlib.contextmanager
def stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """SIGTERM and SIGINT set `stop`, as long as this lasts."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
