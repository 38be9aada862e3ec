"""The broker's group: ours beside the real nats-server, by what each CPU-second of the server does.

Both run as processes of their own with the same configuration and under the same load; they take
turns, and a ratio is the median of the rounds' ratios. `tests.bench.broker_load` runs one load alone.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Final

from tests.bench.broker_load import (
    EFFECTS,
    FEW,
    LOADS,
    MANY,
    PERMITTED,
    Load,
    Stand,
    effecting,
    standing,
)
from tests.bench.broker_load_live import CROWD, IDLE, bytes_per_idle_connection
from tests.bench.broker_load_server import Server, Which, raise_file_limit
from tests.bench.broker_load_world import World
from tests.bench.measure import Row, at_least, at_most, skipped

ROUNDS: Final = int(os.environ.get("BENCH_ROUNDS", "5"))
SECONDS: Final = float(os.environ.get("BENCH_SECONDS", "1"))  # CPU-seconds of a server in each round
_BOTH: Final[tuple[Which, Which]] = ("real", "ours")


@dataclass(frozen=True, slots=True)
class Figure:
    """A load of both servers; those in `PERMITTED` also run on ours with permissions set."""

    load: str
    name: str
    unit: str
    target: float


_FIGURES: Final = (
    Figure("fresh", "let in, fresh users", "connections", 2.0),
    Figure("storm", "let in, reconnect storm of known users", "connections", 3.0),
    Figure("publish", "publish, nobody listening, 16 bytes", "messages", 0.4),
    Figure("one", "publish to one subscriber, 16 bytes", "messages", 0.8),
    Figure("fan", "fan-out 1 to 100", "deliveries", 0.6),
    Figure("request", "request-reply, 64 requesters, queue group of 4", "round trips", 0.4),
    Figure("distinct", "100,000 subjects over 10,000 subscriptions", "messages", 0.25),
)
_PERMITTED_TARGET: Final = 0.8
_FLAT_TARGET: Final = 1.5
_MEMORY_TARGET: Final = 2.0
_EFFECT_TARGET: Final = 1.0
_EFFECTS: Final = {
    "revoke": "claims update to last -ERR, all of 2,000 revoked",
    "narrow": "claims update to last -ERR, one subscription of each of 2,000 dropped",
}


def rows() -> Iterator[Row]:
    limit = raise_file_limit()
    world = World()
    for figure in _FIGURES:
        yield from _compared(figure, world)
    yield _flat(world)
    yield _memory(world, limit)
    for name in EFFECTS:
        yield _effect(name, world)


def _compared(figure: Figure, world: World) -> Iterator[Row]:
    with ExitStack() as stack:
        everyone: dict[str, Stand] = {
            which: stack.enter_context(_stand(which, world, LOADS[figure.load])) for which in _BOTH
        }
        if figure.load in PERMITTED:
            everyone["permitted"] = stack.enter_context(_stand("ours", world, PERMITTED[figure.load]))
        rates = _in_turns(everyone)
    said = f"{figure.unit} a CPU-second"
    yield at_least(
        f"broker: {figure.name} / nats-server",
        _ratio(rates, "ours", "real"),
        figure.target,
        f"{_middle(rates, 'ours')} beside {_middle(rates, 'real')} {said}",
    )
    if "permitted" in rates:
        yield at_least(
            f"broker: {figure.name}, with permissions / without",
            _ratio(rates, "permitted", "ours"),
            _PERMITTED_TARGET,
            f"{_middle(rates, 'permitted')} beside {_middle(rates, 'ours')} {said}",
        )


def _flat(world: World) -> Row:
    with ExitStack() as stack:
        rates = _in_turns(
            {name: stack.enter_context(_stand("ours", world, LOADS[name])) for name in ("few", "many")}
        )
    few, many = (1e6 / statistics.median(rates[name]) for name in ("few", "many"))
    return at_most(
        f"broker: cost of a message over {MANY:,} / {FEW} subscriptions",
        _ratio(rates, "few", "many"),
        _FLAT_TARGET,
        f"{many:.2f} µs beside {few:.2f} µs of CPU",
    )


def _memory(world: World, limit: int) -> Row:
    name, target = f"broker: memory per idle connection, {IDLE:,} / nats-server", _MEMORY_TARGET
    if limit < IDLE + 500:
        return skipped(name, f"<= {target:g}", f"a process may have {limit} files open here")
    found = {}
    for which in _BOTH:
        with Server(which, world.config()) as server:
            found[which] = bytes_per_idle_connection(server, world)
    words = f"{found['ours'] / 1024:.1f} KB beside {found['real'] / 1024:.1f} KB"
    return at_most(name, found["ours"] / found["real"], target, words)


def _effect(name: str, world: World) -> Row:
    with ExitStack() as stack:
        effects = {
            which: stack.enter_context(effecting(Server(which, world.config()), world, name))
            for which in _BOTH
        }
        for effect in effects.values():
            effect.effect()
        took: dict[str, list[float]] = {which: [] for which in effects}
        for _ in range(ROUNDS):
            for which, effect in effects.items():
                took[which].append(effect.effect())
    ours, real = (statistics.median(took[which]) * 1e3 for which in ("ours", "real"))
    return at_most(
        f"broker: {_EFFECTS[name]} / nats-server",
        _ratio(took, "ours", "real"),
        _EFFECT_TARGET,
        f"{ours:.1f} ms beside {real:.1f} ms, {CROWD:,} connections",
    )


def _stand(which: Which, world: World, make: Callable[[int, World], Load]) -> AbstractContextManager[Stand]:
    return standing(Server(which, world.config()), world, make)


def _in_turns(stands: Mapping[str, Stand]) -> dict[str, list[float]]:
    """Rates of each, round by round; who begins changes, so that no one has the better place."""
    rates: dict[str, list[float]] = {name: [] for name in stands}
    order = list(stands)
    for _ in range(ROUNDS):
        for name in order:
            rates[name].append(stands[name].turn(SECONDS))
        order.reverse()
    return rates


def _ratio(rounds: Mapping[str, list[float]], upper: str, lower: str) -> float:
    return statistics.median(up / low for up, low in zip(rounds[upper], rounds[lower], strict=True))


def _middle(rates: Mapping[str, list[float]], name: str) -> str:
    return f"{statistics.median(rates[name]):,.0f}"
