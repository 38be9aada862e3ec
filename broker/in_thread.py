"""A broker on a thread of its own, for programs that are not asynchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Final, Self

from broker.configuration.options import Options
from broker.server import Broker
from issuer.errors import Unavailable

START_SECONDS: Final = 10.0


class ThreadedBroker:
    """Runs from `with` to its end; `url` is where clients connect."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.url = ""
        self.monitor = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen.

        Raises:
            AccreditError: as `Broker.start`.
        """
        self._thread.start()
        if not self._ready.wait(START_SECONDS):
            raise Unavailable("the broker did not come up in time")
        if self._failed is not None:
            raise self._failed

    def stop(self) -> None:
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(START_SECONDS)

    def call(self, function: Callable[[Broker], Any]) -> Any:
        """Run a function of the broker on its own thread, and give back what it gave."""
        assert self._loop is not None  # noqa: S101  started

        async def run() -> Any:
            return function(self._broker)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(START_SECONDS)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._broker = Broker(self.options)
        try:
            await self._broker.start()
        except BaseException as error:  # noqa: BLE001  told to whoever starts it
            self._failed = error
            self._ready.set()
            return
        self.url, self.monitor = self._broker.url, self._broker.monitor
        self._ready.set()
        await self._stop.wait()
        await self._broker.stop()
