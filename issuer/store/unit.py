"""The unit of work: one transaction, one writer at a time, no commit without its event.

Writers queue up on both engines: SQLite's write lock, the row of `log_head` on PostgreSQL. Every
act ends in the one chain of events anyway, so nobody signs anything only to be told to start over.
The version check in `hierarchy.save_version` still stands behind it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

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
HEAD_REVISION: Final = "0002"
# What the first event follows.
GENESIS: Final = "0" * 64

_EVENT_COLUMNS: Final = (
    "seq", "at", "code", "actor", "outcome", "target", "correlation", "body", "previous", "hash",
)  # fmt: skip
# Made once: every act needs both, and to put them together costs more than to have them done.
_LOG_HEAD: Final = select(schema.log_head.c.seq, schema.log_head.c.hash)
_LOG_HEAD_LOCKED: Final = _LOG_HEAD.with_for_update()
_NEW_LOG_HEAD: Final = update(schema.log_head).values(seq=bindparam("at"), hash=bindparam("newest"))
EventRow = tuple[int, int, str, str, str, str, str, str, str, str]


class NoEvent(Defect):
    """A change was about to be committed that nobody wrote down."""

    code = "store.no-event"


class WrongRevision(Refused):
    """The store was written by another version of this program."""

    code = "store.revision"


class Unit:
    """One transaction. Handed out by `Database`, dead when its `with` ends."""

    __slots__ = ("_connection", "_head", "_mode", "_next_id", "changed", "events")

    def __init__(self, connection: Connection, mode: str) -> None:
        self._connection = connection
        self._mode = mode
        self._head: tuple[int, str] | None = None
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

    def log_head(self) -> tuple[int, str]:
        """Sequence number and hash of the newest event, this transaction's included."""
        if self._head is None:
            row = self.fetch_one(_LOG_HEAD)
            self._head = (int(row[0]), str(row[1])) if row else (0, GENESIS)
        return self._head

    def append_events(self, rows: Sequence[EventRow]) -> None:
        """Events as the audit log made them, each following the one before. For `audit.log` alone."""
        if self._mode != "write":
            raise Defect("events are written in a writing unit")
        seq, previous = self.log_head()
        for row in rows:
            seq += 1
            if row[0] != seq or row[8] != previous:
                raise Defect(f"event {row[0]} does not follow event {seq - 1}")
            previous = row[9]
        put_rows(self._connection, "events", _EVENT_COLUMNS, rows)
        self._head = (seq, previous)
        self.events += len(rows)

    def _may_write(self, table: Any) -> None:
        if self._mode == "write":
            self.changed = True
        elif self._mode != "note" or table not in schema.BOOKKEEPING:
            raise Defect(f"table {table.name} is not written in a unit for {self._mode}ing")

    def _settle(self) -> None:
        """What has to hold before a commit."""
        if self.changed and not self.events:
            raise NoEvent("a change without its event is not committed")
        if self.events:
            seq, newest = self.log_head()
            with translated():
                self._connection.execute(_NEW_LOG_HEAD, {"at": seq, "newest": newest})


class Database:
    """A store at an address. Safe to share between threads."""

    def __init__(self, engine: Engine, url: URL) -> None:
        self._engine = engine
        self._url = url

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
    def writing(self) -> Iterator[Unit]:
        """One act: commits on a clean end, and only with an event when anything changed.

        Raises:
            NoEvent: something was written, nothing recorded.
            Busy: another writer took too long.
        """
        with self._transaction("write") as unit:
            if not unit.is_sqlite:
                row = unit.fetch_one(_LOG_HEAD_LOCKED)
                unit._head = (int(row[0]), str(row[1])) if row else None  # noqa: SLF001
            yield unit
            unit._settle()  # noqa: SLF001

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
    def _transaction(self, mode: str) -> Iterator[Unit]:
        with translated():
            connection = self._engine.connect().execution_options(accredit_write=mode != "read")
        try:
            if mode == "read" and not self.is_sqlite:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with translated():
                transaction = connection.begin()
            unit = Unit(connection, mode)
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
