"""Checkpoints of the logs, what witnesses put under them, and the keys that signed them: rows in and out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Select, bindparam, insert, select

from issuer.keys.nkeys import PublicKey
from issuer.store.rows import insert_or
from issuer.store.schema import checkpoints as checkpoints_table
from issuer.store.schema import cosignatures as cosignatures_table
from issuer.store.schema import keys as keys_table
from issuer.store.schema import log_keys as log_keys_table
from issuer.store.unit import Log, Unit


@dataclass(frozen=True, slots=True)
class LogKey:
    """What signs checkpoints; `origin` is what the names of our logs begin with."""

    public: PublicKey
    origin: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """A checkpoint as it was signed: `note` is the whole signed note, without its witnesses."""

    log: Log
    year: int
    size: int
    note: str
    at: int


_COLUMNS: Final = checkpoints_table.c
_TREES: Final = select(_COLUMNS.size, _COLUMNS.note, _COLUMNS.at)
_NEWEST: Final = (
    _TREES.where(_COLUMNS.log == bindparam("log"), _COLUMNS.year == bindparam("year"))
    .order_by(_COLUMNS.size.desc())
    .limit(1)
)
_KEYS: Final = (
    select(keys_table.c.public, log_keys_table.c.origin, log_keys_table.c.created_at)
    .join(keys_table, keys_table.c.id == log_keys_table.c.id)
    .order_by(log_keys_table.c.id.desc())
)


def log_keys(unit: Unit) -> list[LogKey]:
    """The keys that sign or signed checkpoints, the present one first."""
    return [LogKey(PublicKey(row[0]), str(row[1]), int(row[2])) for row in unit.fetch_all(_KEYS)]


def add_log_key(unit: Unit, key_id: int, origin: str, now: int) -> None:
    unit.write(insert(log_keys_table), {"id": key_id, "origin": origin, "created_at": now})


def keep(unit: Unit, sealed: Sealed) -> None:
    """Another process may have signed the same tree a moment ago: one note of it is enough."""
    values = {name: getattr(sealed, name) for name in ("log", "year", "size", "note", "at")}
    statement = insert_or(unit, checkpoints_table).values(values | {"log": sealed.log.value})
    unit.write(statement.on_conflict_do_nothing())


def newest(unit: Unit, log: Log, year: int) -> Sealed | None:
    """The checkpoint of the largest tree."""
    row = unit.fetch_one(_NEWEST, {"log": log.value, "year": year})
    return Sealed(log, year, int(row[0]), str(row[1]), int(row[2])) if row else None


def smallest(unit: Unit, log: Log, year: int, least: int) -> Sealed | None:
    """The checkpoint of the smallest tree that has so many leaves."""
    query = _TREES.where(_COLUMNS.log == log.value, _COLUMNS.year == year, _COLUMNS.size >= least)
    return _sealed(unit, log, year, query.order_by(_COLUMNS.size).limit(1))


def largest(unit: Unit, log: Log, year: int, most: int) -> Sealed | None:
    """The checkpoint of the largest tree that has no more leaves than that."""
    query = _TREES.where(_COLUMNS.log == log.value, _COLUMNS.year == year, _COLUMNS.size <= most)
    return _sealed(unit, log, year, query.order_by(_COLUMNS.size.desc()).limit(1))


def between(unit: Unit, log: Log, year: int, least: int, most: int) -> list[Sealed]:
    """Checkpoints of so many leaves, both ends included, the smallest first."""
    query = _TREES.where(_COLUMNS.log == log.value, _COLUMNS.year == year, _COLUMNS.size.between(least, most))
    rows = unit.fetch_all(query.order_by(_COLUMNS.size))
    return [Sealed(log, year, int(row[0]), str(row[1]), int(row[2])) for row in rows]


def add_cosignature(unit: Unit, sealed: Sealed, witness: str, line: str, now: int) -> None:
    unit.write(
        insert(cosignatures_table),
        {
            "log": sealed.log.value,
            "year": sealed.year,
            "size": sealed.size,
            "witness": witness,
            "line": line,
            "at": now,
        },
    )


def cosignatures(unit: Unit, sealed: Sealed) -> dict[str, str]:
    """The signature lines under a checkpoint, by witness."""
    column = cosignatures_table.c
    query = select(column.witness, column.line).where(
        column.log == sealed.log.value, column.year == sealed.year, column.size == sealed.size
    )
    return {str(row[0]): str(row[1]) for row in unit.fetch_all(query.order_by(column.witness))}


def _sealed(unit: Unit, log: Log, year: int, query: Select[tuple[int, str, int]]) -> Sealed | None:
    row = unit.fetch_one(query)
    return Sealed(log, year, int(row[0]), str(row[1]), int(row[2])) if row else None
