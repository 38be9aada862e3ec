"""Stored passwords: read strictly, checked at a bounded cost."""

from __future__ import annotations

import hashlib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout.directories.scrypt import (
    MAX_PASSWORD,
    Cost,
    PasswordHashError,
    decoy,
    fits_in,
    hash_password,
    read_hash,
)

CHEAP = Cost(ln=10, r=1, p=1)
PASSWORD = "correct horse"


def test_what_is_stored_fits_its_password_alone() -> None:
    stored = read_hash(hash_password(PASSWORD, cost=CHEAP))
    assert stored.fits(PASSWORD)
    for other in (PASSWORD + " ", PASSWORD.upper(), "", "x"):
        assert not stored.fits(other)


def test_the_text_and_the_hash_are_those_of_rfc_7914() -> None:
    # The third vector of §12: N = 16384, r = 8, p = 1.
    expected = bytes.fromhex(
        "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
        "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
    )
    assert (
        hashlib.scrypt(b"pleaseletmein", salt=b"SodiumChloride", n=16384, r=8, p=1, maxmem=2**26) == expected
    )
    text = hash_password("pleaseletmein", cost=Cost(ln=14, r=8, p=1), rand=lambda _: b"SodiumChloride")
    assert text.startswith("$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$")
    assert read_hash(text).hash == expected[:32]


def test_one_password_is_stored_differently_each_time() -> None:
    assert hash_password(PASSWORD, cost=CHEAP) != hash_password(PASSWORD, cost=CHEAP)


def test_keyboards_may_differ_in_how_they_make_an_accent() -> None:
    stored = read_hash(hash_password(unicodedata.normalize("NFD", "café"), cost=CHEAP))
    assert stored.fits(unicodedata.normalize("NFC", "café"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        PASSWORD,
        "$scrypt$",
        "$2b$12$abcdefghijklmnopqrstuv",
        "$scrypt$ln=10,r=1,p=1$AAAAAAAAAAA$AAAA",
        "$scrypt$ln=10,r=1,p=1$AAAAAAAAAAA$" + "A" * 200,
        "$scrypt$ln=10,r=1,p=1$$" + "A" * 43,
        "$scrypt$ln=10,r=1,p=1$AAAAAAAAAAA$" + "A" * 45,
        "$scrypt$ln=10,p=1,r=1$AAAAAAAAAAA$" + "A" * 43,
        "$scrypt$ln=10,r=1,p=1$AAAAAAAAAAA$" + "A" * 43 + "\n",
        "$scrypt$ln=-1,r=1,p=1$AAAAAAAAAAA$" + "A" * 43,
    ],
)
def test_what_is_no_stored_password(text: str) -> None:
    with pytest.raises(PasswordHashError) as refused:
        read_hash(text)
    assert PASSWORD not in f"{refused.value}"


@pytest.mark.parametrize("cost", ["ln=30,r=8,p=1", "ln=14,r=999,p=1", "ln=14,r=8,p=99", "ln=20,r=8,p=1", "ln=9,r=8,p=1", "ln=14,r=0,p=1", "ln=14,r=8,p=0"])  # fmt: skip
def test_a_stored_text_cannot_make_us_take_all_the_memory_or_next_to_none(cost: str) -> None:
    with pytest.raises(PasswordHashError):
        read_hash(f"$scrypt${cost}$AAAAAAAAAAA$" + "A" * 43)


@pytest.mark.parametrize("password", ["", "x" * (MAX_PASSWORD + 1), "é" * MAX_PASSWORD])
def test_what_is_no_password(password: str) -> None:
    with pytest.raises(PasswordHashError):
        hash_password(password, cost=CHEAP)


def test_a_decoy_costs_as_much_and_fits_nobody() -> None:
    assert decoy(Cost()).cost == Cost()
    assert not decoy(CHEAP).fits(PASSWORD)


def test_nothing_of_it_is_shown() -> None:
    stored = read_hash(hash_password(PASSWORD, cost=CHEAP))
    assert stored.hash.hex() not in repr(stored)
    assert str(stored) not in repr(stored)


@given(st.text(max_size=200))
def test_whatever_stands_there_is_read_or_refused(text: str) -> None:
    with pytest.raises(PasswordHashError):
        read_hash(text)
    with pytest.raises(PasswordHashError):
        read_hash("$scrypt$ln=10,r=1,p=1$" + text)


@given(st.text(st.characters(), min_size=1, max_size=30))
def test_any_text_can_be_a_password(password: str) -> None:
    assert fits_in(password)
    assert read_hash(hash_password(password, cost=CHEAP)).fits(password)


def test_a_hash_of_passlib_is_read() -> None:
    # The example of its documentation of `passlib.hash.scrypt`.
    text = "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E"
    assert read_hash(text).fits("password")
