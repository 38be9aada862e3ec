"""Settings are read strictly, and every fault says where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout.directories.keys import KeySettings
from callout.directories.passwords import PasswordSettings
from callout.directories.reading import DirectorySettingsError, read_settings
from callout.directories.secrets import Secret
from issuer.errors import AccreditError
from tests.callout.directories.test_secrets import PLANTED


class Inner(msgspec.Struct, frozen=True):
    password: Secret
    file: Path | None = None


class Outer(msgspec.Struct, frozen=True):
    name: str
    inner: Inner | None = None
    by_name: dict[str, Inner] = {}
    listed: tuple[Inner, ...] = ()
    seconds: float = 1.0


def read(document: Any, shape: type = Outer) -> Any:
    return read_settings(document, shape, at="/directories/3", environment={"A": PLANTED})


def test_what_is_read() -> None:
    found = read({"name": "x", "inner": {"password": "env:A", "file": "/tmp/x"}, "listed": [], "seconds": 2})
    assert found.inner.password.reveal() == PLANTED
    assert (found.inner.file, found.seconds) == (Path("/tmp/x"), 2.0)
    assert PLANTED not in repr(found)


@pytest.mark.parametrize(
    ("document", "at", "words"),
    [
        ([], "/directories/3", "is no mapping"),
        ({}, "/directories/3", "lacks name"),
        ({"name": 1}, "/directories/3/name", "expected str"),
        ({"name": "x", "naem": 1}, "/directories/3/naem", "did you mean name?"),
        ({"name": "x", "a/b~": 1}, "/directories/3/a~1b~0", "known are"),
        ({"name": "x", "inner": {"pasword": 1}}, "/directories/3/inner/pasword", "did you mean password?"),
        ({"name": "x", "inner": {"password": PLANTED}}, "/directories/3/inner/password", "env:NAME"),
        ({"name": "x", "inner": {"password": 5}}, "/directories/3/inner/password", "expected str"),
        ({"name": "x", "inner": {"password": "env:B"}}, "/directories/3/inner/password", "B is not set"),
        ({"name": "x", "inner": {"password": "env:A", "file": 1}}, "/directories/3/inner/file", "expected str"),
        ({"name": "x", "by_name": {"q": {"w": 1}}}, "/directories/3/by_name/q/w", "known are"),
        ({"name": "x", "listed": [{"password": "env:A"}, {"w": 1}]}, "/directories/3/listed/1/w", "known are"),
        ({"name": "x", "seconds": "1"}, "/directories/3/seconds", "expected"),
        ({"name": "x", "seconds": True}, "/directories/3/seconds", "expected"),
    ],
)  # fmt: skip
def test_what_is_refused(document: Any, at: str, words: str) -> None:
    with pytest.raises(DirectorySettingsError) as refused:
        read(document)
    assert refused.value.at == at
    assert words in f"{refused.value.message} {refused.value.hint}"
    assert PLANTED not in f"{refused.value} {refused.value.hint}"


@pytest.mark.parametrize(
    ("document", "shape", "at"),
    [
        ({"name": "a_b"}, KeySettings, "/directories/3/name"),
        ({"name": "k", "entries": [{"id": "a", "hash": PLANTED}]}, KeySettings, "/directories/3/entries/0/hash"),
        ({"name": "k", "entries": [{"id": "a", "hash": "0" * 64, "networks": ["10.0.0.1/8"]}]}, KeySettings, "/directories/3/entries/0/networks"),
        ({"name": "p", "cost": {"ln": 40}}, PasswordSettings, "/directories/3/cost"),
        ({"name": "p", "lockout": {"failures": 0}}, PasswordSettings, "/directories/3/lockout/failures"),
        ({"name": "p", "entries": [{"user": "u", "hash": PLANTED}]}, PasswordSettings, "/directories/3/entries/0/hash"),
    ],
)  # fmt: skip
def test_what_a_struct_itself_refuses_has_its_place_too(document: Any, shape: type, at: str) -> None:
    with pytest.raises(AccreditError) as refused:
        read(document, shape)
    assert refused.value.at == at
    assert PLANTED not in f"{refused.value} {refused.value.hint}"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "inner", "listed", "password", "by_name", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(values)
def test_whatever_stands_there_is_read_or_refused(document: Any) -> None:
    try:
        assert isinstance(read(document), Outer)
    except DirectorySettingsError as refused:
        assert (refused.at or "").startswith("/directories/3")
