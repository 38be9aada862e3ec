"""`accredit serve`: delivery, lookups and HTTP beside NATS servers that are not ours to run."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from issuer.delivery.lookup import answer_lookups
from issuer.delivery.pusher import Pusher, this_process
from issuer.delivery.shift import until
from issuer.delivery.staying import stay_connected
from issuer.delivery.system_account import SystemAccount
from issuer.errors import AccreditError
from web.app import application
from web.auditing.log_keeping import log_keeping, look
from web.ingesting import ingesting
from web.ready import Ready, remove
from web.resolver import account_token
from web.running import Part, http_part, listen, run_together, stopped_by_signals
from web.wiring import Wiring, now

log = logging.getLogger(__name__)
RETRY_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 0.5


def delivering(wiring: Wiring, urls: Sequence[str]) -> Part:
    """The pusher as a part; from now on every commit of this process wakes it."""
    pusher = Pusher.over(
        wiring.database,
        wiring.connector(urls),
        operator=wiring.operator.public,
        clock=now,
        who=this_process(),
        deletion_signer=wiring.deletion_signer,
    )
    wiring.pusher = pusher

    async def run(stop: asyncio.Event) -> None:
        try:
            await pusher.run(stop)
        finally:
            wiring.pusher = None
            pusher.close()

    return run


def answering(wiring: Wiring, urls: Sequence[str]) -> Part:
    """Lookups of servers that lack an account; a lost connection is made anew."""

    def find(account: str) -> str | None:
        return wiring.authority.ask(account_token, account)

    async def run(stop: asyncio.Event) -> None:
        async def answer(system: SystemAccount) -> None:
            await answer_lookups(system, find, who=this_process())
            while not stop.is_set() and not system.closed:
                await until(stop, LOOK_SECONDS)

        def trouble(error: AccreditError) -> None:
            log.info("lookups wait: %s", error)

        await stay_connected(wiring.connector(urls), answer, stop, again=RETRY_SECONDS, trouble=trouble)

    return run


def beside(wiring: Wiring, listener: socket.socket, urls: Sequence[str]) -> Ready:
    """What a service beside servers of somebody else says of itself once it runs."""
    host, port = listener.getsockname()[:2]
    return Ready(
        http=f"http://{host}:{port}",
        nats=",".join(urls),
        monitor="",
        data_dir=str(wiring.settings.data_dir),
        operator=wiring.operator.public,
        system_account=wiring.operator_claims().nats.system_account,
    )


def health(wiring: Wiring) -> dict[str, object]:
    """How delivery is, for who watches; details are in the log."""
    pusher = wiring.pusher
    return {
        "delivery": "down" if pusher is None or pusher.trouble else "ok",
        "audit": "ok" if wiring.database.closed_for is None else "down",
    }


async def serve(
    wiring: Wiring,
    urls: Sequence[str],
    *,
    host: str,
    http_port: int,
    ready_file: Path | None,
    said: Callable[[Ready], None],
) -> None:
    """Run until a signal says stop."""
    stop = asyncio.Event()
    listener = listen(host, http_port)
    ready = beside(wiring, listener, urls)
    app = application(wiring.authority, lambda: health(wiring))
    with stopped_by_signals(stop):
        if ready_file is not None:
            ready.write(ready_file)
        said(ready)
        try:
            parts = [http_part(app, listener)]
            if await asyncio.to_thread(look, wiring.database) is None:
                parts += [answering(wiring, urls), delivering(wiring, urls), log_keeping(wiring.authority)]
                parts += ingesting(wiring, urls)
            await run_together(stop, *parts)
        finally:
            if ready_file is not None:
                remove(ready_file)


__all__ = ["answering", "beside", "delivering", "health", "serve"]
