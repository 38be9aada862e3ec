"""The unit of work: one transaction, one writer at a time, no commit without its event.

Writers queue up on both engines: SQLite's write lock, the row of the log in `logs` on PostgreSQL. Every
act ends in the one chain of events anyway, so nobody signs anything only to be told to start over.
The version check in `hierarchy.save_version` still stands behind it. What servers tell us has a log of
its own, whose writers wait for nobody else on PostgreSQL.
"""

from __future__ import annotations

import random
import time
from collections import ChainMap
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import (
    Connection,
    CursorResult,
    Engine,
    Executable,
    Row,
    Table,
    bindparam,
    func,
    select,
    update,
)
from sqlalchemy.engine import URL

from issuer.errors import Conflict, Defect, Refused
from issuer.store import schema
from issuer.store.engine import NoStore, connect_engine, parse_address
from issuer.store.faults import translated
from issuer.store.rows import put_rows

R = TypeVar("R")

# The migration the tables of `schema` stand at; a test compares it with the scripts.
HEAD_REVISION: Final = "0004"
# What the first event follows.
GENESIS: Final = "0" * 64

_EVENT_COLUMNS: Final = (
    "seq", "at", "code", "actor", "outcome", "target", "correlation", "body", "previous", "hash",
)  # fmt: skip
# Made once: every act needs both, and to put them together costs more than to have them done.
_HEAD_COLUMNS: Final = ("seq", "hash", "year", "first", "edge", "erasures")
_LOG_HEAD: Final = select(*(schema.logs.c[name] for name in _HEAD_COLUMNS)).where(
    schema.logs.c.name == bindparam("log")
)
_LOG_HEAD_LOCKED: Final = _LOG_HEAD.with_for_update()
_NEW_LOG_HEAD: Final = (
    update(schema.logs)
    .where(schema.logs.c.name == bindparam("log"))
    .values({name: bindparam(f"new_{name}") for name in _HEAD_COLUMNS})
)
_ERASED: Final = (
    update(schema.logs)
    .where(schema.logs.c.name != bindparam("log"))
    .values(erasures=schema.logs.c.erasures + 1)
)
# Names of people a process remembers the commitments of.
_REMEMBERED: Final = 100_000
EventRow = tuple[int, int, str, str, str, str, str, str, str, str]


class Log(StrEnum):
    """The logs there are."""

    ADMIN = "admin"
    """What we did."""
    SERVERS = "servers"
    """What servers told us."""


EVENTS: Final = {Log.ADMIN: schema.events, Log.SERVERS: schema.server_events}


class LogHead(NamedTuple):
    """Where a log stands: its newest event, the year of the tree that grows, the sequence number of that
    tree's leaf 0, its edge as `audit.tree` packs it; `erasures` counts the people forgotten."""

    seq: int
    hash: str
    year: int
    first: int
    edge: bytes
    erasures: int


class NoEvent(Defect):
    """A change was about to be committed that nobody wrote down."""

    code = "store.no-event"


class ClosedForWriting(Refused):
    """The log is not what it was, and nothing is added to it."""

    code = "store.closed"


class WrongRevision(Refused):
    """The store was written by another version of this program."""

    code = "store.revision"


