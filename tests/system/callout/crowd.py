"""Unmodified clients of a callout that reconnect as soon as they lose a server, and a house for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self

from nats.aio.client import Client

from issuer.authority.desk import Authority
from issuer.authority.finding import the_operator
from issuer.authority.sessions import SessionQuestion, session_page
from issuer.cli.output import Screen
from issuer.cli.workspace import Workspace
from issuer.grants import Session
from issuer.store.sessions import Wanted
from tests.servers import NatsCluster
from tests.system.callout.front import Front
from web.cutting import Cutter
from web.wiring import Wiring

POLICY = {
    "version": 1,
    "bindings": [
        {"name": "scada", "match": {"directory": "services", "groups": {"any-of": ["scada"]}}, "account": "APP",
         "role": "reader"},
        {"name": "rest", "match": {"directory": "services"}, "account": "APP", "role": "reader"},
    ],
}  # fmt: skip
# Refusals are lines in the log of a service whose pipe nobody reads meanwhile: it must not get full.
QUICK = 0.5


@contextmanager
def house(folder: Path, servers: int = 3) -> Iterator[tuple[Front, NatsCluster]]:
    """An operator GRID, its account APP and the callout, on a cluster of real servers."""
    made = Front(folder / "data")
    made.run("init", "GRID")
    made.run("add", "account", "APP")
    made.run(
        "edit", "signing-key", "-a", "APP", "--sk", "generate", "--role", "reader",
        "--allow-sub", "grid.>", "--allow-pubsub", "_INBOX.>",
    )  # fmt: skip
    with NatsCluster(made.run("generate", "config", "--nats-resolver"), n=servers) as cluster:
        made.url = cluster.urls[0]
        made.run("edit", "operator", "--service-url", ",".join(cluster.urls))
        made.run("push", "-A")
        yield made, cluster


def enabled(made: Front) -> tuple[dict[str, str], Any]:
    """Keys of `ann` and `bob` of group scada, and of `eve`; and the service's configuration."""
    made.run("callout", "enable", "--into", "APP")
    made.run("callout", "policy", "set", made.write("policy.yaml", POLICY))
    keys, entries = {}, []
    for name, groups in (("ann", ["-g", "scada"]), ("bob", ["-g", "scada"]), ("eve", [])):
        told = made.document("generate", "api-key", "-d", "services", "-s", name, *groups)
        keys[name] = told["key"]
        entries.append(told["entry"])
    return keys, {"directories": [{"name": "services", "kind": "keys", "entries": entries}]}


class Caller:
    """A client that comes back by itself, as often as it is let in; it shows what `shown` says."""

    def __init__(self, url: str, **shown: str) -> None:
        self._url, self._shown = url, shown
        self.client = Client()
        self.lost = 0
        self.again = 0

    async def connect(self) -> None:
        async def lost() -> None:
            self.lost += 1

        async def again() -> None:
            self.again += 1

        async def said(error: Exception) -> None:
            del error

        await self.client.connect(
            self._url,
            max_reconnect_attempts=-1,
            reconnect_time_wait=QUICK,  # type: ignore[arg-type]
            disconnected_cb=lost,
            reconnected_cb=again,
            error_cb=said,
            **self._shown,  # type: ignore[arg-type]
        )

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        # One in the middle of coming back may take its time to end: nobody waits for it.
        await asyncio.wait([asyncio.create_task(self.client.close())], timeout=2)


@asynccontextmanager
async def callers(made: Front, keys: Sequence[str], urls: Sequence[str]) -> AsyncIterator[list[Caller]]:
    """One with each key at each server."""
    sentinel = made.creds("sentinel")
    crowd = [Caller(url, user_credentials=sentinel, token=key) for key in keys for url in urls]
    try:
        for each in crowd:
            await each.connect()
        yield crowd
    finally:
        # One in the middle of coming back may take its time to end: nobody waits for it.
        await asyncio.wait([asyncio.create_task(each.client.close()) for each in crowd], timeout=2)


@contextmanager
def inside(made: Front) -> Iterator[tuple[Wiring, Workspace]]:
    """The store, from this process."""
    workspace = Workspace({"data_dir": str(made.folder)}, Screen(quiet=True))
    try:
        yield Wiring(workspace.settings, workspace.authority, workspace.ask(the_operator, None)), workspace
    finally:
        workspace.close()


def open_sessions(authority: Authority, operator_id: int, **wanted: Any) -> tuple[Session, ...]:
    question = SessionQuestion(operator_id=operator_id, wanted=Wanted(**wanted))
    return authority.ask(session_page, question).sessions


def cutter(wiring: Wiring, urls: Sequence[str]) -> Cutter:
    return Cutter(wiring, urls)


def connected(cluster: NatsCluster, name: str) -> int:
    """How many connections are open under a name, as the servers themselves say."""
    return sum(
        each.get("authorized_user") == name
        for server in cluster
        if server.running()
        for each in server.monitor("/connz?auth=1")["connections"]
    )
