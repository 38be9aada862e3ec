"""One transaction at a time, no commit without its event, no lost update."""

# ruff: noqa: PT012  (a unit of work is several statements, and fails at its end)

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select, update

from issuer.audit import log
from issuer.audit.catalogue import EventCode
from issuer.errors import AccreditError, AlreadyExists, Conflict, Defect, Unavailable
from issuer.store import hierarchy, outbox, schema
from issuer.store.engine import BadAddress, NoStore, parse_address
from issuer.store.faults import Contradiction
from issuer.store.unit import Database, NoEvent, Unit, WrongRevision
from tests.issuer.store.founding import NOW, Founded, found, new_account, new_user, token_values, told


def test_a_change_without_its_event_is_not_committed(database: Database, founded: Founded) -> None:
    with pytest.raises(NoEvent), database.writing() as unit:
        hierarchy.rename_account(unit, founded.account, "Other", now=NOW)
    with database.reading() as unit:
        assert hierarchy.find_account(unit, founded.operator.id, "Other") is None


def test_a_bulk_change_without_its_event_is_not_committed(database: Database) -> None:
    with pytest.raises(NoEvent), database.writing() as unit:
        unit.put(
            schema.keys,
            ("id", "block", "public", "role", "purpose", "stored_at"),
            [(7, 0, "U", "U", "identity", 1)],
        )


def test_an_event_alone_is_committed(database: Database) -> None:
    with database.writing() as unit:
        told(unit, EventCode.ACT_REFUSED)
    with database.reading() as unit:
        assert unit.log_head()[0] == 1


def test_an_exception_takes_change_and_event_back(database: Database, founded: Founded) -> None:
    with pytest.raises(ZeroDivisionError), database.writing() as unit:
        hierarchy.rename_account(unit, founded.account, "Other", now=NOW)
        told(unit)
        raise ZeroDivisionError
    with database.reading() as unit:
        assert hierarchy.find_account(unit, founded.operator.id, "Orders") is not None
        assert unit.log_head()[0] == 1


def test_a_reading_unit_refuses_to_write(database: Database, founded: Founded) -> None:
    with database.reading() as unit, pytest.raises(Defect):
        hierarchy.rename_account(unit, founded.account, "Other", now=NOW)
    with database.reading() as unit, pytest.raises(Defect):
        told(unit)


def test_noting_reaches_bookkeeping_and_nothing_else(database: Database, founded: Founded) -> None:
    with database.noting() as unit:
        outbox.note_server(unit, "NSERVER", "n1", now=NOW)
    with database.reading() as unit:
        assert [server.name for server in outbox.servers(unit)] == ["n1"]
    with database.noting() as unit, pytest.raises(Defect):
        hierarchy.rename_account(unit, founded.account, "Other", now=NOW)
    with database.noting() as unit, pytest.raises(Defect):
        told(unit)


def test_a_unit_is_dead_after_its_end(database: Database, founded: Founded) -> None:
    with database.writing() as unit:
        told(unit)
    with pytest.raises(Defect):
        hierarchy.rename_account(unit, founded.account, "Other", now=NOW)


def test_a_stale_head_is_a_conflict(database: Database, founded: Founded) -> None:
    with database.writing() as unit:
        hierarchy.save_version(unit, "account", founded.account.id, 1, **token_values("second"))
        told(unit)
    with pytest.raises(Conflict), database.writing() as unit:
        hierarchy.save_version(unit, "account", founded.account.id, 1, **token_values("also second"))
        told(unit)


