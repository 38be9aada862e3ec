"""The reference broker in our own process: what `accredit up` runs unless told of another server."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from broker.configuration.options import Options
from broker.server import Broker
from issuer.errors import Unavailable


class BrokerInside:
    """A broker on a configuration file, as `ServerProcess` is a nats-server on one."""

    def __init__(self, config: Path, home: Path) -> None:
        self._config = config
        self._broker: Broker | None = None
        self.log = home / "broker.log"
        self.url = ""
        self.monitor = ""

    async def start(self) -> None:
        """Listen.

        Raises:
            AccreditError: the configuration is not one, or a port is taken.
        """
        handler = logging.FileHandler(self.log)
        handler.setFormatter(logging.Formatter("%(asctime)s [%(levelname).3s] %(message)s"))
        log = logging.getLogger("accredit.broker")
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False
        options = Options.read(
            str(self._config), environment=os.environ, read=lambda path: Path(path).read_text("utf-8")
        )
        self._broker = Broker(options)
        await self._broker.start()
        self.url = self._broker.url
        self.monitor = self._broker.monitor

    async def watch(self, stop: asyncio.Event) -> None:
        """Until told to stop.

        Raises:
            Unavailable: it ended by itself.
        """
        broker = self._running()
        ending = asyncio.create_task(broker.stopped.wait())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({ending, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (ending, stopping):
            task.cancel()
        if broker.stopped.is_set() and not stop.is_set():
            raise Unavailable("the broker ended", hint=str(self.log))

    async def stop(self) -> None:
        if self._broker is not None:
            await self._broker.stop()

    def _running(self) -> Broker:
        if self._broker is None:
            raise Unavailable("the broker was not started")
        return self._broker
