"""A person with a thousand connections on three servers is cut off: until the last socket is closed."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from issuer.audit import log
from issuer.audit.catalogue import EventCode
from issuer.grants import Denial, Target
from issuer.keys.creds import parse_creds
from issuer.store.unit import Unit
from tests.bench.broker_load_server import raise_file_limit
from tests.bench.callout_load import connected, run
from tests.bench.measure import Row, at_most
from tests.servers import NatsCluster
from tests.system.callout.crowd import enabled, house, inside
from web.cutting import Cut, Cutter

CONNECTIONS: Final = int(os.environ.get("BENCH_CONNECTIONS", "1000"))
AT_ONCE: Final = 16
TARGET: Final = 1.0


def rows() -> Iterator[Row]:
    raise_file_limit()
    with (
        tempfile.TemporaryDirectory(prefix="accredit-bench-") as folder,
        house(Path(folder)) as (made, cluster),
    ):
        keys, configuration = enabled(made)
        with made.serving(configuration), inside(made) as (wiring, workspace):
            sentinel, _ = parse_creds(Path(made.creds("sentinel")).read_text(encoding="utf-8"))
            shown = {"jwt": sentinel, "auth_token": keys["ann"]}
            seconds, cut = run(_cut(cluster, shown, Cutter(wiring, cluster.urls)))
            proof = workspace.ask(_proof, None)
    if not cut.clean or cut.kicked.ended < CONNECTIONS or proof.get("sessions") != cut.kicked.sessions:
        raise RuntimeError(f"not all are gone, or it is not written: {cut.kicked}, {proof}")
    note = f"{cut.kicked.ended} ended; first kick after {proof['first_kick_ms']} ms, proved after {proof['last_gone_ms']} ms"
    yield at_most(
        f"callout: s from cutting off a person to the last of {CONNECTIONS} closed", seconds, TARGET, note
    )


async def _cut(cluster: NatsCluster, shown: dict[str, Any], cutter: Cutter) -> tuple[float, Cut]:
    async with AsyncExitStack() as stack:
        clients = []
        for number, server in enumerate(cluster):
            count = len(range(number, CONNECTIONS, len(cluster)))
            shows = [lambda _: shown] * count
            clients += await stack.enter_async_context(connected(server.port, shows, at_once=AT_ONCE))
        losing = asyncio.gather(*(client.lost() for client in clients))
        # Nothing of the logins is under way any more.
        await asyncio.sleep(1)
        began = time.perf_counter()
        cut = await cutter.cut(
            Denial(target=Target.IDENTITY, issuer="keys:services", value="ann", reason="bench")
        )
        return max(await losing) - began, cut


def _proof(unit: Unit, _: None) -> dict[str, Any]:
    """What the audit log says of it."""
    return next(iter(log.read(unit, code=EventCode.IDENTITY_EVICTED))).body.detail
