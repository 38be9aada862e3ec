"""Every key we know: public always, sealed when we hold the seed. Seeds are opened in `custody`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import ColumnElement, and_, insert, select, update

from issuer.errors import AlreadyExists, NotFound
from issuer.keys.nkeys import PublicKey
from issuer.store.schema import block_of
from issuer.store.schema import custody as custody_table
from issuer.store.schema import keys as keys_table
from issuer.store.unit import Unit


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key. `role` is the letter of its kind, `owner_id` whose signing or curve key it is."""

    id: int
    public: PublicKey
    role: str
    purpose: str
    owner_id: int | None
    sealed: bytes | None = field(repr=False)
    stored_at: int
    retired_at: int | None


@dataclass(frozen=True, slots=True)
class CustodyRecord:
    """What tells a fitting master key: the salt for passphrases and a check value."""

    salt: bytes
    verifier: bytes
    created_at: int


# Everything but the block, which is the index's business.
_KEY: Final = select(
    keys_table.c.id,
    keys_table.c.public,
    keys_table.c.role,
    keys_table.c.purpose,
    keys_table.c.owner_id,
    keys_table.c.sealed,
    keys_table.c.stored_at,
    keys_table.c.retired_at,
)


def key_is(unit: Unit, public: str) -> ColumnElement[bool]:
    """The condition that finds a public key by its index."""
    return and_(keys_table.c.block.in_(unit.key_blocks()), keys_table.c.public == public)


def insert_key(
    unit: Unit,
    id: int,  # noqa: A002
    public: str,
    role: str,
    purpose: str,
    owner_id: int | None,
    sealed: bytes | None,
    now: int,
) -> None:
    """Note a key.

    Raises:
        AlreadyExists: the key is known.
    """
    if find_key(unit, public) is not None:
        raise AlreadyExists(f"key {public} is in use already", at="public key")
    unit.write(
        insert(keys_table),
        {
            "id": id,
            "block": block_of(id),
            "public": public,
            "role": role,
            "purpose": purpose,
            "owner_id": owner_id,
            "sealed": sealed,
            "stored_at": now,
        },
    )


def find_key(unit: Unit, public: str) -> KeyRow | None:
    row = unit.fetch_one(_KEY.where(key_is(unit, public)))
    return KeyRow(*row) if row else None


def sealed_seed(unit: Unit, public: str) -> tuple[int, str, bytes] | None:
    """Id, purpose and sealed seed of a key, or None when we hold no seed for it."""
    row = unit.fetch_one(
        select(keys_table.c.id, keys_table.c.purpose, keys_table.c.sealed).where(
            key_is(unit, public), keys_table.c.sealed.is_not(None)
        )
    )
    return (int(row[0]), str(row[1]), bytes(row[2])) if row else None


def has_seed(unit: Unit, public: str) -> bool:
    condition = key_is(unit, public) & keys_table.c.sealed.is_not(None)
    return unit.fetch_one(select(keys_table.c.id).where(condition)) is not None


def keys_of(unit: Unit, owner_id: int) -> list[KeyRow]:
    """The signing and curve keys of an operator or account."""
    query = _KEY.where(keys_table.c.owner_id == owner_id).order_by(keys_table.c.id)
    return [KeyRow(*row) for row in unit.fetch_all(query)]


def all_keys(unit: Unit) -> Iterator[KeyRow]:
    """Every key there is; a page at a time, so that a caller may write in between."""
    last = 0
    while rows := unit.fetch_all(_KEY.where(keys_table.c.id > last).order_by(keys_table.c.id).limit(500)):
        for row in rows:
            yield KeyRow(*row)
        last = rows[-1].id


def give_seed(unit: Unit, public: str, sealed: bytes, *, purpose: str) -> None:
    """Add the sealed seed to a key so far known by its public half, or seal it anew."""
    _change(unit, public, sealed=sealed, purpose=purpose)


def forget_seed(unit: Unit, public: str) -> None:
    """Drop the seed; the key stays known."""
    _change(unit, public, sealed=None)


def retire_key(unit: Unit, public: str, now: int) -> None:
    """No longer in use; what it signed still verifies."""
    _change(unit, public, retired_at=now)


def custody_record(unit: Unit) -> CustodyRecord | None:
    row = unit.fetch_one(select(custody_table.c.salt, custody_table.c.verifier, custody_table.c.created_at))
    return CustodyRecord(bytes(row[0]), bytes(row[1]), int(row[2])) if row else None


def save_custody_record(unit: Unit, record: CustodyRecord) -> None:
    """Write or replace the check value of the master key."""
    values = {"salt": record.salt, "verifier": record.verifier, "created_at": record.created_at}
    if custody_record(unit) is None:
        unit.write(insert(custody_table), {"id": 1, **values})
    else:
        unit.write(update(custody_table).values(**values))


def _change(unit: Unit, public: str, **values: object) -> None:
    if unit.write(update(keys_table).where(key_is(unit, public)).values(**values)).rowcount != 1:
        raise NotFound(f"no key {public} is known here")