def test_two_writers_on_one_account_lose_no_update(database: Database, founded: Founded) -> None:
    writers, rounds = 4, 15
    failures: list[BaseException] = []

    def extend(unit: Unit, mark: str) -> None:
        account = hierarchy.account_by_id(unit, founded.account.id)
        assert account is not None
        text = hierarchy.head_token(unit, "account", account.id).token
        hierarchy.save_version(unit, "account", account.id, account.head, **token_values(f"{text} {mark}"))
        told(unit)

    def work(writer: int) -> None:
        try:
            for number in range(rounds):
                database.attempt(partial(extend, mark=f"{writer}.{number}"))
        except BaseException as fault:  # noqa: BLE001
            failures.append(fault)

    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with database.reading() as unit:
        account = hierarchy.account_by_id(unit, founded.account.id)
        assert account is not None
        assert account.head == 1 + writers * rounds
        marks = hierarchy.head_token(unit, "account", account.id).token.split()[3:]
        assert sorted(marks) == sorted(f"{w}.{n}" for w in range(writers) for n in range(rounds))
        assert log.verify_chain(unit) is None


def test_writers_that_read_before_are_retried_or_refused(database: Database, founded: Founded) -> None:
    """The version check holds even for those who read outside of their transaction."""
    tries = []

    def save(unit: Unit) -> None:
        tries.append(1)
        hierarchy.save_version(unit, "account", founded.account.id, 0, **token_values("late"))
        told(unit)

    with pytest.raises(Conflict):
        database.attempt(save, tries=3)
    assert len(tries) == 3


def test_readers_keep_their_view_while_others_write(database: Database, founded: Founded) -> None:
    with database.reading() as unit:
        before = hierarchy.find_account(unit, founded.operator.id, "Orders")
        with database.writing() as writer:
            hierarchy.rename_account(writer, founded.account, "Other", now=NOW)
            told(writer)
        assert hierarchy.find_account(unit, founded.operator.id, "Orders") == before


def test_taken_names_and_keys_are_said_to_be_taken(database: Database, founded: Founded) -> None:
    with pytest.raises(AlreadyExists) as caught, database.writing() as unit:
        new_account(unit, founded.operator, "Orders")
        told(unit)
    assert caught.value.at == "name"
    assert caught.value.__cause__ is None


def test_tokens_and_events_cannot_be_changed(database: Database, founded: Founded) -> None:
    for table, column in ((schema.tokens, "token"), (schema.events, "body")):
        with pytest.raises(Contradiction), database.writing() as unit:
            unit.write(update(table).values(**{column: "forged"}))
            told(unit)
        with pytest.raises(Contradiction), database.writing() as unit:
            unit.write(table.delete())
            told(unit)
    with database.reading() as unit:
        assert log.verify_chain(unit) is None


def test_dangling_references_are_refused(database: Database) -> None:
    with pytest.raises(Contradiction), database.writing() as unit:
        hierarchy.add_operator(unit, 4711, "O", "nobody's", now=NOW)  # type: ignore[arg-type]
        told(unit)


def test_database_errors_repeat_no_values(database: Database, founded: Founded) -> None:
    secret = "a-very-telling-value"
    with pytest.raises(AccreditError) as caught, database.writing() as unit:
        unit.put(schema.users, ("id", "name", "account_id"), [(1, secret, 2)])
        told(unit)
    assert secret not in repr(caught.value) + str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_ids_are_not_given_twice_in_one_unit(database: Database) -> None:
    with pytest.raises(NoEvent), database.writing() as unit:
        first = hierarchy.allocate_ids(unit, 3)
        second = hierarchy.allocate_ids(unit, 2)
        assert (list(first), list(second)) == ([1, 2, 3], [4, 5])


def test_opening_needs_a_store(tmp_path: Path) -> None:
    with pytest.raises(NoStore):
        Database.open(str(tmp_path / "nothing.db"))
    assert list(tmp_path.iterdir()) == []


def test_opening_an_empty_database_without_create(database_url: str) -> None:
    with pytest.raises(NoStore):
        Database.open(database_url)


def test_opening_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("this is not a database, and long enough to be read as one " * 20)
    with pytest.raises(Unavailable):
        Database.open(str(path))


def test_opening_a_database_nobody_serves() -> None:
    with pytest.raises(Unavailable) as caught:
        Database.open("postgresql://someone:hunter2@127.0.0.1:1/none")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["", "mysql://x/y", "sqlite://", "sqlite:///:memory:", "://", "ftp://h:p@x"]
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(BadAddress):
        parse_address(address)


