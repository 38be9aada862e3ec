"""A challenge is ours, of now, and used once; nothing else is one."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.keys.nkeys import Role, Seed
from issuer.tokens.possession import signature_bytes, signature_text
from issuer.tokens.signer import SeedSigner
from web.exchange.challenge import LEEWAY, RANDOM_BYTES, Challenges, Spent

NOW = 1_800_000_000
SIGNER = SeedSigner(Seed.from_raw(Role.ACCOUNT, bytes(range(32))))
CHANCE = bytes(RANDOM_BYTES)


def challenges(seconds: int = 60) -> Challenges:
    return Challenges(lambda: SIGNER, seconds=seconds)


@pytest.mark.parametrize(
    ("later", "good"),
    [(0, True), (60, True), (61, False), (-LEEWAY, True), (-LEEWAY - 1, False), (10**9, False)],
)
def test_a_challenge_has_its_time(later: int, good: bool) -> None:
    nonce = challenges().new(now=NOW, chance=CHANCE)
    assert (challenges().end(nonce, now=NOW + later) is not None) is good


@given(st.integers(0, 75), st.integers(1, 63))
def test_no_character_of_it_can_be_changed(place: int, by: int) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    nonce = challenges().new(now=NOW, chance=CHANCE)
    other = alphabet[(alphabet.index(nonce[place]) + by) % 64]
    assert challenges().end(nonce[:place] + other + nonce[place + 1 :], now=NOW) is None


@given(
    st.one_of(
        st.text(max_size=100),
        st.text(min_size=76, max_size=76),
        st.binary(min_size=57, max_size=57).map(lambda data: base64.urlsafe_b64encode(data).decode()),
    )
)
def test_whatever_else_is_shown_is_none(text: str) -> None:
    assert challenges().end(text, now=NOW) is None


def test_it_is_written_in_one_way_only() -> None:
    """Else one that was used could be shown again in another spelling."""
    for number in range(40):
        nonce = challenges().new(now=NOW, chance=bytes([number]) * RANDOM_BYTES)
        other = nonce.replace("-", "+").replace("_", "/")
        if other != nonce:
            break
    assert other != nonce
    assert challenges().end(other, now=NOW) is None


def test_used_once() -> None:
    spent = Spent()
    assert spent.spend("a", until=NOW + 60, now=NOW)
    assert not spent.spend("a", until=NOW + 60, now=NOW + 60)


def test_what_is_over_is_forgotten_and_with_no_room_nothing_is_good() -> None:
    spent = Spent(most=2)
    assert spent.spend("a", until=NOW + 1, now=NOW)
    assert spent.spend("b", until=NOW + 9, now=NOW)
    assert not spent.spend("c", until=NOW + 9, now=NOW)
    assert spent.spend("c", until=NOW + 9, now=NOW + 2)
    assert len(spent) == 2


@given(st.binary(min_size=64, max_size=64))
def test_a_signature_is_read_back(signature: bytes) -> None:
    assert signature_bytes(signature_text(signature)) == signature


@given(st.one_of(st.text(max_size=90), st.text(alphabet="ABab01-_+/=", min_size=86, max_size=86)))
def test_a_signature_is_written_in_one_way_only(text: str) -> None:
    found = signature_bytes(text)
    assert found is None or signature_text(found) == text
