"""Reaching a database: addresses, connections and the settings every connection gets."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

from issuer.errors import NotFound, PeerError
from issuer.store.faults import StoreUnavailable

# How long a writer waits for another one; acts take milliseconds, the longest batch about a second.
LOCK_WAIT_MS: Final = 10_000

# `synchronous=FULL`: with WAL and NORMAL a power cut may take the last commits back. A token that
# was handed out must not be forgotten, and one more fsync an act (a batch, in bulk) is cheap.
# 16 MiB of pages keep the upper levels of a large store's indexes at hand.
_PRAGMAS: Final = (
    f"PRAGMA busy_timeout={LOCK_WAIT_MS}",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA cache_size=-16384",
    # Pages changed often are written back once in 16 MiB of log instead of once in 4.
    "PRAGMA wal_autocheckpoint=4000",
    "PRAGMA trusted_schema=OFF",
)


class BadAddress(PeerError):
    """The address of a database cannot be read."""

    code = "store.address"


class NoStore(NotFound):
    """There is no store at this address yet."""

    code = "store.none"


def parse_address(text: str) -> URL:
    """A SQLite path, bare or as sqlite:///, or a PostgreSQL URL.

    Raises:
        BadAddress: another engine, or not an address.
    """
    if "://" not in text:
        if not text:
            raise BadAddress("the address of the database is empty", at="database")
        return URL.create("sqlite", database=str(Path(text).expanduser().absolute()))
    try:
        url = make_url(text)
    except ArgumentError:
        # The text may hold a password: it is not repeated.
        raise BadAddress("the address of the database cannot be read", at="database") from None
    backend = url.get_backend_name()
    if backend == "sqlite":
        if not url.database or url.database == ":memory:":
            raise BadAddress("a store in memory would forget its keys", at="database", hint="name a file")
        return URL.create("sqlite", database=str(Path(url.database).expanduser().absolute()))
    if backend in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    raise BadAddress(
        f"no store on {backend!r}", at="database", hint="sqlite:///path or postgresql://user@host/database"
    )


def connect_engine(url: URL, *, create: bool = False) -> Engine:
    """An engine for a parsed address; with `create` a missing SQLite file is made, for its owner alone.

    Raises:
        NoStore: the SQLite file does not exist.
    """
    if url.get_backend_name() == "sqlite":
        return _sqlite(Path(str(url.database)), create=create)
    engine = create_engine(url, hide_parameters=True, pool_pre_ping=True, pool_size=5)
    event.listen(engine, "connect", _prepare_postgresql)
    return engine


def _sqlite(path: Path, *, create: bool) -> Engine:
    if not path.exists():
        if not create:
            raise NoStore("there is no store yet", at=str(path), hint="accredit init")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        except OSError as fault:
            raise StoreUnavailable(f"cannot make the store: {fault.strerror}", at=str(path)) from None
    # mode=rw: a path that vanished is an error, never a silent new store.
    address = f"file:{quote(str(path))}?mode=rw"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)

    engine = create_engine(
        "sqlite://", creator=connect, poolclass=QueuePool, pool_size=5, hide_parameters=True
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that will write takes its lock at once: upgrading a read lock later fails
    # without waiting when somebody else wrote in between.
    write = connection.get_execution_options().get("accredit_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"SET lock_timeout = {LOCK_WAIT_MS}")
    cursor.execute("SET idle_in_transaction_session_timeout = '10min'")
    cursor.close()
    connection.commit()
