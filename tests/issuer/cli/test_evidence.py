"""Evidence from the command line, and checking it there."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.issuer.cli.conftest import Run


def test_a_bundle_is_made_and_checked(acme: Run, tmp_path: Path) -> None:
    acme("add", "user", "bob", "-a", "ACCT")
    acme("revoke", "bob", "-a", "ACCT", "--reason", "left us")
    path = tmp_path / "evidence.zip"
    made = acme("audit", "bundle", str(path), "--since", "-1d", "--framework", "nerc-cip", "--json")
    assert made.code == 0
    assert made.json["path"] == str(path)
    assert made.json["first_seq"] == 1
    ran = acme("audit", "check", str(path), "--json")
    assert (ran.code, ran.json["status"]) == (0, 0)
    assert [step["step"] for step in ran.json["steps"]][:2] == ["files", "manifest"]
    shown = acme("audit", "check", str(path))
    assert "replay" in shown.out
    assert acme("audit", "bundle", str(path), "--since", "-1d").code == 4
    assert acme("audit", "bundle", str(path), "--since", "-1d", "-F").code == 0
    with zipfile.ZipFile(path) as file:
        assert b"left us" in file.read("reports/taken.html")


def test_one_that_was_tampered_with(acme: Run, tmp_path: Path) -> None:
    path, other = tmp_path / "evidence.zip", tmp_path / "other.zip"
    acme("audit", "bundle", str(path), "--since", "-1d")
    with zipfile.ZipFile(path) as file, zipfile.ZipFile(other, "w") as forged:
        for name in file.namelist():
            forged.writestr(name, file.read(name).replace(b"account.created", b"account.deleted"))
    ran = acme("audit", "check", str(other))
    assert ran.code == 7
    assert "does not follow" in ran.err
    assert acme("audit", "check", str(tmp_path / "none.zip")).code == 5
    assert acme("audit", "check", str(path), "--checkpoint", str(path)).code == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--since", "-1d", "--until", "-2d"), 5),
        (("--since", "-1d", "-a", "nobody"), 3),
        (("--since", "-1d", "--framework", "none"), 2),
        ((), 2),
        (("--since", "-1d", "--controls", "/none"), 5),
    ],
    ids=["backwards", "no account", "no framework", "no period", "no map"],
)
def test_what_is_refused(acme: Run, tmp_path: Path, words: tuple[str, ...], code: int) -> None:
    assert acme("audit", "bundle", str(tmp_path / "x.zip"), *words).code == code
    assert not (tmp_path / "x.zip").exists()


def test_a_map_of_ones_own(acme: Run, tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    own.write_text(
        '{"soc2": {"title": "ours", "controls": [{"id": "X.1", "supports": "all", "files": ["log/admin"]}]}}'
    )
    path = tmp_path / "e.zip"
    words = ("--since", "-1d", "--framework", "soc2", "--controls", str(own))
    assert acme("audit", "bundle", str(path), *words).code == 0
    with zipfile.ZipFile(path) as file:
        assert b"X.1" in file.read("controls.json")
    own.write_text('{"soc2": {"title": 1}}')
    assert acme("audit", "bundle", str(path), *words, "-F").code == 5