def test_addresses_hide_their_password(database: Database) -> None:
    url = parse_address("postgresql://someone:hunter2@host/name")
    assert url.drivername == "postgresql+psycopg"
    assert "hunter2" not in repr(url)
    assert "Database(" in repr(database)


@pytest.mark.parametrize(("revision", "hint"), [("0000", "migrate"), ("9999", "update this program")])
def test_another_version_of_the_store_is_refused(database_url: str, revision: str, hint: str) -> None:
    database = Database.open(database_url, create=True)
    with database._engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")
    database.close()
    with pytest.raises(WrongRevision) as caught:
        Database.open(database_url)
    assert hint in str(caught.value.hint)


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "accredit.db"
    before = os.umask(0)
    try:
        database = Database.open(str(path), create=True)
        found(database)
        modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        database.close()
    finally:
        os.umask(before)
    assert modes == {0o600}


def test_sqlite_is_set_up_to_keep_what_it_committed(sqlite_url: str) -> None:
    database = Database.open(sqlite_url, create=True)
    with database._engine.connect() as connection:
        found_settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    database.close()
    assert found_settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_writer_waits_for_another_program(tmp_path: Path) -> None:
    path = tmp_path / "accredit.db"
    database = Database.open(str(path), create=True)
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")

    def release() -> None:
        time.sleep(0.2)
        other.execute("COMMIT")

    thread = threading.Thread(target=release)
    thread.start()
    found(database)
    thread.join()
    other.close()
    database.close()


def test_several_programs_may_create_one_store(database_url: str) -> None:
    program = (
        "import sys; from issuer.store.unit import Database; Database.open(sys.argv[1], create=True).close()"
    )
    children = [subprocess.Popen([sys.executable, "-c", program, database_url]) for _ in range(3)]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    database = Database.open(database_url)
    found(database)
    database.close()


def test_a_killed_writer_leaves_nothing_half_done(tmp_path: Path) -> None:
    path = tmp_path / "accredit.db"
    database = Database.open(str(path), create=True)
    founded = found(database)
    program = (
        "import os, sys, signal\n"
        "from issuer.store.unit import Database\n"
        "from issuer.store import hierarchy\n"
        "from tests.issuer.store.founding import new_user, told\n"
        "database = Database.open(sys.argv[1])\n"
        "with database.writing() as unit:\n"
        "    account = hierarchy.account_by_id(unit, int(sys.argv[2]))\n"
        "    for number in range(500): new_user(unit, account, f'user {number}')\n"
        "    told(unit)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", program, str(path), str(founded.account.id)], check=False, timeout=60
    )
    assert child.returncode == -9
    with database.writing() as unit:
        assert hierarchy.count_users(unit, founded.account.id) == 0
        assert unit.log_head()[0] == 1
        new_user(unit, founded.account, "after")
        told(unit)
    database.close()


def test_opening_imports_neither_alembic_nor_the_other_driver(sqlite_url: str) -> None:
    Database.open(sqlite_url, create=True).close()
    program = (
        "import sys\n"
        "from issuer.store.unit import Database\n"
        "from issuer.store import bulk, hierarchy, journal, keys, outbox\n"
        "Database.open(sys.argv[1]).close()\n"
        "print([n for n in sys.argv[2:] if n in sys.modules])\n"
    )
    unwanted = ["alembic", "psycopg", "mako", "sqlalchemy.orm", "sqlalchemy.dialects.postgresql"]
    child = subprocess.run(
        [sys.executable, "-c", program, sqlite_url, *unwanted],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert child.stdout.strip() == "[]"


def test_a_stream_does_not_read_ahead_of_the_transaction(database: Database, founded: Founded) -> None:
    with database.writing() as unit:
        for number in range(1200):
            new_user(unit, founded.account, f"user {number:04d}")
        told(unit)
    with database.reading() as unit:
        names = [row.name for row in unit.stream(select(schema.users.c.name).order_by(schema.users.c.id))]
    assert names == [f"user {number:04d}" for number in range(1200)]
