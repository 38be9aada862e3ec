"""Many rows at once, past SQLAlchemy: one prepared statement on SQLite, COPY on PostgreSQL.

Building a statement object for every row costs more than signing the token it holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Table

from issuer.store.faults import translate

Row = Sequence[Any]


class HasDialect(Protocol):
    """A unit of work, as far as it matters here."""

    @property
    def is_sqlite(self) -> bool: ...


# Below this COPY's extra round trip costs more than it saves.
_WORTH_COPYING: Final = 8
_PIECE: Final = 200
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def put_rows(connection: Connection, table: str, columns: tuple[str, ...], rows: Sequence[Row]) -> None:
    """Insert rows, in their order, in the transaction under way."""
    cursor: Any = connection.connection.cursor()
    sqlite = connection.dialect.name == "sqlite"
    try:
        if sqlite or len(rows) < _WORTH_COPYING:
            cursor.executemany(_insert(table, columns, "?" if sqlite else "%s"), rows)
        else:
            with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
                # In pieces, so that the server is at work on one while the next is put into words.
                for start in range(0, len(rows), _PIECE):
                    copy.write(copy_text(rows[start : start + _PIECE]))
    except Exception as fault:  # noqa: BLE001  (two drivers, whose errors are not ours to import)
        raise translate(fault) from None
    finally:
        cursor.close()


def insert_or(unit: HasDialect, table: Table) -> Any:
    """An insert that can become an update, or nothing, which each engine's dialect has for itself."""
    if unit.is_sqlite:
        from sqlalchemy.dialects.sqlite import insert

        return insert(table)
    from sqlalchemy.dialects.postgresql import insert as insert_postgresql

    return insert_postgresql(table)


def copy_text(rows: Iterable[Row]) -> str:
    r"""PostgreSQL's text format: tab between values, backslash escapes, \N for none."""
    lines = ["\t".join([_copy_value(value) for value in row]) for row in rows]
    lines.append("")
    return "\n".join(lines)


def _copy_value(value: Any) -> str:
    if type(value) is str:
        if "\\" in value or "\t" in value or "\n" in value or "\r" in value:
            return value.translate(_ESCAPES)
        return value
    if value is None:
        return "\\N"
    if type(value) is bytes:
        return "\\\\x" + value.hex()
    return str(value)


@lru_cache(maxsize=32)
def _insert(table: str, columns: tuple[str, ...], mark: str) -> str:
    marks = ", ".join([mark] * len(columns))
    # Names of our own tables and columns, never anybody's input.
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608
