"""Reading the events back. What they mean and how they are chained is `audit.log`'s business."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, select

from issuer.store.unit import EVENTS, Log, Unit


@dataclass(frozen=True, slots=True)
class EventLine:
    """An event as it is stored: `body` is the text that was hashed."""

    seq: int
    at: int
    code: str
    actor: str
    outcome: str
    target: str
    correlation: str
    body: str
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events, both ends included; None is any. None of the columns has an index but `seq`."""

    after_seq: int = 0
    up_to: int | None = None
    code: str | None = None
    target: str | None = None
    actors: Collection[str] | None = None
    correlation: str | None = None
    outcome: str | None = None


EVERYTHING: Final = Filter()


def read_events(
    unit: Unit,
    log: Log = Log.ADMIN,
    wanted: Filter = EVERYTHING,
    *,
    newest_first: bool = False,
    limit: int | None = None,
) -> Iterator[EventLine]:
    """Events in order, streamed. A filter reads past what it leaves out."""
    column = EVENTS[log].c
    query = _filtered(select(*column), log, wanted)
    query = query.order_by(column.seq.desc() if newest_first else column.seq)
    for row in unit.stream(query if limit is None else query.limit(limit)):
        yield EventLine(*row)


def read_bodies(unit: Unit, log: Log, wanted: Filter) -> Iterator[tuple[int, str]]:
    """Numbers and bodies alone, in order: a third of the columns, a third of the time."""
    column = EVENTS[log].c
    for row in unit.stream(_filtered(select(column.seq, column.body), log, wanted).order_by(column.seq)):
        yield row[0], row[1]


def _filtered(query: Select[Any], log: Log, wanted: Filter) -> Select[Any]:
    column = EVENTS[log].c
    query = query.where(column.seq > wanted.after_seq)
    for name in ("code", "target", "correlation", "outcome"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(column[name] == value)
    if wanted.actors is not None:
        query = query.where(column.actor.in_(wanted.actors))
    if wanted.up_to is not None:
        query = query.where(column.seq <= wanted.up_to)
    return query
