"""What a login by the callout costs, beside a responder that does the least a server takes for an answer,
and what a storm of them and a person cut off take.

Each responder is a process of its own beside one real nats-server. Where the cost is counted, it is the
processor time of the responder's process, so that what else the machine does counts little.
"""

from __future__ import annotations

import asyncio
import os
import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from tests.bench import callout_cutting, callout_ldap, callout_storm
from tests.bench.broker_load_server import raise_file_limit
from tests.bench.callout_load import alone, connected, run
from tests.bench.callout_world import KINDS, Responder, World, standing
from tests.bench.measure import Row, at_least, at_most

LOGINS: Final = int(os.environ.get("BENCH_LOGINS", "2000"))
ROUNDS: Final = int(os.environ.get("BENCH_ROUNDS", "3"))
AT_ONCE: Final = 64
WARM: Final = 200
ALONE: Final = 200
TARGETS: Final = {"OIDC": 0.5, "API key": 0.7, "device nkey": 0.7}
MOST_ADDED: Final = 2.0  # milliseconds


def rows() -> Iterator[Row]:
    for each in PARTS.values():
        yield from each()


def rates() -> Iterator[Row]:
    """Logins by second of the responder's processor time; the two take turns."""
    raise_file_limit()
    with standing(WARM + LOGINS) as world:
        bare: dict[str, list[float]] = {kind: [] for kind in KINDS}
        mine: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for _ in range(ROUNDS):
            with world.minimal() as responder:
                for kind in KINDS:
                    bare[kind].append(_rate(world, kind, responder))
            with world.ours() as responder:
                for kind in KINDS:
                    mine[kind].append(_rate(world, kind, responder))
    for kind, target in TARGETS.items():
        ratio = statistics.median(own / base for own, base in zip(mine[kind], bare[kind], strict=True))
        note = f"{statistics.median(mine[kind]):.0f} beside {statistics.median(bare[kind]):.0f} by CPU-second"
        yield at_least(f"callout: logins by {kind} / minimal responder", ratio, target, note)


def _rate(world: World, kind: str, responder: Responder) -> float:
    shows = world.shows[kind]

    async def load() -> float:
        async with connected(world.port, shows[:WARM], at_once=AT_ONCE):
            pass
        await asyncio.to_thread(responder.settle)
        before = responder.cpu()
        async with connected(world.port, shows[WARM : WARM + LOGINS], at_once=AT_ONCE):
            return responder.cpu() - before

    took = run(load())
    responder.settle()
    return LOGINS / took


def added() -> Iterator[Row]:
    """What the callout adds to a login that asks none, when nobody else comes."""
    with standing(ALONE) as world:
        with world.minimal() as responder:
            plain, _, least, _ = _alone(world, responder)
        bare = least - plain
        with world.ours() as responder:
            plain, *took = _alone(world, responder)
    more = {kind: each - plain for kind, each in zip(KINDS, took, strict=True)}
    others = ", ".join(f"{kind} {each:.2f}" for kind, each in more.items() if kind != "OIDC")
    note = f"plain {plain:.2f}; {others}; the minimal responder {bare:.2f}"
    yield at_most("callout: ms added to a plain login, OIDC", more["OIDC"], MOST_ADDED, note)


def _alone(world: World, responder: Responder) -> list[float]:
    """Medians in milliseconds: of a plain login, then of one of each kind."""
    shows = [[world.plain] * ALONE, *(world.shows[kind][:ALONE] for kind in KINDS)]
    responder.settle()
    return [statistics.median(each) * 1000 for each in run(alone(world.port, shows))]


PARTS: Final[Mapping[str, Callable[[], Iterator[Row]]]] = {
    "rates": rates,
    "added": added,
    "ldap": callout_ldap.rows,
    "storm": callout_storm.rows,
    "cutting": callout_cutting.rows,
}
"""What `--part` names."""