class Unit:
    """One transaction. Handed out by `Database`, dead when its `with` ends."""

    __slots__ = ("_connection", "_head", "_mode", "_next_id", "changed", "events", "log", "pseudonyms")

    def __init__(self, connection: Connection, mode: str, log: Log = Log.ADMIN) -> None:
        self._connection = connection
        self._mode = mode
        self._head: LogHead | None = None
        self.log = log
        """The log its events go to."""
        self.pseudonyms: MutableMapping[str, str] = {}
        """Commitments by value, as far as they were looked up (`store.persons`)."""
        self._next_id = 0
        self.changed = False
        self.events = 0

    @property
    def is_sqlite(self) -> bool:
        return self._connection.dialect.name == "sqlite"

    def fetch_one(
        self, statement: Executable, values: dict[str, Any] | None = None
    ) -> Row[*tuple[Any, ...]] | None:
        with translated():
            return self._connection.execute(statement, values).first()

    def fetch_all(
        self, statement: Executable, values: dict[str, Any] | None = None
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        with translated():
            return self._connection.execute(statement, values).all()

    def stream(
        self, statement: Executable, values: dict[str, Any] | None = None
    ) -> Iterator[Row[*tuple[Any, ...]]]:
        """Rows a batch at a time, for results of any size."""
        with translated():
            result = self._connection.execute(statement, values, execution_options={"yield_per": 500})
            try:
                yield from result
            finally:
                # Whoever stops early must not leave a cursor open on the server.
                result.close()

    def write(
        self, statement: Any, values: dict[str, Any] | Sequence[dict[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """An insert, update or delete of the Core."""
        self._may_write(statement.table)
        with translated():
            result: CursorResult[Any] = self._connection.execute(statement, values)
            return result

    def put(self, table: Table, columns: tuple[str, ...], rows: Sequence[Sequence[Any]]) -> None:
        """Insert many rows the fast way."""
        if rows:
            self._may_write(table)
            put_rows(self._connection, table.name, columns, rows)

    def allocate_ids(self, count: int) -> range:
        """Fresh ids for `keys`; safe because writers come one at a time."""
        self._may_write(schema.keys)
        if not self._next_id:
            row = self.fetch_one(select(func.max(schema.keys.c.id)))
            self._next_id = ((row[0] if row else None) or 0) + 1
        first = self._next_id
        self._next_id += count
        return range(first, self._next_id)

    def key_blocks(self) -> range:
        """The blocks a public key may be indexed in."""
        last = self._next_id
        if not last:
            row = self.fetch_one(select(func.max(schema.keys.c.id)))
            last = (row[0] if row else None) or 0
        return range(schema.block_of(last) + 1)

    def log_head(self, log: Log | None = None) -> LogHead:
        """Where a log stands, the unit's own if none is named; this transaction's events included."""
        if log is not None and log is not self.log:
            return self._read_head(_LOG_HEAD, log)
        if self._head is None:
            self._head = self._read_head(_LOG_HEAD, self.log)
        return self._head

    def append_events(self, rows: Sequence[EventRow], head: LogHead) -> None:
        """Events as the audit log made them, each following the one before, and where the log then stands.
        For `audit.log` alone."""
        if self._mode != "write":
            raise Defect("events are written in a writing unit")
        seq, previous, *_ = before = self.log_head()
        for row in rows:
            seq += 1
            if row[0] != seq or row[8] != previous:
                raise Defect(f"event {row[0]} does not follow event {seq - 1}")
            previous = row[9]
        if (head.seq, head.hash) != (seq, previous):
            raise Defect("the head of the log is not its newest event")
        put_rows(self._connection, EVENTS[self.log].name, _EVENT_COLUMNS, rows)
        self._head = head._replace(erasures=before.erasures)
        self.events += len(rows)

    def count_erasure(self) -> None:
        """Somebody was forgotten: no process may go on with the commitment it remembers."""
        self._may_write(schema.persons)
        head = self.log_head()
        self._head = head._replace(erasures=head.erasures + 1)
        self.pseudonyms = {}
        with translated():
            self._connection.execute(_ERASED, {"log": self.log.value})

    def _read_head(self, query: Executable, log: Log) -> LogHead:
        row = self.fetch_one(query, {"log": log.value})
        if row is None:
            raise Defect(f"there is no log {log.value!r}")
        return LogHead(int(row[0]), str(row[1]), int(row[2]), int(row[3]), bytes(row[4]), int(row[5]))

    def _may_write(self, table: Any) -> None:
        if self._mode == "write":
            if self.log is not Log.ADMIN and table not in schema.BOOKKEEPING | schema.OF_THE_LOG:
                raise Defect(f"table {table.name} is not written beside the log {self.log.value!r}")
            self.changed = True
        elif self._mode != "note" or table not in schema.BOOKKEEPING:
            raise Defect(f"table {table.name} is not written in a unit for {self._mode}ing")

    def _settle(self) -> None:
        """What has to hold before a commit."""
        if self.changed and not self.events:
            raise NoEvent("a change without its event is not committed")
        if self.changed or self.events:
            head = {f"new_{name}": value for name, value in self.log_head()._asdict().items()}
            with translated():
                self._connection.execute(_NEW_LOG_HEAD, {"log": self.log.value, **head})


class Database:
    """A store at an address. Safe to share between threads."""

    def __init__(self, engine: Engine, url: URL) -> None:
        self._engine = engine
        self._url = url
        # Commitments by value, as of so many erasures.
        self._pseudonyms: tuple[int, dict[str, str]] = (0, {})
        self.closed_for: str | None = None
        """Why nothing is written any more in this process."""

    @classmethod
    def open(cls, address: str, *, create: bool = False) -> Database:
        """Open a store; with `create` it is made, or brought up to this version, first.

        Raises:
            BadAddress: not an address of a database we know.
            NoStore: nothing there yet.
            WrongRevision: written by an older or newer version.
            Unavailable: the database does not answer.
        """
        url = parse_address(address)
        engine = connect_engine(url, create=create)
        try:
            revision = _revision(engine)
            if revision != HEAD_REVISION and create:
                from issuer.store import migrating

                migrating.upgrade(url)
                revision = _revision(engine)
            _check(revision, url)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, url)

    def close(self) -> None:
        self._engine.dispose()

    def close_for_writing(self, words: str) -> None:
        """From now on every unit but one for reading is refused."""
        self.closed_for = words

    @property
    def url(self) -> str:
        """The address, password hidden."""
        return self._url.render_as_string(hide_password=True)

    @property
    def is_sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    def __repr__(self) -> str:
        return f"Database({self.url})"

    @contextmanager
    def writing(self, log: Log = Log.ADMIN) -> Iterator[Unit]:
        """One act: commits on a clean end, and only with an event when anything changed.

        Raises:
            NoEvent: something was written, nothing recorded.
            Busy: another writer took too long.
        """
        fresh: dict[str, str] = {}
        with self._transaction("write", log) as unit:
            if not unit.is_sqlite:
                unit._head = unit._read_head(_LOG_HEAD_LOCKED, log)  # noqa: SLF001
            erasures = unit.log_head().erasures
            if self._pseudonyms[0] != erasures or len(self._pseudonyms[1]) > _REMEMBERED:
                self._pseudonyms = (erasures, {})
            remembered = self._pseudonyms[1]
            unit.pseudonyms = ChainMap(fresh, remembered)
            yield unit
            unit._settle()  # noqa: SLF001
        # Only now, and only if nobody was forgotten meanwhile: what was rolled back stands for nothing.
        if self._pseudonyms[1] is remembered:
            remembered.update(fresh)

    @contextmanager
    def noting(self) -> Iterator[Unit]:
        """Bookkeeping of deliveries; may be committed without an event, and may touch nothing else."""
        with self._transaction("note") as unit:
            yield unit

    @contextmanager
    def reading(self) -> Iterator[Unit]:
        """One consistent view."""
        with self._transaction("read") as unit:
            yield unit

    def attempt(self, function: Callable[[Unit], R], *, tries: int = 5) -> R:
        """Run a change in a unit of its own, again when somebody else was faster.

        Raises:
            Conflict: they were faster every time.
        """
        for left in range(tries - 1, -1, -1):
            try:
                with self.writing() as unit:
                    return function(unit)
            except Conflict:
                if not left:
                    raise
                # Spread out, or the same two meet again.
                time.sleep(random.uniform(0.002, 0.02) * (tries - left))  # noqa: S311
        raise Defect("an attempt needs at least one try")

    @contextmanager
    def _transaction(self, mode: str, log: Log = Log.ADMIN) -> Iterator[Unit]:
        if self.closed_for is not None and mode != "read":
            raise ClosedForWriting(
                f"nothing is written any more: {self.closed_for}", hint="accredit audit verify says more"
            )
        with translated():
            connection = self._engine.connect().execution_options(accredit_write=mode != "read")
        try:
            if mode == "read" and not self.is_sqlite:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with translated():
                transaction = connection.begin()
            unit = Unit(connection, mode, log)
            try:
                yield unit
                with translated():
                    transaction.commit()
            finally:
                unit._mode = "noth"  # noqa: SLF001
                if transaction.is_active:
                    with translated():
                        transaction.rollback()
        finally:
            with translated():
                connection.close()


def _revision(engine: Engine) -> str | None:
    """What the store says it is; None for an empty database."""
    with translated(), engine.connect() as connection:
        if not engine.dialect.has_table(connection, "alembic_version"):
            return None
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        return str(found) if found else None


def _check(revision: str | None, url: URL) -> None:
    at = url.render_as_string(hide_password=True)
    if revision is None:
        raise NoStore("there is no store yet", at=at, hint="accredit init")
    if revision != HEAD_REVISION:
        older = revision < HEAD_REVISION
        raise WrongRevision(
            f"the store is at revision {revision}, this program wants {HEAD_REVISION}",
            at=at,
            hint="accredit migrate" if older else "update this program: a newer one has used the store",
        )
