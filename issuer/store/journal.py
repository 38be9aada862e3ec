"""Reading the events back. What they mean and how they are chained is `audit.log`'s business."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select

from issuer.store.schema import events as events_table
from issuer.store.unit import Unit


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


def read_events(
    unit: Unit,
    *,
    after_seq: int = 0,
    code: str | None = None,
    target: str | None = None,
    actor: str | None = None,
    correlation: str | None = None,
    newest_first: bool = False,
    limit: int | None = None,
) -> Iterator[EventLine]:
    """Events in order, streamed. A filter reads past what it leaves out: none has an index."""
    column = events_table.c
    query = select(*column).where(column.seq > after_seq)
    for name, value in (("code", code), ("target", target), ("actor", actor), ("correlation", correlation)):
        if value is not None:
            query = query.where(column[name] == value)
    query = query.order_by(column.seq.desc() if newest_first else column.seq)
    for row in unit.stream(query if limit is None else query.limit(limit)):
        yield EventLine(*row)
