"""Taking a person out of what the callout remembers; the log has only commitments of them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, delete, func, or_, select, update

from issuer.store.identities import document_names
from issuer.store.schema import identities as identities_table
from issuer.store.schema import sessions as sessions_table
from issuer.store.schema import turned_away as turned_away_table
from issuer.store.unit import Unit

_SESSIONS: Final = sessions_table.c
_GONE: Final = {"identity": "", "subject": "", "name": "", "address": ""}


def is_connected(unit: Unit, value: str) -> bool:
    """Whether somebody of this subject, name or address has a session that is not over."""
    query = select(func.count()).select_from(sessions_table)
    row = unit.fetch_one(query.where(_SESSIONS.ended_at.is_(None), _is(value)))
    return bool(row and row[0])


def forget_person(unit: Unit, value: str) -> int:
    """Take what is remembered of a subject, name or address away; how many rows said it."""
    digests = [
        row[0]
        for row in unit.stream(select(identities_table.c.digest, identities_table.c.document))
        if value in document_names(row[1])
    ]
    count = unit.write(
        update(sessions_table).where(_SESSIONS.ended_at.is_not(None), _is(value)).values(**_GONE)
    ).rowcount
    column = turned_away_table.c
    for digest in digests:
        unit.write(update(turned_away_table).where(column.identity == digest).values(identity=""))
        unit.write(delete(identities_table).where(identities_table.c.digest == digest))
    count += unit.write(update(turned_away_table).where(column.address == value).values(address="")).rowcount
    return int(count) + len(digests)


def _is(value: str) -> ColumnElement[bool]:
    return or_(_SESSIONS.subject == value, _SESSIONS.name == value, _SESSIONS.address == value)
