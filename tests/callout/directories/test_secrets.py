"""A secret stands nowhere but where its owner put it."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout.directories.secrets import MAX_BYTES, Secret, SecretError, read_secret

PLANTED = "planted-5ecret"


def kept(folder: Path, data: bytes, mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_bytes(data)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("data", [b"planted-5ecret", b"planted-5ecret\n", b"planted-5ecret\r\n"])
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640])
def test_a_file(tmp_path: Path, data: bytes, mode: int) -> None:
    assert read_secret(f"file:{kept(tmp_path, data, mode)}").reveal() == PLANTED


def test_an_environment_variable() -> None:
    assert read_secret("env:TOKEN", environment={"TOKEN": PLANTED}).reveal() == PLANTED


def test_a_file_by_a_link_as_kubernetes_lays_it(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(kept(tmp_path, b"x"))
    assert read_secret(f"file:{tmp_path / 'link'}").reveal() == "x"


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644, 0o777, 0o601])
def test_a_file_that_everybody_can_open_is_none(tmp_path: Path, mode: int) -> None:
    path = kept(tmp_path, PLANTED.encode(), mode)
    with pytest.raises(SecretError, match="open to everybody") as refused:
        read_secret(f"file:{path}")
    assert "chmod" in (refused.value.hint or "")


@pytest.mark.parametrize(
    "reference",
    [PLANTED, "", "file", "env", "file:relative", "file:", "env:", "env:1A", "env:A-B", "FILE:/x", "https://planted-5ecret"],
)  # fmt: skip
def test_what_is_no_reference_is_refused_and_not_repeated(reference: str) -> None:
    with pytest.raises(SecretError) as refused:
        read_secret(reference, environment={})
    assert PLANTED not in f"{refused.value} {refused.value.hint} {refused.value!r}"


def test_where_there_is_nothing(tmp_path: Path) -> None:
    for reference in (f"file:{tmp_path}/none", f"file:{tmp_path}", "env:NONE", "file:/\0", "file:/dev/null"):
        with pytest.raises(SecretError):
            read_secret(reference, environment={})


@pytest.mark.parametrize("data", [b"", b"\n", b"  ", b"\xff\xfe", b"x" * (MAX_BYTES + 1)])
def test_what_is_no_secret(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(SecretError):
        read_secret(f"file:{kept(tmp_path, data)}")


def test_a_pipe_does_not_hold_us(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(SecretError, match="is no file"):
        read_secret(f"file:{tmp_path / 'pipe'}")


def test_it_shows_itself_nowhere() -> None:
    secret = Secret(PLANTED)
    assert PLANTED not in f"{secret} {secret!r} {[secret]!r} {secret!s:>40}"
    for write in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            write(secret)
    assert not Secret(" ")


@given(st.text(max_size=60))
def test_whatever_stands_there_is_read_or_refused(text: str) -> None:
    try:
        assert read_secret(text, environment={"A": "x"}).reveal()
    except SecretError as refused:
        assert refused.code == "settings.secret"
