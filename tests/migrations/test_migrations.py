"""Every migration goes up, down and up on both engines, and its end is what the tables say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect

from issuer.audit.catalogue import EventCode
from issuer.audit.log import Event, append_many
from issuer.store import indexes, migrating, schema, tiles
from issuer.store.engine import connect_engine, parse_address
from issuer.store.unit import GENESIS, HEAD_REVISION, Database, Log
from tests.issuer.store.founding import NOW, found

SCRIPTS = ScriptDirectory(str(migrating.scripts()))
REVISIONS = [script.revision for script in reversed(list(SCRIPTS.walk_revisions()))]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    made = connect_engine(parse_address(database_url), create=True)
    yield made
    made.dispose()


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


def leftovers(engine: Engine) -> list[str]:
    """What is there besides tables: triggers, functions."""
    queries = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type IN ('trigger', 'view')",
        "postgresql": "SELECT proname FROM pg_proc WHERE starts_with(proname, 'accredit')",
    }
    with engine.connect() as connection:
        return [row[0] for row in connection.exec_driver_sql(queries[engine.dialect.name])]


def test_there_is_one_head_and_the_store_knows_it() -> None:
    assert SCRIPTS.get_heads() == [HEAD_REVISION]
    assert sorted(REVISIONS) == REVISIONS


def test_the_tables_are_what_the_migrations_make(database_url: str, engine: Engine) -> None:
    migrating.upgrade(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
    assert all(index in index.table.indexes for index in indexes.PARTIAL if index.table is not None)


def test_up_down_up(database_url: str, engine: Engine) -> None:
    migrating.upgrade(database_url)
    there = tables(engine)
    triggers = leftovers(engine)
    migrating.downgrade(database_url, "base")
    assert tables(engine) <= {"alembic_version"}
    assert leftovers(engine) == []
    migrating.upgrade(database_url)
    assert tables(engine) == there
    assert leftovers(engine) == triggers
    database = Database.open(database_url)
    found(database)
    database.close()


@pytest.mark.parametrize("revision", REVISIONS)
def test_each_migration_alone(database_url: str, engine: Engine, revision: str) -> None:
    script = SCRIPTS.get_revision(revision)
    assert script is not None
    below = str(script.down_revision or "base")
    migrating.upgrade(database_url, revision)
    there = tables(engine)
    migrating.downgrade(database_url, below)
    migrating.upgrade(database_url, revision)
    assert tables(engine) == there


def test_upgrading_twice_changes_nothing(database_url: str, engine: Engine) -> None:
    migrating.upgrade(database_url)
    database = Database.open(database_url)
    found(database)
    database.close()
    migrating.upgrade(database_url)
    database = Database.open(database_url)
    with database.reading() as unit:
        assert unit.log_head()[0] == 1
    database.close()


def test_events_from_before_the_tree_are_leaves_of_it(database_url: str) -> None:
    database = Database.open(database_url, create=True)
    refusals = [Event(EventCode.ACT_REFUSED, "test", detail={"message": str(each)}) for each in range(600)]
    with database.writing() as unit:
        append_many(unit, refusals, NOW)
    with database.reading() as unit:
        head, full = unit.log_head(), tiles.tile(unit, Log.ADMIN, 2023, 0, 1)
    database.close()
    migrating.downgrade(database_url, "0002")
    migrating.upgrade(database_url)
    database = Database.open(database_url)
    with database.reading() as unit:
        assert unit.log_head() == head
        assert tiles.tile(unit, Log.ADMIN, 2023, 0, 1) == full
        assert tiles.trees(unit, Log.ADMIN) == {2023: 1}
    database.close()


def test_a_new_log_starts_at_its_genesis(database_url: str) -> None:
    database = Database.open(database_url, create=True)
    with database.reading() as unit:
        assert unit.log_head()[:2] == (0, GENESIS)
    database.close()


def test_opening_brings_an_older_store_up_only_when_told(database_url: str) -> None:
    migrating.upgrade(database_url)
    migrating.downgrade(database_url, "base")
    Database.open(database_url, create=True).close()
    Database.open(database_url).close()
