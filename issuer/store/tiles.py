"""Trees over the logs and their full tiles, written once. What they mean is `audit.tiles`' business."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, and_, bindparam, insert, select

from issuer.store.schema import tiles as tiles_table
from issuer.store.schema import trees as trees_table
from issuer.store.unit import EVENTS, Log, Unit

_TREES: Final = select(trees_table.c.year, trees_table.c.first).where(trees_table.c.log == bindparam("log"))


def plant(unit: Unit, year: int, first: int) -> None:
    """A new year's tree for the unit's log; `first` is the sequence number of its leaf 0."""
    unit.write(insert(trees_table), {"log": unit.log.value, "year": year, "first": first})


def trees(unit: Unit, log: Log) -> dict[int, int]:
    """Sequence number of leaf 0 by year, oldest first."""
    rows = unit.fetch_all(_TREES.order_by(trees_table.c.year), {"log": log.value})
    return {int(row[0]): int(row[1]) for row in rows}


def keep_tiles(unit: Unit, year: int, level: int, number: int, full: Sequence[tuple[bytes, bytes]]) -> None:
    """Tiles of one level from `number` on: their hashes, and the root over them."""
    log = unit.log.value
    rows = [(log, year, level, number + at, hashes, root) for at, (hashes, root) in enumerate(full)]
    unit.put(tiles_table, ("log", "year", "level", "number", "hashes", "root"), rows)


def tile(unit: Unit, log: Log, year: int, level: int, number: int) -> bytes | None:
    """The hashes of a full tile."""
    row = unit.fetch_one(
        select(tiles_table.c.hashes).where(_of(log, year, level), tiles_table.c.number == number)
    )
    return bytes(row[0]) if row else None


def tile_roots(unit: Unit, log: Log, year: int, level: int, begin: int, end: int) -> list[bytes]:
    """The roots of some full tiles of a level."""
    query = select(tiles_table.c.root).where(
        _of(log, year, level), tiles_table.c.number >= begin, tiles_table.c.number < end
    )
    return [bytes(row[0]) for row in unit.fetch_all(query.order_by(tiles_table.c.number))]


def bodies(unit: Unit, log: Log, first_seq: int, last_seq: int) -> list[str]:
    """The bodies of some events, in order."""
    column = EVENTS[log].c
    query = select(column.body).where(column.seq.between(first_seq, last_seq)).order_by(column.seq)
    return [str(row[0]) for row in unit.fetch_all(query)]


def _of(log: Log, year: int, level: int) -> ColumnElement[bool]:
    column = tiles_table.c
    return and_(column.log == log.value, column.year == year, column.level == level)
