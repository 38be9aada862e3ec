"""A store is founded once, with its master key and its first two events."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from issuer.audit.log import read
from issuer.authority.desk import Actor
from issuer.authority.opening import create_store, open_authority, unlock
from issuer.custody.master import MasterKeyMissing, WrongMasterKey
from issuer.settings import Settings, load
from issuer.store.unit import Database

ADA = Actor("ada", "test")
KEY = base64.b64encode(bytes(range(32))).decode()
NOW = 1_700_000_000


FOUNDED = ["store.created", "custody.created", "log.key-created"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"data_dir": str(tmp_path / "data")}, {})


def test_founding_makes_a_key_file_and_writes_it_down(settings: Settings) -> None:
    database = create_store(settings, {}, actor=ADA, now=NOW)
    assert settings.master_key_file.exists()
    with database.reading() as unit:
        assert [entry.body.code for entry in read(unit)] == FOUNDED
    again = create_store(settings, {}, actor=ADA, now=NOW)
    with again.reading() as unit:
        assert len(list(read(unit))) == 3
    database.close()
    again.close()


def test_a_key_in_the_environment_leaves_no_file(settings: Settings) -> None:
    environment = {"ACCREDIT_MASTER_KEY": KEY}
    database = create_store(settings, environment, actor=ADA, now=NOW)
    assert not settings.master_key_file.exists()
    assert unlock(settings, environment, database=database, now=NOW).master_key_id
    with pytest.raises(MasterKeyMissing):
        unlock(settings, {}, database=database, now=NOW)
    with pytest.raises(WrongMasterKey):
        unlock(settings, {"ACCREDIT_MASTER_KEY": KEY.replace("AAEC", "AAED")}, database=database, now=NOW)
    database.close()


def test_a_passphrase_opens_what_it_closed(settings: Settings) -> None:
    database = create_store(settings, {}, actor=ADA, now=NOW, choose=lambda: "correct horse")
    assert not settings.master_key_file.exists()
    authority = open_authority(
        settings, {}, clock=lambda: NOW, database=database, ask=lambda: "correct horse"
    )
    assert authority.now() == NOW
    with pytest.raises(WrongMasterKey):
        unlock(settings, {}, database=database, now=NOW, ask=lambda: "wrong horse")
    database.close()


def test_a_store_whose_maker_was_stopped_gets_its_key_at_the_next_use(settings: Settings) -> None:
    settings.data_dir.mkdir()
    database = Database.open(settings.database, create=True)
    authority = open_authority(settings, {}, clock=lambda: NOW, database=database)
    assert settings.master_key_file.exists()
    with database.reading() as unit:
        assert [entry.body.code for entry in read(unit)] == FOUNDED
    assert unlock(settings, {}, database=database, now=NOW).master_key_id == authority.keyring.master_key_id
    database.close()
