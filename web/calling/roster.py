"""The servers seen in the system account: only they may ask about logins (callout spec §0.7)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from issuer.delivery import fleet
from issuer.delivery.shift import until
from issuer.delivery.system_account import Reply, SystemAccount
from issuer.errors import Unavailable

log = logging.getLogger("accredit.callout")

LOOK_SECONDS: Final = 30.0
AGAIN_SECONDS: Final = 1.0
"""Between two questions to all servers, whoever asks for them."""
WATCH_SECONDS: Final = 0.5


class ServerRoster:
    """Whom we know. A server that has gone stays known: its id is never anybody else's."""

    def __init__(self, connect: Callable[[], Awaitable[SystemAccount]]) -> None:
        self._connect = connect
        self._system: SystemAccount | None = None
        self._asked = float("-inf")
        self._asking: asyncio.Task[None] | None = None
        self.servers: frozenset[str] = frozenset()
        self.met = asyncio.Event()
        """Set when the first servers are known."""

    async def run(self, stop: asyncio.Event) -> None:
        """Know them, until told to stop; a lost connection is made anew."""
        well = True
        while not stop.is_set():
            try:
                system = await self._connect()
            except Unavailable as error:
                if well:
                    log.warning("servers cannot be looked for: %s", error)
                well = False
                await until(stop, AGAIN_SECONDS)
                continue
            try:
                await self._follow(system, stop)
                well = True
            except Unavailable as error:
                log.warning("servers cannot be looked for: %s", error)
                await until(stop, AGAIN_SECONDS)
            finally:
                self._system = None
                await system.close()

    async def meet(self, server: str) -> bool:
        """Whether a server that is not known here is there now."""
        loop = asyncio.get_running_loop()
        if server in self.servers:
            return True
        if self._system is None:
            return False
        if self._asking is None or self._asking.done():
            if loop.time() - self._asked < AGAIN_SECONDS:
                return False
            self._asked = loop.time()
            self._asking = loop.create_task(self._ask(self._system))
        await asyncio.shield(self._asking)
        return server in self.servers

    async def _follow(self, system: SystemAccount, stop: asyncio.Event) -> None:
        await system.subscribe(fleet.STATSZ, self._heard)
        self._system = system
        loop = asyncio.get_running_loop()
        looked = float("-inf")
        while not stop.is_set() and not system.closed:
            if loop.time() - looked >= LOOK_SECONDS:
                looked = self._asked = loop.time()
                await self._ask(system)
            await until(stop, WATCH_SECONDS)

    async def _ask(self, system: SystemAccount) -> None:
        try:
            found = await fleet.roster(system)
        except Unavailable as error:
            log.info("servers did not answer: %s", error)
            return
        self._know(server.id for server in found)

    async def _heard(self, message: Reply) -> None:
        server = fleet.server_of(message)
        if server is not None and server.id not in self.servers:
            self._know((server.id,))

    def _know(self, servers: Iterable[str]) -> None:
        self.servers |= frozenset(servers)
        if self.servers:
            self.met.set()
