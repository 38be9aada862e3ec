"""The keys we hold: sealed into the store, and out of it as signers."""

from __future__ import annotations

from issuer.custody.master import MasterKey, check_master_key, new_record, new_salt
from issuer.custody.sealed import open_seed, rewrap, seal_seed
from issuer.errors import NotFound
from issuer.keys.nkeys import PublicKey, Seed
from issuer.store import keys
from issuer.store.unit import Unit
from issuer.tokens.signer import SeedSigner, Signer


class NoSeed(NotFound):
    """We do not hold the seed of this key."""

    code = "custody.no-key"


class Keyring:
    """Seals and opens seeds with one master key. Signers are kept; the store is asked all the same."""

    def __init__(self, master: MasterKey) -> None:
        self._master = master
        # Per key the sealed form it was opened from: another form, or none, is not the same key.
        self._signers: dict[PublicKey, tuple[bytes, SeedSigner]] = {}

    @property
    def master_key_id(self) -> str:
        return self._master.key_id

    def store(
        self,
        unit: Unit,
        seed: Seed,
        *,
        purpose: str,
        owner_id: int | None,
        now: int,
        id: int | None = None,  # noqa: A002
    ) -> int:
        """Seal a seed into a row of its own; the id of a row that has the public key is kept.

        Raises:
            AlreadyExists: we hold this key already.
        """
        known = keys.find_key(unit, seed.public)
        if known is not None and known.sealed is None:
            sealed = self.sealed(seed, row_id=known.id, purpose=known.purpose)
            keys.give_seed(unit, seed.public, sealed, purpose=known.purpose)
            return known.id
        row_id = unit.allocate_ids(1)[0] if id is None else id
        sealed = self.sealed(seed, row_id=row_id, purpose=purpose)
        keys.insert_key(unit, row_id, seed.public, seed.role.letter, purpose, owner_id, sealed, now)
        return row_id

    def sealed(self, seed: Seed, *, row_id: int, purpose: str) -> bytes:
        """A seed sealed for a row that is still to be written."""
        return seal_seed(self._master, seed, row_id=row_id, kind=purpose)

    def has(self, unit: Unit, public: PublicKey) -> bool:
        return keys.has_seed(unit, public)

    def seed(self, unit: Unit, public: PublicKey) -> Seed:
        """The seed itself, for creds and keystores; everything else takes a signer.

        Raises:
            NoSeed: we do not hold it.
            SealBroken: it does not open.
        """
        row_id, purpose, blob = self._sealed_row(unit, public)
        return open_seed(self._master, blob, row_id=row_id, kind=purpose, public=public)

    def signer(self, unit: Unit, public: PublicKey) -> Signer:
        """Something that signs as this key.

        Raises:
            NoSeed: we do not hold it.
            SealBroken: it does not open.
        """
        row_id, purpose, blob = self._sealed_row(unit, public)
        kept = self._signers.get(public)
        if kept is not None and kept[0] == blob:
            return kept[1]
        signer = SeedSigner(open_seed(self._master, blob, row_id=row_id, kind=purpose, public=public))
        self._signers[public] = (blob, signer)
        return signer

    def forget(self, unit: Unit, public: PublicKey) -> bool:
        """Drop a seed from the store; whether there was one."""
        self._signers.pop(public, None)
        if not keys.has_seed(unit, public):
            return False
        keys.forget_seed(unit, public)
        return True

    def rewrap_all(self, unit: Unit, new: MasterKey, *, now: int) -> int:
        """Put every sealed seed under another master key; how many there were.

        This keyring keeps the old key: once the unit is committed, make one with the new.
        """
        count = 0
        for row in keys.all_keys(unit):
            if row.sealed is not None:
                blob = rewrap(
                    self._master, new, row.sealed, row_id=row.id, kind=row.purpose, public=row.public
                )
                keys.give_seed(unit, row.public, blob, purpose=row.purpose)
                count += 1
        record = keys.custody_record(unit)
        keys.save_custody_record(unit, new_record(new, record.salt if record else new_salt(), now))
        return count

    def _sealed_row(self, unit: Unit, public: PublicKey) -> tuple[int, str, bytes]:
        found = keys.sealed_seed(unit, public)
        if found is None:
            raise NoSeed(
                f"the seed of {public} is not stored here",
                hint="import it: accredit import keys, or sign where it is kept",
            )
        return found

    def __repr__(self) -> str:
        return f"Keyring({self._master.key_id})"


def open_keyring(unit: Unit, master: MasterKey, *, now: int, salt: bytes | None = None) -> Keyring:
    """A keyring for this store; the first one leaves the check value later ones are held against.

    The unit may be one for noting: a check value gives nobody any right.

    Raises:
        WrongMasterKey: the store was sealed with another.
    """
    record = keys.custody_record(unit)
    if record is None:
        keys.save_custody_record(unit, new_record(master, salt or new_salt(), now))
    else:
        check_master_key(master, record)
    return Keyring(master)
