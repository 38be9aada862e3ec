"""Reading the events back. What they mean and how they are chained is `audit.log`'s business."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlalchemy import select

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


def read_events(
    unit: Unit,
    log: Log = Log.ADMIN,
    *,
    after_seq: int = 0,
    code: str | None = None,
    target: str | None = None,
    actors: Collection[str] | None = None,
    correlation: str | None = None,
    newest_first: bool = False,
    limit: int | None = None,
) -> Iterator[EventLine]:
    """Events in order, streamed. A filter reads past what it leaves out: none has an index."""
    column = EVENTS[log].c
    query = select(*column).where(column.seq > after_seq)
    for name, value in (("code", code), ("target", target), ("correlation", correlation)):
        if value is not None:
            query = query.where(column[name] == value)
    if actors is not None:
        query = query.where(column.actor.in_(actors))
    query = query.order_by(column.seq.desc() if newest_first else column.seq)
    for row in unit.stream(query if limit is None else query.limit(limit)):
        yield EventLine(*row)
