"""Running the command as a person would, without the cost of a process."""

from __future__ import annotations

import io
import json
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from issuer.cli.main import main


@dataclass(frozen=True)
class Ran:
    """What one command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        return json.loads(self.err.strip().splitlines()[-1])["error"]


Run = Callable[..., Ran]

KEY = r"[OAUX][A-Z2-7]{55}"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def claims(run: Run, kind: str, *arguments: str) -> Any:
    """What `describe` says a token claims."""
    return run("describe", kind, *arguments, "--json").json


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder after `accredit init acme`, to be copied."""
    folder = tmp_path_factory.mktemp("founded") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCREDIT_DATA_DIR", str(folder))
        assert main(["init", "acme", "--account", "ACCT", "--user", "first", "-q"]) == 0
    return folder


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command will look; nothing is there."""
    folder = tmp_path / "data"
    monkeypatch.setenv("ACCREDIT_DATA_DIR", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("ACCREDIT_ACTOR", "ada")
    return folder


@pytest.fixture
def run(data_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("add", "user", "bob")` on an empty folder."""

    def call(*arguments: str, stdin: str = "") -> Ran:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
        capsys.readouterr()
        code = main([*arguments])
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return call


@pytest.fixture
def acme(founded: Path, data_dir: Path, run: Run) -> Run:
    """The same on a copy of a founded store: operator acme, accounts SYS and ACCT, user first."""
    shutil.copytree(founded, data_dir)
    return run
