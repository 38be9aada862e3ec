"""Issuing a million users: stored, audited, with sealed keys, on both databases.

Each database is filled in a process of its own, so that its peak memory is that of the issuing alone.
`BENCH_USERS` makes it smaller, for trying the bench itself.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import nacl.bindings

from issuer.authority.accounts import AddAccount, add_account
from issuer.authority.desk import Actor, Authority
from issuer.authority.issuing import IssueUsers, issue_many
from issuer.authority.operators import AddOperator, add_operator
from issuer.custody.keyring import Keyring
from issuer.custody.master import MasterKey
from issuer.store.unit import Database
from tests import components
from tests.bench.measure import Row, at_least, at_most, skipped
from tests.servers import Postgres

USERS = int(os.environ.get("BENCH_USERS", "1000000"))
EDGE = 0.02  # of the users: what "the first" and "the last thousand" are averaged over
SIGNATURES = 4000
RATE, STEADY, MEMORY = 0.20, 0.8, 300.0


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        yield from _rows("SQLite", f"sqlite:///{folder}/bench.db")
    name = "PostgreSQL"
    if reason := components.missing("postgres"):
        for what, target in (("rate", RATE), ("steadiness", STEADY)):
            yield skipped(f"bulk issue on {name}: {what}", f">= {target}", reason)
        return
    with Postgres() as server:
        yield from _rows(name, server.new_database())


def _rows(name: str, url: str) -> Iterator[Row]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.bulk", url], check=True, stdout=subprocess.PIPE, text=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    speed = f"{found['rate']:.0f}/s beside {found['bare']:.0f}/s, {USERS} users"
    yield at_least(f"bulk issue on {name} / bare sign rate", found["rate"] / found["bare"], RATE, speed)
    edges = f"{found['first']:.0f}/s first, {found['last']:.0f}/s last"
    yield at_least(f"bulk issue on {name}: last / first", found["last"] / found["first"], STEADY, edges)
    yield at_most(f"bulk issue on {name}: peak memory, MB", found["memory"], MEMORY)


def fill(url: str) -> dict[str, float]:
    """Issue all users; rates per second, memory in MB."""
    database = Database.open(url, create=True)
    authority = Authority(database, Keyring(MasterKey(bytes(32))), clock=lambda: int(time.time()))
    actor = Actor("bench", "bench")
    authority.perform(add_operator, AddOperator("BENCH"), actor)
    authority.perform(add_account, AddAccount("METERS"), actor)
    names = (f"meter-{index:07d}" for index in range(USERS))
    bare = [_bare_rate()]
    marks: list[tuple[int, float]] = [(0, time.perf_counter())]
    for _ in issue_many(
        authority,
        IssueUsers("METERS", ()),
        names,
        actor,
        progress=lambda n: marks.append((n, time.perf_counter())),
    ):
        pass
    bare.append(_bare_rate())
    edge = max(1, round(len(marks) * EDGE))
    database.close()
    return {
        "bare": sum(bare) / len(bare),
        "rate": _rate(marks[0], marks[-1]),
        # Not the batches at the very ends: the first two are made alone, the last is only written.
        "first": _rate(marks[2], marks[2 + edge]),
        "last": _rate(marks[-2 - edge], marks[-2]),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _rate(start: tuple[int, float], end: tuple[int, float]) -> float:
    return (end[0] - start[0]) / (end[1] - start[1])


def _bare_rate() -> float:
    _, secret = nacl.bindings.crypto_sign_seed_keypair(bytes(32))
    message = bytes(500)
    start = time.perf_counter()
    for _ in range(SIGNATURES):
        nacl.bindings.crypto_sign(message, secret)
    return SIGNATURES / (time.perf_counter() - start)


if __name__ == "__main__":
    print(json.dumps(fill(sys.argv[1])))
