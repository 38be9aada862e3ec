"""What servers tell, taken in: how fast beside plain JSON and executemany, and whether an act waits for it."""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from issuer.audit.catalogue import EventCode
from issuer.audit.log import Event, append
from issuer.delivery.server_intake import Waiting, Writer
from issuer.store.unit import Database
from tests import components
from tests.bench.measure import Row, at_least, at_most, skipped
from tests.issuer.audit.servers_say import House, Message, Shown
from tests.issuer.store.founding import NOW, found
from tests.servers import Postgres

CONNECTIONS: Final = int(os.environ.get("BENCH_CONNECTIONS", "10000"))
USERS: Final = 200
BATCH: Final = 500
TARGET: Final = 5000.0
ACTS: Final = 60
PAUSE: Final = 0.007
# Decoding and inserting alone, nothing looked up, chained or hashed.
SHARE: Final = 0.1
# Acts and ingest in one process: Python hands over between threads every 5 ms.
SLOWER: Final = 10.0


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="accredit-bench-") as folder:
        yield from _measured(f"sqlite:///{folder}/accredit.db", "SQLite", Path(folder))
    try:
        components.require("postgres")
    except BaseException as reason:  # noqa: BLE001  pytest's own kind of skip
        yield skipped("audit: events of servers a second and core, PostgreSQL", f">= {TARGET:g}", str(reason))
        return
    with Postgres() as server, tempfile.TemporaryDirectory(prefix="accredit-bench-") as folder:
        yield from _measured(server.new_database(), "PostgreSQL", Path(folder))


def _measured(url: str, engine: str, folder: Path) -> Iterator[Row]:
    database = Database.open(url, create=True)
    try:
        house = House.over(database, found(database).account)
        users = [house.issued(f"user{number}") for number in range(USERS)]
        base = _baseline(_storm(house, users, 1), folder / "baseline.db")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        writer = Writer(database, house.account.operator_id, clock=lambda: NOW + 1000)
        rate, core_rate = _taken_in(writer, _storm(house, users, 100_000))
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        note = f"{core_rate:.0f} a second of our own CPU time; {grown:.0f} MiB more; baseline {base:.0f}"
        yield at_least(f"audit: events of servers a second, {engine}", rate, TARGET, note)
        yield at_least(f"audit: events of servers beside json and executemany, {engine}", rate / base, SHARE)
        yield _latency(database, house, users, engine)
    finally:
        database.close()


def _storm(house: House, users: list[Shown], first: int) -> list[Message]:
    """Connections that come and go."""
    messages = []
    for number in range(CONNECTIONS):
        shown = users[number % len(users)]
        client = first + number
        messages += [house.connect(shown, client), house.disconnect(shown, client)]
    return messages


def _taken_in(writer: Writer, messages: list[Message]) -> tuple[float, float]:
    """Events a second, and a second of CPU time of this process."""
    writer.write(messages[:BATCH])
    began, cpu = time.perf_counter(), time.process_time()
    for start in range(BATCH, len(messages), BATCH):
        writer.write(messages[start : start + BATCH])
    took, used = time.perf_counter() - began, time.process_time() - cpu
    if writer.counts.events != len(messages):
        raise RuntimeError(f"not all were written: {writer.counts}")
    count = len(messages) - BATCH
    return count / took, count / used


def _baseline(messages: list[Message], path: Path) -> float:
    """Events a second: decoded, and their texts inserted."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE told (id TEXT PRIMARY KEY, at TEXT, account TEXT, body TEXT)")
        began = time.perf_counter()
        for start in range(0, len(messages), BATCH):
            lines = []
            for _, data in messages[start : start + BATCH]:
                document = json.loads(data)
                client = document["client"]
                client.pop("jwt", None)
                lines.append((document["id"], document["timestamp"], client["acc"], json.dumps(document)))
            connection.executemany("INSERT INTO told VALUES (?, ?, ?, ?)", lines)
            connection.commit()
        took = time.perf_counter() - began
    connection.close()
    return len(messages) / took


def _latency(database: Database, house: House, users: list[Shown], engine: str) -> Row:
    """The time an act takes while servers tell more than can be written, beside what it takes alone."""
    alone, _ = _acts(database)
    over = threading.Event()
    messages = _storm(house, users, 10_000_000)
    flood = threading.Thread(target=_flood, args=(database, house, messages, over))
    flood.start()
    try:
        time.sleep(0.2)
        beside, worst = _acts(database)
    finally:
        over.set()
        flood.join()
    note = (
        f"mean {alone * 1e3:.2f} ms alone, {beside * 1e3:.2f} ms in the flood, the worst {worst * 1e3:.0f} ms"
    )
    # Where there is one writer an act waits for the batch under way, and that is all.
    most = SLOWER if engine == "PostgreSQL" else 100.0
    return at_most(
        f"audit: an act in a flood of events of servers, beside alone, {engine}", beside / alone, most, note
    )


def _flood(database: Database, house: House, messages: list[Message], over: threading.Event) -> None:
    """As the service does it, without its event loop."""
    import asyncio

    waiting = Waiting()
    writer = Writer(database, house.account.operator_id, clock=lambda: NOW + 2000)

    async def write() -> None:
        for message in messages:
            waiting.offer(message)
        while not over.is_set() and len(waiting):
            await writer.batch(waiting.take(BATCH))

    asyncio.run(write())


def _acts(database: Database) -> tuple[float, float]:
    """Seconds of an act, as people do them, with pauses: the mean and the worst."""
    times = []
    for number in range(ACTS):
        time.sleep(PAUSE * (1 + number % 5))
        began = time.perf_counter()
        with database.writing() as unit:
            append(unit, Event(EventCode.ACCOUNT_CHANGED, "cli:ada"), NOW + 1000)
        times.append(time.perf_counter() - began)
    return statistics.mean(times), max(times)


PARTS: Final[dict[str, Callable[[], Iterator[Row]]]] = {"ingest": rows}
