"""Stores written: as nsc writes them, whole or not at all."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from issuer.errors import AlreadyExists, Unavailable
from issuer.interop.nsc import read_store
from issuer.interop.nsc_write import ExportRefused, LeavingAccount, LeavingUser, write_store
from issuer.keys.creds import parse_creds
from tests.issuer.interop.made import Made


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


def test_it_looks_as_nsc_writes_it(made: Made, tmp_path: Path) -> None:
    home = tmp_path / "out"
    written = write_store(home, made.export(selected="METERS"), with_seeds=True)
    assert (written.accounts, written.users, written.keys, written.creds) == (1, 2, 7, 2)
    found = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    seeds = (made.operator, made.signing, made.account, made.reader, made.curve, made.plain, made.scoped)
    keys = {f"keys/keys/{s.public[0]}/{s.public[1:3]}/{s.public}.nk" for s in seeds}
    assert found == keys | {
        "nsc.json",
        "keys/.gitignore",
        "keys/creds/GRID/METERS/m1.creds",
        "keys/creds/GRID/METERS/r1.creds",
        "stores/GRID/.nsc",
        "stores/GRID/GRID.jwt",
        "stores/GRID/accounts/METERS/METERS.jwt",
        "stores/GRID/accounts/METERS/users/m1.jwt",
        "stores/GRID/accounts/METERS/users/r1.jwt",
    }
    note = (home / "stores/GRID/.nsc").read_text()
    assert note == '{"managed":false,"name":"GRID","kind":"operator","version":"1"}'
    assert json.loads((home / "nsc.json").read_text()) == {
        "store_root": str(home / "stores"),
        "operator": "GRID",
        "account": "METERS",
    }
    assert parse_creds((home / "keys/creds/GRID/METERS/m1.creds").read_text()) == (
        made.plain_token,
        made.plain,
    )
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (home, *home.rglob("*"))}
    assert modes == {0o600, 0o700}


def test_reading_it_gives_what_was_written(made: Made, tmp_path: Path) -> None:
    first = made.write(tmp_path / "first")
    inventory = read_store(first / "stores", first / "keys")
    (operator,) = inventory.operators
    accounts = [
        LeavingAccount(
            account.name,
            account.token,
            tuple(seed for seed in (account.seed, *account.signing, account.curve) if seed is not None),
            [LeavingUser(user.name, user.token, user.seed) for user in account.users],
        )
        for account in operator.accounts
    ]
    assert operator.seed is not None
    export = made.export(
        operator=operator.name,
        token=operator.token,
        seeds=(operator.seed, *operator.signing),
        accounts=accounts,
    )
    second = tmp_path / "second"
    write_store(second, export, with_seeds=True)
    assert contents(first) == contents(second)


def contents(home: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in home.rglob("*")
        if path.is_file() and path.name != "nsc.json"
    }


def test_without_seeds_there_are_none(made: Made, tmp_path: Path) -> None:
    home = made.write(tmp_path / "out", with_seeds=False)
    text = b"".join(contents(home).values()).decode()
    assert not any(seed.reveal() in text for seed in (made.operator, made.account, made.plain))
    assert {path.name for path in (home / "keys").rglob("*")} == {".gitignore"}


def test_it_goes_over_nothing(made: Made, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").write_text("mine")
    file = tmp_path / "file"
    file.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "away")
    for target in (full, file, link):
        with pytest.raises(AlreadyExists):
            made.write(target)
    assert (full / "mine").read_text() == file.read_text() == "mine"
    assert not (tmp_path / "away").exists()
    (tmp_path / "empty").mkdir()
    made.write(tmp_path / "empty")


@pytest.mark.parametrize("name", ["..", ".", "", " ", "a/b", "../x", "a\\b", "a\0b", "a\nb", "ü" * 200])
def test_a_name_nsc_cannot_keep_is_refused(made: Made, tmp_path: Path, name: str) -> None:
    users = [LeavingUser(name, made.plain_token)]
    for export in (
        made.export(operator=name),
        made.export(accounts=[LeavingAccount(name, made.account_token)]),
        made.export(accounts=[LeavingAccount("METERS", made.account_token, users=users)]),
    ):
        with pytest.raises(ExportRefused):
            write_store(tmp_path / "out", export, with_seeds=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("one", "two"), [("A", "a"), ("A", "A"), ("Straße", "STRASSE"), ("é", "e\u0301")])
def test_names_that_may_be_one_file_are_refused(made: Made, tmp_path: Path, one: str, two: str) -> None:
    accounts = [LeavingAccount(name, made.account_token) for name in (one, two)]
    users = [LeavingUser(name, made.plain_token) for name in (one, two)]
    for export in (
        made.export(accounts=accounts),
        made.export(accounts=[LeavingAccount("METERS", made.account_token, users=users)]),
    ):
        with pytest.raises(ExportRefused, match="are one file"):
            write_store(tmp_path / "out", export, with_seeds=False)
    assert list(tmp_path.iterdir()) == []


def test_what_fails_halfway_leaves_nothing(made: Made, tmp_path: Path) -> None:
    def users() -> Iterator[LeavingUser]:
        yield LeavingUser("m1", made.plain_token, made.plain)
        raise RuntimeError

    accounts = [LeavingAccount("METERS", made.account_token, users=users())]
    with pytest.raises(RuntimeError):
        write_store(tmp_path / "out", made.export(accounts=accounts), with_seeds=True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_not_made_up(made: Made, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot write: no such file"):
        made.write(tmp_path / "none" / "out")


def test_a_managed_operator_leaves_no_keys(made: Made, tmp_path: Path) -> None:
    managed = made.export(managed=True)
    with pytest.raises(ExportRefused, match="keys are kept elsewhere"):
        write_store(tmp_path / "out", managed, with_seeds=True)
    write_store(tmp_path / "out", managed, with_seeds=False)
    assert json.loads((tmp_path / "out/stores/GRID/.nsc").read_text())["managed"] is True
    (operator,) = read_store(tmp_path / "out" / "stores", tmp_path / "out" / "keys").operators
    assert operator.managed


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c\n", "-----BEGIN-----", "a.b." + "c" * 1_048_576])
def test_what_nsc_could_not_read_is_refused(made: Made, tmp_path: Path, text: str) -> None:
    users = [LeavingUser("m1", text)]
    for export in (
        made.export(token=text),
        made.export(accounts=[LeavingAccount("METERS", text)]),
        made.export(accounts=[LeavingAccount("METERS", made.account_token, users=users)]),
    ):
        with pytest.raises(ExportRefused, match="is not a token that nsc can read"):
            write_store(tmp_path / "out", export, with_seeds=False)
    assert list(tmp_path.iterdir()) == []


def test_a_long_name_of_the_target_is_no_hindrance(made: Made, tmp_path: Path) -> None:
    target = tmp_path / ("名" * 85)
    made.write(target)
    assert (target / "nsc.json").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("mode", [0o000, 0o500])
def test_a_folder_that_is_closed_to_us(made: Made, tmp_path: Path, mode: int) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=mode)
    try:
        with pytest.raises(Unavailable, match="cannot write: permission denied"):
            made.write(closed / "out")
    finally:
        closed.chmod(0o700)
