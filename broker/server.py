"""The broker as a running thing: listeners, timers, signals, files that say where it is.

async with Broker(options) as broker:
    ... nats.connect(broker.url)
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

from broker.account import Account
from broker.configuration.model import Tls
from broker.configuration.options import Options
from broker.configuration.reload import changes
from broker.configuration.startup import require_startable
from broker.core import GLOBAL, Core
from broker.delegation import Delegation
from broker.entrance import Entrance
from broker.identity import Identity
from broker.keepalive import Keepalive
from broker.listeners.tcp import Connection
from broker.monitor_http import start_monitor
from broker.protocol import writer
from broker.protocol.texts import Closed
from broker.services import Services
from broker.session import Session
from broker.sources import open_resolver
from broker.startup import configured_accounts, trust_of
from issuer.errors import AccreditError, Refused, Unavailable

log = logging.getLogger("accredit.broker")

BACKLOG: Final = 4096
VERSION: Final = (2, 15, 1)


class Broker:
    """One broker. Ports of 0 or less in the options pick free ones; `url` and `monitor` say which."""

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options.defaults()
        self.url = ""
        self.monitor = ""
        self.urls: dict[str, str] = {}
        self.tls: ssl.SSLContext | None = None
        self.core: Core
        self.entrance: Entrance
        self.keepalive: Keepalive
        self._random = random.SystemRandom()
        self._servers: list[asyncio.AbstractServer] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._files: list[Path] = []
        self._turning: asyncio.TimerHandle | None = None
        self._turns_at = 0.0
        self._loop: asyncio.AbstractEventLoop
        self.stopped = asyncio.Event()
        self.reread: Callable[[], Options] = lambda: self.options

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # --- start and stop ----------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen.

        Raises:
            Refused: the configuration contradicts itself.
            Unavailable: a port is taken.
        """
        self._loop = asyncio.get_running_loop()
        options = self.options
        require_startable(options, version=VERSION)
        if options.https_port:
            raise Refused("monitoring over HTTPS is not served here", at="https_port", hint="http_port")
        seeded = random.Random(self._random.getrandbits(128))  # noqa: S311  spreads load, keeps no secret
        identity = Identity(name=options.server_name, host=socket.gethostname())
        if not options.server_name:
            identity = replace(identity, name=identity.id)
        trust = trust_of(options)
        resolver = open_resolver(options, self._in_thread, self._later)
        self.core = core = Core(
            options,
            identity,
            trust,
            resolver,
            clock=time.time,
            later=self._later,
            chance=seeded.random,
            randomness=os.urandom,
        )
        core.router.wake = self._wake
        core.closed = deque(maxlen=options.max_closed_clients)
        core.tick = self.tick
        for account in configured_accounts(options):
            core.add_account(account)
            if account.public == GLOBAL:
                core.globals = account
            core.links.rebind(account)
        self.entrance = Entrance(core, Delegation(core))
        core.required = self.entrance.required
        self.keepalive = Keepalive(core)
        if options.tls is not None:
            self.tls = tls_context(options.tls)
        self.services = Services(core, on_reload=self.reload, on_lame_duck=self.tell_lame_duck)
        if trust is not None and trust.system_account is not None:
            core.account_or_load(trust.system_account, self._system_loaded)
        await self._listen()
        self._write_files()
        log.info("Server is ready")

    def _system_loaded(self, account: Account | None) -> None:
        if account is None:
            log.warning("the system account is not known yet: its services wait for its token")

    async def _listen(self) -> None:
        options = self.options
        immediate = self.tls if options.tls is not None and options.tls.handshake_first else None
        server = await self.listen(lambda: Connection(self), options.host, options.port, immediate)
        if immediate is not None:
            self.tls = None  # nothing is left to upgrade
        host, port = server.sockets[0].getsockname()[:2]
        self.entrance.listens(port)
        self.core.port = port
        scheme = "tls" if options.tls is not None else "nats"
        self.url = self.urls["nats"] = f"{scheme}://{reachable(host)}:{port}"
        if options.websocket.port:
            from broker.listeners.websocket import listen_websocket

            self.urls["websocket"] = await listen_websocket(self, options.websocket)
        if options.mqtt.port:
            from broker.listeners.mqtt import listen_mqtt

            self.urls["mqtt"] = await listen_mqtt(self, options.mqtt)
        if options.http_port:
            monitor = await start_monitor(self.core, options.monitor_host, options.http_port)
            self._servers.append(monitor)
            host, port = monitor.sockets[0].getsockname()[:2]
            self.core.monitor_port = port
            self.monitor = self.urls["monitoring"] = f"http://{reachable(host)}:{port}"

    async def listen(
        self,
        factory: Callable[[], asyncio.BaseProtocol],
        host: str,
        port: int,
        tls: ssl.SSLContext | None = None,
    ) -> asyncio.Server:
        """Open one listener, which ends with the broker.

        Raises:
            Unavailable: the port is taken.
        """
        extra: dict[str, Any] = {"ssl_handshake_timeout": 10.0} if tls is not None else {}
        try:
            server = await self._loop.create_server(
                factory, host, max(port, 0), ssl=tls, backlog=BACKLOG, **extra
            )
        except OSError as error:
            raise Unavailable(
                f"cannot listen on {host}:{port}: {error.strerror}", hint="choose another port: -p"
            ) from None
        self._servers.append(server)
        return server

    async def stop(self) -> None:
        """Close every connection and listener."""
        if self.stopped.is_set():
            return
        self.stopped.set()
        for server in self._servers:
            server.close()
        if hasattr(self, "services"):
            self.services.shutdown()
        if hasattr(self, "core"):
            for client in list(self.core.clients.values()):
                self.core.close(client, Closed.SERVER_SHUTDOWN)
            self.core.router.flush()
        for task in self._tasks:
            task.cancel()
        for path in self._files:
            path.unlink(missing_ok=True)
        await asyncio.sleep(0)

    # --- lame duck, reload -------------------------------------------------------------------------

    async def lame_duck(self) -> None:
        """Take no more, tell those who are here to go, and send them away over time (spec §1.8)."""
        core, options = self.core, self.options
        if core.lame_duck:
            return
        core.lame_duck = True
        self.entrance.listens(int(self.url.rpartition(":")[2]))
        for server in self._servers:
            server.close()
        self.services.lame_duck()
        for client in core.every_client():
            self.tell_lame_duck(client)
        core.router.flush()
        await asyncio.sleep(options.lame_duck_grace_period)
        clients = core.every_client()
        pause = max(options.lame_duck_duration - options.lame_duck_grace_period, 0.0) / max(len(clients), 1)
        for client in clients:
            core.close(client, Closed.SERVER_SHUTDOWN)
            await asyncio.sleep(min(pause, 1.0))
        await self.stop()

    def tell_lame_duck(self, client: Any) -> None:
        """INFO that asks one client to go elsewhere, if it can read it."""
        if client.first_pong and client.options.protocol >= 1:
            members = {**self.entrance.members(), "ldm": True, "client_id": client.cid}
            self.core.router.tell(client, writer.info(members))

    def reload(self) -> str | None:
        """Read the configuration again; what went wrong, or None."""
        try:
            options = self.reread()
        except AccreditError as error:
            log.error("Failed to reload server configuration: %s", error)  # noqa: TRY400  the words say all
            return str(error)
        changed, needs_restart = changes(self.options, options)
        if needs_restart:
            words = f"config reload not supported for {', '.join(needs_restart)}: start again for it"
            log.error("%s", words)
            return words
        self.options = self.core.options = options
        self.core.router.max_pending = options.max_pending
        self.entrance.look_again()
        if "tls" in changed and options.tls is not None:
            self.tls = tls_context(options.tls)
        log.info("Reloaded: %s", ", ".join(changed) or "nothing changed")
        return None

    # --- what listeners and the core need ----------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def watch_entrance(self, session: Session) -> None:
        """Whoever does not say who it is in time is asked to leave."""
        self.keepalive.watch(session)
        self.tick()

    def tick(self) -> None:
        """See that the wheel is looked at when something on it is due."""
        due = self.core.wheel.next()
        if due is None or (self._turning is not None and self._turns_at <= due):
            return
        if self._turning is not None:
            self._turning.cancel()
        self._turns_at = due
        self._turning = self._loop.call_later(max(due - self.core.now(), 0.001), self._turn)

    def _turn(self) -> None:
        self._turning = None
        now = self.core.now()
        for action in self.core.wheel.due(now):
            action(now)
        self.tick()

    def _wake(self) -> None:
        self._loop.call_soon(self.core.router.flush)

    def _later(self, seconds: float, action: Callable[[], None]) -> asyncio.TimerHandle:
        return self._loop.call_later(seconds, action)

    def _in_thread(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Run something that waits elsewhere; `then` gets its result here, or None if it failed."""

        async def run() -> None:
            try:
                result = await asyncio.to_thread(work)
            except Exception:  # the resolver's own words are in its log; here it only found nothing
                log.exception("a resolver failed")
                result = None
            then(result)

        self.spawn(run())

    def _write_files(self) -> None:
        options = self.options
        if options.pid_file:
            path = Path(options.pid_file)
            path.write_text(str(os.getpid()))
            self._files.append(path)
        if options.ports_file_dir:
            path = Path(options.ports_file_dir) / f"accredit_{os.getpid()}.ports"
            document: dict[str, list[str]] = {name: [url] for name, url in self.urls.items()}
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            temporary = path.with_suffix(".new")
            temporary.write_text(json.dumps(document))
            temporary.rename(path)
            self._files.append(path)


def tls_context(tls: Tls) -> ssl.SSLContext:
    """The server side of TLS as a configuration says it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if tls.min_version == "1.3" else ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls.cert_file, tls.key_file)
    if tls.ca_file:
        context.load_verify_locations(tls.ca_file)
    if tls.verify:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def reachable(host: str) -> str:
    """An address a client on this machine can use."""
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104  what is bound, not what is bound to
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


__all__ = ["Broker", "tls_context"]
