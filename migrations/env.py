"""How migrations run: one transaction on SQLite; on PostgreSQL one each, under an advisory lock.

A migration is written as if the version before it were still running, because it is.
"""

from __future__ import annotations

from typing import Final

from alembic import context
from sqlalchemy import Connection

from issuer.store import indexes  # noqa: F401  (the tables do not name their partial indexes)
from issuer.store.engine import connect_engine, parse_address
from issuer.store.schema import metadata

# Any number will do, as long as it never changes: "accredit" in ASCII.
_LOCK: Final = 0x6163637265646974
# A migration gives way to running acts rather than stopping them all behind it.
_LOCK_TIMEOUT: Final = "5s"
_STATEMENT_TIMEOUT: Final = "15min"


def run(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        _run_sqlite(connection)
    else:
        _run_postgresql(connection)


def _run_sqlite(connection: Connection) -> None:
    # Batch mode copies tables: references are checked at the end instead of on the way.
    driver = connection.connection.dbapi_connection
    if driver is None:
        raise RuntimeError("no connection to migrate over")
    cursor = driver.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA foreign_keys=OFF")
    connection = connection.execution_options(accredit_write=True)
    try:
        with connection.begin():
            context.configure(
                connection=connection,
                target_metadata=metadata,
                render_as_batch=True,
                transactional_ddl=True,
            )
            context.run_migrations()
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
            if broken is not None:
                raise RuntimeError(f"the migration leaves a dangling reference in {broken[0]}")
    finally:
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()


def _run_postgresql(connection: Connection) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_lock({_LOCK})")
    connection.exec_driver_sql(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
    connection.exec_driver_sql(f"SET statement_timeout = '{_STATEMENT_TIMEOUT}'")
    connection.commit()
    try:
        context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.rollback()
        connection.exec_driver_sql(f"SELECT pg_advisory_unlock({_LOCK})")
        connection.commit()


def main() -> None:
    if context.is_offline_mode():
        context.configure(dialect_name="postgresql", target_metadata=metadata, literal_binds=True)
        with context.begin_transaction():
            context.run_migrations()
        return
    given = context.config.attributes.get("connection")
    if given is not None:
        run(given)
        return
    # Called by hand: alembic -x database=ADDRESS ...
    address = context.get_x_argument(as_dictionary=True)["database"]
    engine = connect_engine(parse_address(address), create=True)
    with engine.connect() as connection:
        run(connection)
    engine.dispose()


main()
