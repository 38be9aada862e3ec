"""Keys in and out of the store, and no seed anywhere but in our hands."""

# ruff: noqa: PT012  (a unit of work is several statements, and fails at its end)

from __future__ import annotations

import base64
import logging
import pickle
import traceback
from pathlib import Path

import pytest
from sqlalchemy import text

from issuer.audit.catalogue import EventCode
from issuer.audit.log import Event, append, append_many, read
from issuer.custody.keyring import Keyring, NoSeed, open_keyring
from issuer.custody.master import MasterKey, WrongMasterKey
from issuer.custody.sealed import SealBroken
from issuer.errors import AlreadyExists
from issuer.keys.nkeys import PublicKey, Role, Seed, verify
from issuer.store import bulk, hierarchy, keys, schema
from issuer.store.unit import Database
from tests.issuer.store.founding import NOW, Founded, new_key, public_key, told


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(MasterKey.generate())


def keep(database: Database, keyring: Keyring, seed: Seed, **more: int) -> int:
    with database.writing() as unit:
        row_id = keyring.store(unit, seed, purpose="signing", owner_id=None, now=NOW, **more)
        told(unit, EventCode.KEY_ADDED)
    return row_id


def test_a_kept_key_signs(database: Database, keyring: Keyring) -> None:
    seed = Seed.generate(Role.ACCOUNT)
    keep(database, keyring, seed)
    with database.reading() as unit:
        signer = keyring.signer(unit, seed.public)
        assert signer.public == seed.public
        assert verify(seed.public, b"words", signer.sign(b"words"))
        assert keyring.signer(unit, seed.public) is signer
        assert keyring.seed(unit, seed.public) == seed
        assert keyring.has(unit, seed.public)


def test_a_key_we_do_not_hold(database: Database, founded: Founded, keyring: Keyring) -> None:
    for public in (founded.account.public, public_key(Role.USER)):
        with database.reading() as unit:
            assert not keyring.has(unit, public)
            with pytest.raises(NoSeed) as caught:
                keyring.signer(unit, public)
            assert caught.value.hint


def test_a_seed_joins_its_public_key(database: Database, keyring: Keyring) -> None:
    seed = Seed.generate(Role.ACCOUNT)
    with database.writing() as unit:
        row_id = hierarchy.allocate_ids(unit, 1)[0]
        keys.insert_key(unit, row_id, seed.public, "A", "identity", None, None, NOW)
        told(unit)
    assert keep(database, keyring, seed) == row_id
    with database.reading() as unit:
        assert keyring.seed(unit, seed.public) == seed
    with pytest.raises(AlreadyExists):
        keep(database, keyring, seed)


def test_a_given_id_is_used(database: Database, keyring: Keyring) -> None:
    assert keep(database, keyring, Seed.generate(Role.USER), id=77) == 77


def test_a_forgotten_seed_signs_no_more(database: Database, keyring: Keyring) -> None:
    seed = Seed.generate(Role.ACCOUNT)
    keep(database, keyring, seed)
    with database.reading() as unit:
        keyring.signer(unit, seed.public)
    # Another process forgets it: what this one has kept must not count either.
    with database.writing() as unit:
        assert Keyring(MasterKey.generate()).forget(unit, seed.public)
        assert not keyring.forget(unit, seed.public)
        told(unit, EventCode.KEY_REMOVED)
    with database.reading() as unit, pytest.raises(NoSeed):
        keyring.signer(unit, seed.public)


def test_a_seal_copied_into_another_row_does_not_sign(database: Database, keyring: Keyring) -> None:
    mine, theirs = Seed.generate(Role.ACCOUNT), Seed.generate(Role.ACCOUNT)
    keep(database, keyring, mine)
    keep(database, keyring, theirs)
    with database.writing() as unit:
        found = keys.sealed_seed(unit, mine.public)
        assert found is not None
        keys.give_seed(unit, theirs.public, found[2], purpose="signing")
        told(unit)
    with database.reading() as unit, pytest.raises(SealBroken):
        keyring.signer(unit, theirs.public)


def test_the_first_master_key_is_the_one(database: Database) -> None:
    key = MasterKey.generate()
    with database.noting() as unit:
        open_keyring(unit, key, now=NOW)
    with database.reading() as unit:
        assert open_keyring(unit, key, now=NOW).master_key_id == key.key_id
        with pytest.raises(WrongMasterKey):
            open_keyring(unit, MasterKey.generate(), now=NOW)


def test_changing_the_master_key(database: Database, founded: Founded) -> None:
    old, new = MasterKey.generate(), MasterKey.generate()
    seeds = [Seed.generate(Role.USER) for _ in range(5)]
    with database.noting() as unit:
        before = open_keyring(unit, old, now=NOW)
    for seed in seeds:
        keep(database, before, seed)
    with database.writing() as unit:
        assert before.rewrap_all(unit, new, now=NOW) == 5
        told(unit, EventCode.CUSTODY_REWRAPPED)
    with database.reading() as unit:
        after = open_keyring(unit, new, now=NOW)
        assert [after.seed(unit, seed.public) for seed in seeds] == seeds
        with pytest.raises(WrongMasterKey):
            open_keyring(unit, old, now=NOW)
        with pytest.raises(SealBroken):
            before.signer(unit, seeds[0].public)


