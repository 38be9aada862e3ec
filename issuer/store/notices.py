"""What was told from outside and counts once, how far something was followed, and what is still to be done.

All of it is bookkeeping. Errands and stamps are rows of `cursors` like any other, told apart by how their
names begin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, func, insert, select, update

from issuer.store.schema import cursors as cursors_table
from issuer.store.schema import notices as notices_table
from issuer.store.unit import Unit

NOTICES_KEPT: Final = 7 * 86_400
"""Seconds. Of a proof that is good once it has to outlast the proof; others are told again for minutes."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far something has been followed, and when that was written (unix seconds)."""

    name: str
    value: str
    at: int


def note_once(unit: Unit, source: str, notice: str, now: int) -> bool:
    """Whether this notice of a source is new; from now on it is not."""
    if is_noted(unit, source, notice):
        return False
    # Writers come one at a time, so nobody else can have written it meanwhile.
    unit.write(insert(notices_table).values(source=source, notice_id=notice, at=now))
    return True


def is_noted(unit: Unit, source: str, notice: str) -> bool:
    columns = notices_table.c
    query = select(columns.at).where(columns.source == source, columns.notice_id == notice)
    return unit.fetch_one(query) is not None


def forget_notices(unit: Unit, now: int) -> int:
    """Forget those that have been kept for as long as they have to be; how many."""
    gone = delete(notices_table).where(notices_table.c.at < now - NOTICES_KEPT)
    return max(unit.write(gone).rowcount, 0)


def cursor(unit: Unit, name: str) -> Cursor | None:
    columns = cursors_table.c
    row = unit.fetch_one(select(columns.name, columns.value, columns.at).where(columns.name == name))
    return Cursor(*row) if row is not None else None


def keep_cursor(unit: Unit, name: str, value: str, now: int) -> None:
    statement = update(cursors_table).where(cursors_table.c.name == name).values(value=value, at=now)
    if not unit.write(statement).rowcount:
        unit.write(insert(cursors_table).values(name=name, value=value, at=now))


def take_turn(unit: Unit, name: str, *, every: int, now: int) -> Cursor | None:
    """The cursor, for whoever comes first of several that follow the same; None: another one has this turn.

    A turn lasts `every` seconds. Whoever took it and stopped in the middle moved nothing: what was not read
    to its end is read again in a later turn.
    """
    found = cursor(unit, name)
    if found is None:
        unit.write(insert(cursors_table).values(name=name, value="", at=now))
        return Cursor(name, "", now)
    # A clock that was set back must not stop everybody.
    if found.at <= now < found.at + every:
        return None
    taken = (
        update(cursors_table)
        .where(cursors_table.c.name == name, cursors_table.c.at == found.at)
        .values(at=now)
    )
    return found if unit.write(taken).rowcount else None


def cursors_named(unit: Unit, beginning: str, *, until: int, limit: int = 1000) -> Sequence[Cursor]:
    """Those whose names begin so and whose time has come, oldest first."""
    columns = cursors_table.c
    query = (
        select(columns.name, columns.value, columns.at)
        .where(columns.name.startswith(beginning, autoescape=True), columns.at <= until)
        .order_by(columns.at, columns.name)
        .limit(limit)
    )
    return [Cursor(*row) for row in unit.fetch_all(query)]


def count_cursors(unit: Unit, beginning: str) -> int:
    """How many there are whose names begin so, whenever their time comes."""
    columns = cursors_table.c
    query = select(func.count()).where(columns.name.startswith(beginning, autoescape=True))
    row = unit.fetch_one(query)
    return int(row[0]) if row is not None else 0


def put_off(unit: Unit, found: Cursor, *, until: int, value: str | None = None) -> bool:
    """Leave it until then, with another value if one is given; False if somebody else was faster."""
    statement = update(cursors_table).where(
        cursors_table.c.name == found.name, cursors_table.c.at == found.at
    )
    values: dict[str, object] = {"at": until} if value is None else {"at": until, "value": value}
    return bool(unit.write(statement.values(**values)).rowcount)


def drop_cursor(unit: Unit, name: str) -> bool:
    return bool(unit.write(delete(cursors_table).where(cursors_table.c.name == name)).rowcount)


def forget_cursors(unit: Unit, beginning: str, *, before: int) -> int:
    """Forget those whose names begin so and that were written before then; how many."""
    columns = cursors_table.c
    statement = delete(cursors_table).where(
        columns.name.startswith(beginning, autoescape=True), columns.at < before
    )
    return max(unit.write(statement).rowcount, 0)
