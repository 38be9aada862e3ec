"""Where a master key comes from, and what is said when it is wrong."""

from __future__ import annotations

import base64
import copy
import os
import pickle
import stat
from pathlib import Path

import pytest

from issuer.custody import master
from issuer.custody.master import (
    MasterKey,
    MasterKeyExposed,
    MasterKeyMalformed,
    MasterKeyMissing,
    MasterKeyUnreadable,
    WrongMasterKey,
)

RAW = bytes(range(32))
TEXT = base64.b64encode(RAW).decode()


def test_a_master_key_neither_prints_nor_travels() -> None:
    key = MasterKey(RAW)
    shown = f"{key!r} {key} {key.key_id}"
    assert TEXT not in shown
    assert RAW.hex() not in shown
    assert not hasattr(key, "__dict__")
    for carry in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            carry(key)


def test_equal_by_its_bytes() -> None:
    assert MasterKey(RAW) == MasterKey(RAW)
    assert hash(MasterKey(RAW)) == hash(MasterKey(RAW))
    assert MasterKey(RAW) != MasterKey.generate()
    assert MasterKey(RAW) != RAW


def test_a_new_file_is_its_owners_alone_and_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "master.key"
    before = os.umask(0)
    try:
        key = master.create_master_key_file(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert master.read_master_key_file(path) == key
    assert master.load_master_key(file=path) == key


def test_an_existing_file_is_never_touched(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    path.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    for place in (path, link):
        with pytest.raises(MasterKeyUnreadable):
            master.create_master_key_file(place)
    assert path.read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_file_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "master.key"
    path.write_text(TEXT)
    path.chmod(mode)
    with pytest.raises(MasterKeyExposed) as caught:
        master.read_master_key_file(path)
    assert "chmod 600" in str(caught.value.hint)


@pytest.mark.parametrize("text", ["", "not base64!", TEXT[:-4], TEXT + TEXT, "ü" * 44, RAW.hex() + "="])
def test_what_is_no_master_key_is_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(MasterKeyMalformed) as caught:
        master.parse_master_key(text, at="here")
    assert not text or text not in str(caught.value)
    path = tmp_path / "master.key"
    path.touch(0o600)
    path.write_text(text)
    with pytest.raises(MasterKeyMalformed):
        master.read_master_key_file(path)


def test_no_file_and_no_plain_file(tmp_path: Path) -> None:
    with pytest.raises(MasterKeyMissing):
        master.read_master_key_file(tmp_path / "none")
    with pytest.raises(MasterKeyUnreadable):
        master.read_master_key_file(tmp_path)


def test_sources_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(master, "_PASSES", 1)
    monkeypatch.setattr(master, "_MEMORY", 8192)
    path = tmp_path / "master.key"
    in_file = master.create_master_key_file(path)
    asked = master.derive_master_key("correct horse", bytes(16))
    record = master.new_record(asked, bytes(16), 1)
    assert master.load_master_key(environment=TEXT, file=path) == MasterKey(RAW)
    assert master.load_master_key(file=path, ask=lambda: "never asked") == in_file
    assert master.load_master_key(file=tmp_path / "none", ask=lambda: "correct horse", record=record) == asked
    with pytest.raises(MasterKeyMissing):
        master.load_master_key()
    with pytest.raises(MasterKeyMissing):
        master.load_master_key(file=tmp_path / "none")
    with pytest.raises(MasterKeyMissing):
        master.load_master_key(ask=lambda: "no salt yet")


def test_a_passphrase_with_its_salt_makes_one_key() -> None:
    first = master.derive_master_key("correct horse", bytes(16))
    assert first == master.derive_master_key("correct horse", bytes(16))
    assert first != master.derive_master_key("correct horse", bytes(15) + b"\1")
    with pytest.raises(MasterKeyMalformed):
        master.derive_master_key("", bytes(16))


def test_another_key_is_recognised(tmp_path: Path) -> None:
    key = MasterKey(RAW)
    record = master.new_record(key, master.new_salt(), 1)
    master.check_master_key(key, record)
    assert RAW not in record.verifier
    with pytest.raises(WrongMasterKey) as caught:
        master.load_master_key(environment=base64.b64encode(bytes(32)).decode(), record=record)
    assert base64.b64encode(bytes(32)).decode() not in str(caught.value)
