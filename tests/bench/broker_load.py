"""The loads of the broker's bench, and one of them alone, so that the server can be profiled:

python -m tests.bench.broker_load --only one --server ours [--permitted] [--rounds 3]
    [--seconds 1.0] [--under "perf record -g -o out.data --"]
"""

from __future__ import annotations

import argparse
import shlex
import statistics
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Final, Protocol, get_args

from tests.bench.broker_load_live import Arriving, Narrowing, Revoking, bytes_per_idle_connection
from tests.bench.broker_load_messages import (
    Publishing,
    Requesting,
    distinct,
    fan_out,
    matching,
    one_subscriber,
)
from tests.bench.broker_load_server import Server, Which, raise_file_limit
from tests.bench.broker_load_world import World

KNOWN: Final = 2_000
FEW, MANY = 100, 100_000


class Load(Protocol):
    def batch(self) -> int:
        """Do a share of the work, wait until all of it is done, and say how much it was."""
        ...

    def close(self) -> None: ...


class Effect(Protocol):
    def effect(self) -> float:
        """Seconds from one update of claims to the last thing it does."""
        ...

    def close(self) -> None: ...


# What can be said of a load per CPU-second of the server.
LOADS: Final[dict[str, Callable[[int, World], Load]]] = {
    "fresh": Arriving,
    "storm": partial(Arriving, known=KNOWN),
    "publish": Publishing,
    "one": one_subscriber,
    "fan": fan_out,
    "request": Requesting,
    "distinct": distinct,
    "few": partial(matching, subscriptions=FEW),
    "many": partial(matching, subscriptions=MANY),
}
PERMITTED: Final[dict[str, Callable[[int, World], Load]]] = {
    "publish": partial(Publishing, permitted=True),
    "one": partial(one_subscriber, permitted=True),
    "fan": partial(fan_out, permitted=True),
    "request": partial(Requesting, permitted=True),
    "distinct": partial(distinct, permitted=True),
}
EFFECTS: Final[dict[str, Callable[[Server, World], Effect]]] = {"revoke": Revoking, "narrow": Narrowing}
MEMORY: Final = "memory"


class Stand:
    """One server under one load."""

    def __init__(self, server: Server, load: Load) -> None:
        self._server, self._load = server, load
        self._load.batch()  # routes, caches and heaps as they are in the middle of a day

    def turn(self, seconds: float) -> float:
        """Work done per CPU-second of the server, over at least so many of them."""
        done, start = 0, self._server.settled_cpu()
        while self._server.cpu() - start < seconds:
            done += self._load.batch()
        return done / (self._server.settled_cpu() - start)


@contextmanager
def standing(server: Server, world: World, make: Callable[[int, World], Load]) -> Iterator[Stand]:
    with server, closing(make(server.port, world)) as load:
        yield Stand(server, load)


@contextmanager
def effecting(server: Server, world: World, name: str) -> Iterator[Effect]:
    with server, closing(EFFECTS[name](server, world)) as effect:
        yield effect


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.broker_load")
    parser.add_argument("--only", choices=[*LOADS, *EFFECTS, MEMORY], required=True)
    parser.add_argument("--server", choices=get_args(Which), required=True)
    parser.add_argument("--permitted", action="store_true", help="users have permissions of their own")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="CPU-seconds of the server, each round")
    parser.add_argument("--under", default="", help="a command to run the server with, such as a profiler")
    parser.add_argument("--python", default="", help="the interpreter to run ours with, and its flags")
    given = parser.parse_args()
    raise_file_limit()
    world = World()
    under, python = shlex.split(given.under), shlex.split(given.python)
    server = Server(given.server, world.config(), under=under, python=python)
    if given.only == MEMORY:
        with server:
            print(f"{bytes_per_idle_connection(server, world):,.0f} bytes for each connection")
    elif given.only in EFFECTS:
        with effecting(server, world, given.only) as effect:
            took = [effect.effect() * 1e3 for _ in range(given.rounds)]
        print(f"{statistics.median(took):.1f} ms:", *(f"{each:.1f}" for each in took))
    else:
        make = (PERMITTED if given.permitted else LOADS)[given.only]
        with standing(server, world, make) as stand:
            rates = [stand.turn(given.seconds) for _ in range(given.rounds)]
        print(f"{statistics.median(rates):,.0f} per CPU-second:", *(f"{rate:,.0f}" for rate in rates))


if __name__ == "__main__":
    main()
