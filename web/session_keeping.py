"""The table of sessions kept true: what servers say has ended, and now and then a look at all of them.

Any number of processes may do so at once: a session is ended once, and with whichever words came first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from issuer.authority.system_users import WATCHER
from issuer.delivery import fleet
from issuer.delivery.evicting import Link
from issuer.delivery.sessions_followed import DISCONNECT, ended, over
from issuer.delivery.shift import until
from issuer.delivery.staying import stay_connected
from issuer.delivery.system_account import Reply, SystemAccount, Tls, connect_system_account
from issuer.errors import AccreditError, Unavailable
from issuer.store import sessions
from issuer.store.sessions import Over
from issuer.store.unit import Database
from issuer.tokens.envelope import Token
from issuer.tokens.signer import Signer
from web.wiring import Wiring, now

log = logging.getLogger("accredit.callout")

LOOK_SECONDS: Final = 60.0
GRACE_SECONDS: Final = 10
"""A login is written before its server is answered, and that client may take a moment to connect."""
BATCH_SECONDS: Final = 0.25
AGAIN_SECONDS: Final = 1.0
SERVER_GONE: Final = "Server Gone"
NOT_FOUND: Final = "Gone When Looked For"
EXPIRED: Final = "User Authentication Expired"


class SessionKeeper:
    """Keeps the sessions of one operator."""

    def __init__(
        self,
        database: Database,
        operator_id: int,
        connect: Callable[[], Awaitable[SystemAccount]],
        *,
        clock: Callable[[], int] = now,
        grace: int = GRACE_SECONDS,
        look: float = LOOK_SECONDS,
    ) -> None:
        self._database = database
        self._operator_id = operator_id
        self._connect = connect
        self._clock = clock
        self._grace = grace
        self._look = look
        self._ended: dict[Link, Over] = {}
        self._missing: frozenset[str] = frozenset()

    @classmethod
    def over(cls, wiring: Wiring, urls: Sequence[str]) -> SessionKeeper:
        """With a short-lived user of the system account that may end nothing."""

        def credentials() -> tuple[Token, Signer]:
            return wiring.minted(WATCHER)

        async def connect() -> SystemAccount:
            tls = Tls.of(wiring.settings)
            return await connect_system_account(urls, credentials, tls=tls, name="accredit watcher")

        return cls(wiring.database, wiring.operator.id, connect)

    async def run(self, stop: asyncio.Event) -> None:
        """Keep them, until told to stop; a lost connection is made anew, and all is looked at again."""

        async def follow(system: SystemAccount) -> None:
            await self._follow(system, stop)

        def trouble(error: AccreditError) -> None:
            log.warning("sessions are not followed: %s", error)

        await stay_connected(self._connect, follow, stop, again=AGAIN_SECONDS, trouble=trouble)

    async def reconcile(self, system: SystemAccount) -> int:
        """Look at every server that has sessions; how many were over.

        A server is taken for gone when it is missing in two looks one after the other.

        Raises:
            AccreditError: servers or the store do not answer.
        """
        there = frozenset(server.id for server in await fleet.roster(system))
        if not there:
            raise Unavailable("no server answers")
        at = self._clock()
        mine = await asyncio.to_thread(self._servers)
        missing = frozenset(mine) - there
        gone: dict[int, str] = {}
        for server in mine:
            clients = await asyncio.to_thread(self._clients, server, at - self._grace)
            if server in missing:
                gone |= dict.fromkeys(clients.values(), SERVER_GONE) if server in self._missing else {}
                continue
            for link in await over(system, [Link(server, client) for client in clients]):
                gone[clients[link.client_id]] = NOT_FOUND
        self._missing = missing
        return await asyncio.to_thread(self._end, gone, at)

    async def _follow(self, system: SystemAccount, stop: asyncio.Event) -> None:
        await system.subscribe(DISCONNECT, self._heard)
        loop = asyncio.get_running_loop()
        next_look = loop.time()
        while not stop.is_set() and not system.closed:
            if loop.time() >= next_look:
                await self.reconcile(system)
                # A server that does not answer is looked for soon again, before it is taken for gone.
                next_look = loop.time() + (min(self._look, self._grace) if self._missing else self._look)
            await until(stop, BATCH_SECONDS)
            await self._write()
        await self._write()

    async def _heard(self, message: Reply) -> None:
        told = ended(message)
        if told is not None:
            link, reason = told
            self._ended.setdefault(link, Over(link.server_id, link.client_id, self._clock(), reason))

    async def _write(self) -> None:
        """What has ended since; kept for the next time if the store does not take it."""
        # In one order everywhere: two processes that write the same rows must not wait for each other.
        batch = sorted(self._ended.items())
        if not batch:
            return
        await asyncio.to_thread(self._end_connections, [each for _, each in batch])
        for link, _ in batch:
            del self._ended[link]

    def _end_connections(self, connections: Sequence[Over]) -> None:
        with self._database.noting() as unit:
            sessions.end_connections(unit, connections)

    def _servers(self) -> dict[str, int]:
        with self._database.reading() as unit:
            return sessions.servers_with_sessions(unit, self._operator_id)

    def _clients(self, server: str, before: int) -> dict[int, int]:
        with self._database.reading() as unit:
            return sessions.clients_of(unit, self._operator_id, server, before=before)

    def _end(self, gone: dict[int, str], at: int) -> int:
        by_reason: dict[str, list[int]] = {}
        for number, reason in sorted(gone.items()):
            by_reason.setdefault(reason, []).append(number)
        with self._database.noting() as unit:
            counted = sum(
                sessions.end_sessions(unit, numbers, now=at, reason=reason)
                for reason, numbers in by_reason.items()
            )
            # A little later than they end, so that the server's own words come first.
            return counted + sessions.end_expired(
                unit, self._operator_id, now=at - self._grace, reason=EXPIRED
            )
