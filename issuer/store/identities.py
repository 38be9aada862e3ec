"""Whose logins were decided: identities as they were, and those who were turned away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy import bindparam, select

from issuer.grants import Identity
from issuer.store.schema import identities as identities_table
from issuer.store.schema import turned_away as turned_away_table
from issuer.store.unit import Unit

_AT_ONCE: Final = 500  # of values in one question
_DECODER: Final = msgspec.json.Decoder(Identity)
# Made once: to put it together costs more than to ask it, and every commit of logins does.
_BY_DIGEST: Final = select(identities_table.c.digest, identities_table.c.document).where(
    identities_table.c.operator_id == bindparam("operator"),
    identities_table.c.digest.in_(bindparam("digests", expanding=True)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnedAway:
    """A login that was refused after it was known whose it was; `identity` is a digest."""

    identity: str
    code: str
    address: str
    connection_type: str
    proved_at: int | None
    at: int


def keep_identities(unit: Unit, operator_id: int, identities: Iterable[Identity], now: int) -> None:
    """Remember those that are not there yet; of each only what is true at every login."""
    documents = {identity.digest(): identity for identity in identities}
    there = {digest for digest, _ in _known(unit, operator_id, list(documents))}
    rows = [
        (operator_id, digest, identity.document().decode(), now)
        for digest, identity in documents.items()
        if digest not in there
    ]
    unit.put(identities_table, ("operator_id", "digest", "document", "first_seen"), rows)


def identities_of(unit: Unit, operator_id: int, digests: Iterable[str]) -> dict[str, Identity]:
    """Those that are remembered, by digest."""
    wanted = list(dict.fromkeys(digests))
    return {digest: _DECODER.decode(document) for digest, document in _known(unit, operator_id, wanted)}


def document_names(document: str) -> tuple[str, str]:
    """Subject and name of what is remembered of somebody."""
    identity = _DECODER.decode(document)
    return identity.subject, identity.name


def add_turned_away(unit: Unit, operator_id: int, logins: Sequence[TurnedAway]) -> None:
    columns = ("operator_id", "identity", "code", "address", "connection_type", "proved_at", "at")
    rows = [
        (operator_id, each.identity, each.code, each.address, each.connection_type, each.proved_at, each.at)
        for each in logins
    ]
    unit.put(turned_away_table, columns, rows)


def turned_away_since(unit: Unit, operator_id: int, since: int) -> Iterator[TurnedAway]:
    """Oldest first."""
    columns = turned_away_table.c
    query = select(
        columns.identity,
        columns.code,
        columns.address,
        columns.connection_type,
        columns.proved_at,
        columns.at,
    ).where(columns.operator_id == operator_id, columns.at >= since)
    for identity, code, address, kind, proved_at, at in unit.stream(query.order_by(columns.id)):
        yield TurnedAway(
            identity=identity,
            code=code,
            address=address,
            connection_type=kind,
            proved_at=proved_at,
            at=at,
        )


def _known(unit: Unit, operator_id: int, digests: list[str]) -> Iterator[tuple[str, str]]:
    for start in range(0, len(digests), _AT_ONCE):
        values = {"operator": operator_id, "digests": digests[start : start + _AT_ONCE]}
        yield from ((digest, document) for digest, document in unit.fetch_all(_BY_DIGEST, values))
