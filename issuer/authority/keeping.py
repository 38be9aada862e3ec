"""Taking keys into custody as part of an act."""

from __future__ import annotations

from typing import Final

from issuer.audit.catalogue import EventCode
from issuer.authority.desk import Turn
from issuer.errors import AlreadyExists
from issuer.keys.nkeys import PublicKey, Seed
from issuer.store import hierarchy, keys

# In place of a key: one is to be made.
GENERATE: Final = "generate"


def keep_identity(turn: Turn, key: Seed | PublicKey) -> int:
    """Give an entity its row: with the seed when we hold it, else for its public key alone."""
    public = key.public if isinstance(key, Seed) else key
    if keys.find_key(turn.unit, public) is not None:
        raise AlreadyExists(f"key {public} is in use already", at="public key")
    if isinstance(key, Seed):
        return turn.keyring.store(turn.unit, key, purpose="identity", owner_id=None, now=turn.now)
    row_id = hierarchy.allocate_ids(turn.unit, 1)[0]
    keys.insert_key(
        turn.unit,
        id=row_id,
        public=public,
        role=public[0],
        purpose="identity",
        owner_id=None,
        sealed=None,
        now=turn.now,
    )
    return row_id


def keep_signing_key(turn: Turn, seed: Seed, *, owner_id: int, purpose: str = "signing") -> PublicKey:
    """Seal a signing or curve key that belongs to an operator or account."""
    turn.keyring.store(turn.unit, seed, purpose=purpose, owner_id=owner_id, now=turn.now)
    turn.record(EventCode.KEY_ADDED, seed.public, detail={"purpose": purpose})
    return seed.public
