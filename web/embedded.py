"""`accredit up`: everything in one process, with a broker of its own or a nats-server as its child.

The data folder holds all of it: the store, the master key, creds, and under `nats/` the server's
configuration, accounts and log. A second start finds what the first one made.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from issuer.authority.desk import Authority
from issuer.authority.finding import the_account, the_operator
from issuer.authority.founding import Found, found
from issuer.authority.operators import SYSTEM_ACCOUNT, SYSTEM_USER, EditOperator, edit_operator
from issuer.authority.users import GenerateCreds, generate_creds
from issuer.cli.user_creds import make_folder
from issuer.cli.workspace import creds_path
from issuer.errors import Refused
from issuer.interop.server_config import Options, ServerConfig, render
from issuer.keys.creds import write_private
from issuer.store import hierarchy
from issuer.store.hierarchy import Operator
from issuer.store.unit import Unit
from web.app import application
from web.auditing.log_keeping import log_keeping, look
from web.broker_inside import BrokerInside
from web.ingesting import ingesting
from web.ready import Ready, remove
from web.running import Part, http_part, listen, run_together, stopped_by_signals
from web.server_process import ServerProcess, stop_orphan
from web.serving import delivering, health
from web.wiring import SERVICE, Wiring

EXAMPLE_ACCOUNT: Final = "APP"
EXAMPLE_USER: Final = "app"
DEFAULT_OPERATOR: Final = "accredit"


@dataclass(frozen=True, slots=True)
class Shape:
    """How to run; port 0 picks a free one."""

    host: str = "127.0.0.1"
    http_port: int = 8520
    nats_port: int = 4222
    nats_server: Path | None = None
    ready_file: Path | None = None


@contextmanager
def alone(data_dir: Path) -> Iterator[None]:
    """One `accredit up` per data folder.

    Raises:
        Refused: another one runs on it.
    """
    descriptor = os.open(data_dir / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refused(
                "another accredit up runs on this data folder",
                at=str(data_dir),
                hint="choose another: --data-dir",
            ) from None
        yield
    finally:
        os.close(descriptor)


def found_example(authority: Authority) -> None:
    """An operator, its system account, an example account and a user, if nothing is there yet."""
    if authority.ask(lambda unit, _: list(hierarchy.operators(unit)), None):
        return
    authority.perform(found, Found(DEFAULT_OPERATOR, EXAMPLE_ACCOUNT, EXAMPLE_USER), SERVICE)


async def run_embedded(wiring: Wiring, shape: Shape, said: Callable[[Ready], None]) -> None:
    """Run until a signal says stop, or the server or another part ends.

    Raises:
        Unavailable: a port is taken, or nats-server does not start.
    """
    home = wiring.settings.data_dir / "nats"
    home.mkdir(mode=0o700, exist_ok=True)
    stop_orphan(home / "nats-server.pid")
    listener = listen(shape.host, shape.http_port)
    config = home / "nats-server.conf"
    write_private(config, wiring.authority.ask(server_config, (wiring.operator, shape, home)), force=True)
    server = engine(shape, config, home)
    stop = asyncio.Event()
    with stopped_by_signals(stop):
        await server.start()
        try:
            whole = await asyncio.to_thread(look, wiring.database) is None
            creds: dict[str, str] = {}
            if whole:
                await asyncio.to_thread(point_operator_at, wiring, server.url)
                creds = await asyncio.to_thread(keep_example_creds, wiring)
            host, port = listener.getsockname()[:2]
            ready = Ready(
                http=f"http://{host}:{port}",
                nats=server.url,
                monitor=server.monitor,
                data_dir=str(wiring.settings.data_dir),
                operator=wiring.operator.public,
                system_account=wiring.operator_claims().nats.system_account,
                creds=creds,
                pid=os.getpid(),
            )
            app = application(wiring.authority, lambda: health(wiring))
            parts = [http_part(app, listener), _watching(server)]
            if whole:
                parts += [delivering(wiring, [server.url]), log_keeping(wiring.authority)]
                parts += ingesting(wiring, [server.url])
            announcing = _announcing(ready, shape.ready_file, said)
            await run_together(stop, *parts, announcing)
        finally:
            if shape.ready_file is not None:
                remove(shape.ready_file)
            await server.stop()


class Engine(Protocol):
    """What carries the messages: ours inside, or a real server beside us."""

    url: str
    monitor: str

    async def start(self) -> None: ...

    async def watch(self, stop: asyncio.Event) -> None: ...

    async def stop(self) -> None: ...


def engine(shape: Shape, config: Path, home: Path) -> Engine:
    """The reference broker, or the nats-server that was named."""
    if shape.nats_server is None:
        return BrokerInside(config, home)
    return ServerProcess(shape.nats_server, config, home)


def server_config(unit: Unit, question: tuple[Operator, Shape, Path]) -> str:
    """The embedded server's configuration: a full resolver under the data folder."""
    operator, shape, home = question
    token = hierarchy.head_token(unit, "operator", operator.id).token
    system = the_account(unit, operator, SYSTEM_ACCOUNT)
    return render(
        ServerConfig(
            resolver="full",
            operator_name=operator.name,
            operator_token=token,
            system_account=system.public,
            accounts={system.public: (system.name, hierarchy.head_token(unit, "account", system.id).token)},
        ),
        Options(
            server_name="accredit",
            host=shape.host,
            port=shape.nats_port or -1,
            monitor_port=-1,
            resolver_dir=str(home / "accounts"),
            allow_delete=True,
            jetstream_dir=str(home / "jetstream") if shape.nats_server else "",
            pid_file=str(home / "nats-server.pid") if shape.nats_server else "",
        ),
    )


def point_operator_at(wiring: Wiring, url: str) -> None:
    """Let the operator's token say where its server is, so that `accredit push` finds it."""
    urls = wiring.operator_claims().nats.operator_service_urls
    if urls == (url,):
        return
    ours = tuple(old for old in urls if old.startswith("nats://127.0.0.1:"))
    wiring.authority.perform(
        edit_operator,
        EditOperator(wiring.operator.name, add_service_urls=(url,), remove_service_urls=ours),
        SERVICE,
    )


def keep_example_creds(wiring: Wiring) -> dict[str, str]:
    """Creds files of the system user and the example user, as far as those exist."""
    kept: dict[str, str] = {}
    operator = wiring.operator.name
    for account, user in ((SYSTEM_ACCOUNT, SYSTEM_USER), (EXAMPLE_ACCOUNT, EXAMPLE_USER)):
        if not wiring.authority.ask(_has_user, (operator, account, user)):
            continue
        path = creds_path(wiring.settings, operator, account, user)
        if not path.exists():
            creds = wiring.authority.perform(generate_creds, GenerateCreds(user, account, operator), SERVICE)
            make_folder(path.parent)
            write_private(path, creds.text, force=True)
        kept[user] = str(path)
    return kept


def _has_user(unit: Unit, question: tuple[str, str, str]) -> bool:
    operator, account, user = question
    row = hierarchy.find_account(unit, the_operator(unit, operator).id, account)
    return row is not None and hierarchy.find_user(unit, row.id, user) is not None


def _watching(server: Engine) -> Part:
    async def run(stop: asyncio.Event) -> None:
        await server.watch(stop)

    return run


def _announcing(ready: Ready, path: Path | None, said: Callable[[Ready], None]) -> Part:
    """Say that all is ready once it is, then wait with the others."""

    async def run(stop: asyncio.Event) -> None:
        if path is not None:
            ready.write(path)
        said(ready)
        await stop.wait()

    return run
