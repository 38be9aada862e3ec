"""People apart from events: what an event says of somebody is a commitment, and its opening is a row here.

A commitment is `~` and the SHA-256 of a random salt and the value, 43 characters of base64url. A value
has one as long as its row is there; once that is taken away nobody can tell what the commitment was of,
and the next event about the same person begins anew.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from sqlalchemy import delete, select

from issuer.store.rows import insert_or
from issuer.store.schema import persons as persons_table
from issuer.store.unit import Unit

MARK: Final = "~"
_LENGTH: Final = 44
_SALT: Final = 16
# Parameters of one statement; both engines take many more.
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Opening:
    """What a commitment is of."""

    commitment: str
    salt: bytes = field(repr=False)
    value: str = field(repr=False)


def commitment(salt: bytes, value: str) -> str:
    digest = sha256(salt + value.encode("utf-8", "surrogatepass")).digest()
    return MARK + urlsafe_b64encode(digest).decode().rstrip("=")


def is_commitment(text: str) -> bool:
    return text.startswith(MARK) and len(text) == _LENGTH


def commit(unit: Unit, values: Collection[str], now: int) -> dict[str, str]:
    """The commitment of each value, made where there is none. In the caller's transaction."""
    known = unit.pseudonyms
    found = {value: known[value] for value in values if value in known}
    # In one order, so that two writers do not wait for each other.
    missing = sorted(set(values) - found.keys())
    for start in range(0, len(missing), _AT_ONCE):
        found |= _commit(unit, missing[start : start + _AT_ONCE], now)
    return found


def known_as(unit: Unit, value: str) -> str | None:
    """The commitment that stands for a value, if there is one."""
    query = select(persons_table.c.commitment).where(persons_table.c.digest == _digest(value))
    row = unit.fetch_one(query)
    return str(row[0]) if row else None


def openings(unit: Unit, commitments: Iterable[str]) -> dict[str, Opening]:
    """What these are of; those that were erased are left out."""
    found: dict[str, Opening] = {}
    wanted = sorted(set(commitments))
    for start in range(0, len(wanted), _AT_ONCE):
        query = select(persons_table.c.commitment, persons_table.c.salt, persons_table.c.value)
        query = query.where(persons_table.c.commitment.in_(wanted[start : start + _AT_ONCE]))
        for row in unit.fetch_all(query):
            found[row[0]] = Opening(str(row[0]), bytes(row[1]), str(row[2]))
    return found


def erase(unit: Unit, value: str) -> str | None:
    """Forget a value; the commitment that stood for it."""
    stood = known_as(unit, value)
    if stood is not None:
        unit.write(delete(persons_table).where(persons_table.c.commitment == stood))
        unit.count_erasure()
    return stood


def _commit(unit: Unit, values: list[str], now: int) -> dict[str, str]:
    digests = {_digest(value): value for value in values}
    rows = []
    for digest, value in digests.items():
        salt = secrets.token_bytes(_SALT)
        rows.append(
            {
                "commitment": commitment(salt, value),
                "salt": salt,
                "value": value,
                "digest": digest,
                "created_at": now,
            }
        )
    there = _known(unit, digests)
    new = [row for row in rows if row["digest"] not in there]
    if new:
        # The other log's writer may have been faster with the same name.
        unit.write(insert_or(unit, persons_table).on_conflict_do_nothing(index_elements=["digest"]), new)
        there = _known(unit, digests)
    found = {digests[digest]: stands for digest, stands in there.items()}
    unit.pseudonyms.update(found)
    return found


def _known(unit: Unit, digests: Collection[str]) -> dict[str, str]:
    query = select(persons_table.c.digest, persons_table.c.commitment)
    query = query.where(persons_table.c.digest.in_(list(digests)))
    return {str(row[0]): str(row[1]) for row in unit.fetch_all(query)}


def _digest(value: str) -> str:
    return sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
