"""Parts of a log in the order of their events, as bodies: for proofs and bundles, which need no columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from sqlalchemy import or_, select

from issuer.keys.nkeys import PublicKey
from issuer.store.schema import events as events_table
from issuer.store.schema import keys as keys_table
from issuer.store.schema import tokens as tokens_table
from issuer.store.unit import EVENTS, Log, Unit

_AT_ONCE: Final = 500


def first_since(unit: Unit, log: Log, at: int) -> int:
    """The sequence number of the first event of a second or later; one past the last if there is none.

    Events are taken to be in the order of their times: where a clock went back, the log's order counts.
    """
    column = EVENTS[log].c
    low, high = 1, unit.log_head(log).seq + 1
    while low < high:
        middle = (low + high) // 2
        row = unit.fetch_one(select(column.at).where(column.seq == middle))
        if row is not None and row[0] < at:
            low = middle + 1
        else:
            high = middle
    return low


def bodies_between(unit: Unit, log: Log, low: int, high: int) -> Iterator[tuple[int, str]]:
    """Sequence numbers and bodies, both ends included."""
    column = EVENTS[log].c
    query = select(column.seq, column.body).where(column.seq.between(low, high)).order_by(column.seq)
    for row in unit.stream(query):
        yield int(row[0]), str(row[1])


def bodies_of(unit: Unit, log: Log, seqs: Iterable[int]) -> Iterator[tuple[int, str]]:
    """The bodies of some events, in their order; `seqs` rises."""
    column = EVENTS[log].c
    numbers = iter(seqs)
    while batch := list(islice(numbers, _AT_ONCE)):
        query = select(column.seq, column.body).where(column.seq.in_(batch)).order_by(column.seq)
        for row in unit.fetch_all(query):
            yield int(row[0]), str(row[1])


def bodies_with(unit: Unit, low: int, high: int, codes: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Events of ours with certain codes (`user.%` for all about users), both ends included."""
    column = events_table.c
    query = select(column.seq, column.body).where(column.seq.between(low, high))
    query = query.where(or_(*(column.code.like(each) for each in codes)))
    for row in unit.stream(query.order_by(column.seq)):
        yield int(row[0]), str(row[1])


def tokens_of(unit: Unit, kind: str) -> Iterator[tuple[PublicKey, str, str]]:
    """Every token of a kind there ever was: whose, its hash, the token."""
    query = select(keys_table.c.public, tokens_table.c.sha256, tokens_table.c.token)
    query = query.join(keys_table, keys_table.c.id == tokens_table.c.key_id)
    for row in unit.stream(query.where(tokens_table.c.kind == kind).order_by(tokens_table.c.id)):
        yield PublicKey(row[0]), str(row[1]), str(row[2])
