"""`accredit callout serve`: the callout's parts put together, over the store and beside the servers."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from fastapi import APIRouter

from callout.connection import Connection
from callout.desk import Desk
from callout.directories.opening import Directories
from callout.responder import QUEUE, SHADOW_QUEUE, Responder
from callout.tracing import Tracer
from issuer.authority.errands import errands_waiting
from issuer.authority.sessions import open_session_count
from issuer.delivery.shift import until
from issuer.delivery.system_account import Tls
from issuer.errors import AccreditError, Unavailable
from web.app import application
from web.auditing.log_keeping import log_keeping, look
from web.calling.account import AccountKept
from web.calling.configuration import Configuration
from web.calling.roster import ServerRoster
from web.cutting import Cutter
from web.exchange.router import exchange_router
from web.exchange.service import open_exchange
from web.login_ledger import LoginLedger
from web.metrics import LoginMetrics, Recorders, Seldom
from web.ready import Ready, remove
from web.rulebook import REFRESH, Rulebook
from web.running import (
    Part,
    again_and_again,
    http_part,
    kept_going,
    listen,
    run_together,
    stopped_by_signals,
)
from web.serving import beside
from web.session_keeping import SessionKeeper
from web.shadow_ledger import ShadowLedger
from web.tracing import open_tracing
from web.triggers.opening import open_triggers
from web.wiring import Wiring, service_urls

log = logging.getLogger("accredit.callout")

AGAIN_SECONDS: Final = 1.0
DRAIN_SECONDS: Final = 5.0
"""For what is under way when told to stop; servers give up sooner."""


class Calling:
    """One process of the callout. Everything that waits for the outside is a part."""

    def __init__(
        self,
        wiring: Wiring,
        configuration: Configuration,
        urls: Sequence[str],
        *,
        tracer: Tracer | None = None,
    ) -> None:
        """Read what is in the store.

        Raises:
            AccreditError: the account is not set up, or a seed of it is not stored here.
        """
        operator = wiring.operator
        keyring = wiring.authority.keyring
        self._wiring = wiring
        self.ready = asyncio.Event()
        """Set while questions are heard."""
        self.account = AccountKept(wiring.database, keyring, operator, configuration.settings.account)
        self.account.refresh()
        self.directories = Directories(configuration.directories)
        self.rulebook = Rulebook(wiring.database, keyring, operator.id, now=time.time)
        self.rulebook.refresh()
        timing = configuration.settings.timing
        self.ledger: LoginLedger | ShadowLedger = (
            ShadowLedger(wiring.database, now=time.time, version=lambda: self.rulebook.version)
            if timing.shadow
            else LoginLedger(wiring.database, operator.id, now=time.time)
        )
        self.roster = ServerRoster(wiring.connector(urls))
        self.sessions = SessionKeeper.over(wiring, urls)
        self.metrics = LoginMetrics(now=time.time)
        self.desk = Desk(self.directories, self.rulebook, self.ledger, now=time.time)
        self.responder = Responder(
            self.desk,
            lambda: self.account.now.voice,
            lambda: self.account.rules(self.roster.servers),
            Recorders(self.ledger, self.metrics),
            now=time.time,
            settings=timing,
            admission=configuration.settings.admission,
            meet=self.roster.meet,
            tracer=tracer,
        )
        self.connection = Connection(
            urls,
            lambda: self.account.now.service,
            self.responder,
            tls=Tls.of(wiring.settings).context(),
            queue=SHADOW_QUEUE if timing.shadow else QUEUE,
        )

        self.metrics.watch(
            under_way=lambda: self.responder.under_way,
            waiting=lambda: self.responder.door.waiting,
            policy_version=lambda: self.rulebook.version,
            rules_age=lambda: self.rulebook.age,
            unwritten=lambda: self.ledger.unwritten,
            connected=lambda: self.connection.connected,
            directories=self.directories.state,
            # Asked for by whoever reads the metrics, in a thread.
            open_sessions=Seldom(lambda: float(wiring.authority.ask(open_session_count, operator.id))),
            errands=Seldom(lambda: float(wiring.authority.ask(errands_waiting, operator.id))),
        )
        self.exchange = open_exchange(
            configuration.settings.exchange,
            configuration.directories,
            directories=self.directories,
            rules=self.rulebook,
            ledger=self.ledger,
            signer=lambda: self.account.now.voice.signer,
            servers=lambda: wiring.authority.ask(service_urls, operator) or urls,
            now=time.time,
            tracer=tracer,
        )

        self.triggers = open_triggers(
            configuration.settings.triggers,
            configuration.directories,
            authority=wiring.authority,
            operator=(operator.id, operator.name),
            rules=self.rulebook,
            cutter=Cutter(wiring, urls),
            now=time.time,
        )

    def parts(self) -> list[Part]:
        # Logins go on whatever befalls what only cuts people off.
        triggers = [kept_going(part, "a trigger") for part in self.triggers.parts]
        keeping = kept_going(log_keeping(self._wiring.authority), "what signs the log")
        return [self.roster.run, self.sessions.run, self._keep_up, self._answer, keeping, *triggers]

    def routes(self) -> list[APIRouter]:
        """What is served over HTTP."""
        routes = [self.metrics.router(), *self.triggers.routes]
        if self.exchange is not None:
            routes.append(exchange_router(self.exchange, now=time.time))
        return routes

    def health(self) -> dict[str, object]:
        """For who watches: nothing here is secret."""
        state = {each.name: "ok" if each.ready else "disabled" for each in self.directories.state()}
        return {
            "callout": "ok" if self.connection.connected else "down",
            "audit": "ok" if self._wiring.database.closed_for is None else "down",
            "directories": state,
        }

    async def _keep_up(self, stop: asyncio.Event) -> None:
        """The rules and the account, as the store has them."""
        rules = asyncio.create_task(self.rulebook.keep_up())

        async def refresh() -> None:
            await asyncio.to_thread(self.account.refresh)

        def trouble(error: AccreditError) -> None:
            log.error("the callout's account cannot be read: %s", error)

        try:
            await again_and_again(refresh, stop, every=REFRESH, trouble=trouble)
        finally:
            rules.cancel()
            await asyncio.gather(rules, return_exceptions=True)

    async def _answer(self, stop: asyncio.Event) -> None:
        """Hear questions once it is known who may ask; at the end answer what was heard."""
        await self.directories.start()
        try:
            await _first(stop, self.roster.met)
            while not stop.is_set() and not self.connection.connected:
                try:
                    await self.connection.open()
                except Unavailable as error:
                    log.warning("%s", error)
                    await until(stop, AGAIN_SECONDS)
            if not stop.is_set():
                self.ready.set()
                await stop.wait()
        finally:
            self.ready.clear()
            await self.connection.close(patience=DRAIN_SECONDS)
            await self.ledger.drained()
            await self.directories.close()


async def serve_callout(
    wiring: Wiring,
    configuration: Configuration,
    urls: Sequence[str],
    *,
    host: str,
    http_port: int,
    ready_file: Path | None,
    said: Callable[[Ready, Calling], None],
) -> None:
    """Run until a signal says stop."""
    stop = asyncio.Event()
    tracing = open_tracing(os.environ, {each.name: each.kind for each in configuration.directories})
    calling = Calling(wiring, configuration, urls, tracer=tracing)
    listener = listen(host, http_port)
    ready = beside(wiring, listener, urls)
    app = application(wiring.authority, calling.health, calling.routes())

    async def tell(stop: asyncio.Event) -> None:
        await _first(stop, calling.ready)
        if not stop.is_set():
            if ready_file is not None:
                ready.write(ready_file)
            said(ready, calling)
        await stop.wait()

    await asyncio.to_thread(look, wiring.database)
    with stopped_by_signals(stop):
        try:
            await run_together(stop, http_part(app, listener), tell, *calling.parts())
        finally:
            if ready_file is not None:
                remove(ready_file)
            if tracing is not None:
                await asyncio.to_thread(tracing.close)


async def _first(*events: asyncio.Event) -> None:
    """Until one of them is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