def spellings(seed: Seed, master: MasterKey) -> set[bytes]:
    """Every form a secret might be written down in."""
    found = {seed.reveal().encode()}
    for raw in (seed.raw, master.raw):
        # Fixed places inside the encodings, so that neighbours of the secret do not hide it.
        found |= {raw, raw.hex().encode(), raw.hex().upper().encode(), repr(raw)[2:-1].encode()}
        for shift in range(3):
            found.add(base64.b64encode(bytes(shift) + raw)[4:40])
            found.add(base64.urlsafe_b64encode(bytes(shift) + raw)[4:40])
        for shift in range(5):
            found.add(base64.b32encode(bytes(shift) + raw)[8:48])
    return found


def everything(database: Database, folder: Path) -> bytes:
    """All there is to read in a store: every row, and with SQLite the files themselves."""
    parts = []
    with database.reading() as unit:
        for table in (*schema.metadata.tables, "alembic_version"):
            for row in unit.fetch_all(text(f"SELECT * FROM {table}")):
                parts += [
                    value
                    if isinstance(value, bytes)
                    else bytes(value)
                    if isinstance(value, memoryview)
                    else str(value).encode()
                    for value in row
                ]
    if database.is_sqlite:
        parts += [file.read_bytes() for file in folder.iterdir()]
    return b"\n".join(parts)


def test_planted_seeds_are_found_nowhere(
    database: Database, founded: Founded, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    master = MasterKey(bytes(range(200, 232)))
    keyring = Keyring(master)
    single = Seed.from_raw(Role.ACCOUNT, b"a planted secret of 32 bytes (1)")
    many = Seed.from_raw(Role.USER, b"a planted secret of 32 bytes (2)")
    told_about = Seed.from_raw(Role.USER, b"a planted secret of 32 bytes (3)")
    shown: list[str] = []

    keep(database, keyring, single)
    with database.noting() as unit:
        open_keyring(unit, master, now=NOW)
    with database.writing() as unit:
        row_id = hierarchy.allocate_ids(unit, 1)[0]
        row = bulk.NewUser(
            row_id, many.public, "ada", keyring.sealed(many, row_id=row_id, purpose="identity"), "j", "h", "t"
        )
        common = bulk.Common(
            account_id=founded.account.id, role="", issuer="A", issued_at=1, expires_at=None, now=NOW
        )
        bulk.insert_users(unit, common, [row])
        shown += [repr(row), repr(common), repr(unit), repr(keys.find_key(unit, many.public))]
        # Somebody puts a seed where a name belongs, and the refusal repeats what was typed.
        refusal = Event(
            EventCode.ACT_REFUSED,
            "cli:ada",
            target=told_about.reveal(),
            targets=(told_about.reveal(),),
            reason=f"because of {told_about.reveal()}",
            outcome="refused",
            detail={"message": f"no user {told_about.reveal()!r}"},
        )
        append_many(unit, [refusal, refusal], NOW)
        append(unit, refusal, NOW)
    faults: list[BaseException] = []
    wrong = Keyring(MasterKey.generate())
    for broken in (
        lambda unit: wrong.seed(unit, single.public),
        lambda unit: keyring.signer(unit, public_key(Role.USER)),
        lambda unit: unit.put(schema.keys, ("id", "sealed"), [(1, single.raw)]),
        lambda unit: keys.insert_key(unit, 1, PublicKey("x"), "A", "none", None, single.raw, NOW),
        lambda unit: pickle.dumps(single),
        lambda unit: pickle.dumps(keyring),
    ):
        with pytest.raises(Exception) as caught, database.writing() as unit:  # noqa: PT011
            broken(unit)
            told(unit)
        faults.append(caught.value)
    for fault in faults:
        shown += [str(fault), repr(fault), *traceback.format_exception(fault)]
    shown += [repr(keyring), repr(master), repr(single), repr(database), caplog.text]
    with database.reading() as unit:
        shown += [repr(entry) for entry in read(unit)]
        shown.append(repr(keyring.signer(unit, single.public)))
    haystack = everything(database, tmp_path) + "\n".join(shown).encode()
    for seed in (single, many, told_about):
        for spelling in spellings(seed, master):
            assert spelling not in haystack, spelling
    # The search does find what is there.
    assert single.public.encode() in haystack


def test_sealed_keys_of_an_owner(database: Database, founded: Founded, keyring: Keyring) -> None:
    seed = Seed.generate(Role.ACCOUNT)
    with database.writing() as unit:
        keyring.store(unit, seed, purpose="signing", owner_id=founded.account.id, now=NOW)
        new_key(unit, Role.ACCOUNT, owner_id=founded.account.id)
        told(unit)
    with database.reading() as unit:
        held = [row.public for row in keys.keys_of(unit, founded.account.id) if row.sealed]
    assert held == [seed.public]
