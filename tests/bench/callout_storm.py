"""Everybody comes in the same moment, as after a power cut, and does not give up: devices to one responder.

Beside it the same clients with plain tokens, that need nobody but the server.

The server waits for eight seconds instead of two, and the service knows it. With two, on a machine that the
server, the service and the clients share, nobody gets in whoever answers: the server's own part of so many
logins takes longer than that, and all it gave up come again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final

from tests.bench.broker_load_server import raise_file_limit
from tests.bench.callout_load import run, storm
from tests.bench.callout_world import standing
from tests.bench.measure import Row, at_least, at_most

CLIENTS: Final = int(os.environ.get("BENCH_CLIENTS", "5000"))
PATIENCE: Final = 60.0
TARGET: Final = 1.5 * 3
WAIT: Final = 8
TIMING: Final = {"patience": WAIT, "most_under_way": CLIENTS}
GAVE_UP: Final = "callout response not received in time"
"""What the server says, in its log for debugging, when it has waited in vain."""


def rows() -> Iterator[Row]:
    raise_file_limit()
    with standing(0, devices=CLIENTS, extra=f"\ndebug: true\nauthorization {{ timeout: {WAIT} }}\n") as world:
        bare = run(storm(world.port, [world.plain] * CLIENTS, patience=PATIENCE))
        with world.ours(timing=TIMING) as responder:
            responder.settle()
            cpu = responder.cpu()
            came = run(storm(world.port, world.shows["device nkey"], patience=PATIENCE))
            cpu = responder.cpu() - cpu
        late = world.server.log_text().count(GAVE_UP)
    name = f"callout: storm of {CLIENTS}"
    yield at_least(f"{name}, part of them let in", len(came.seconds) / CLIENTS, 1.0)
    yield at_most(f"{name}, logins the server gave up", late, 0)
    mine, base = _last_hundredth(came.seconds), _last_hundredth(bare.seconds)
    note = f"{mine:.1f} s beside {base:.1f} s, {came.refusals} times sent away, {cpu:.1f} s of a processor"
    yield at_most(f"{name}, p99 / of the server alone", mine / base, TARGET, note)


def _last_hundredth(seconds: Sequence[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)]
