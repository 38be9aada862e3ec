"""Parts of a log in the order of their events, as bodies: for proofs and bundles, which need no columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from sqlalchemy import or_, select

from issuer.errors import Defect
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


def tokens_of(unit: Unit, wanted: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The tokens of these keys with these hashes, in that order.

    Raises:
        Defect: one of them was never signed here.
    """
    pairs = iter(wanted)
    blocks = unit.key_blocks()
    query = select(tokens_table.c.sha256, tokens_table.c.token)
    query = query.join(keys_table, keys_table.c.id == tokens_table.c.key_id)
    while batch := list(islice(pairs, _AT_ONCE)):
        publics, hashes = zip(*batch, strict=True)
        known = (keys_table.c.block.in_(blocks), keys_table.c.public.in_(publics))
        rows = unit.fetch_all(query.where(*known, tokens_table.c.sha256.in_(hashes)))
        found = {str(row[0]): str(row[1]) for row in rows}
        for public, sha256 in batch:
            if sha256 not in found:
                raise Defect(f"the token of {public} that an event tells of is not in the store")
            yield found[sha256]
