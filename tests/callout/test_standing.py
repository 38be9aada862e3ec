"""What is remembered of a credential says who goes first, and neither what it is nor whose."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from callout.directories.directory import Credentials
from callout.fingerprint import fingerprint, fingerprint_here
from callout.policy.model import Priority
from callout.standing import Standing, Standings

KEY = b"k" * 32
BEST = Standing(Priority.CRITICAL, "GRID")
ANN = Credentials(user="ann", password="secret", address="192.0.2.1")


def test_it_is_known_again_and_forgotten() -> None:
    standings = Standings()
    assert standings.of(ANN) is None
    standings.note(ANN, BEST)
    assert standings.of(replace(ANN, address="192.0.2.9", nonce="n", mqtt_id="m")) == BEST
    assert standings.of(replace(ANN, password="other")) is None
    standings.forget(ANN)
    assert standings.of(ANN) is None


def test_a_public_key_that_anybody_could_show_counts_only_from_where_it_was_shown() -> None:
    standings = Standings()
    meter = Credentials(nkey="UABC", signature="s1", nonce="n1", address="192.0.2.1")
    standings.note(meter, BEST)
    assert standings.of(replace(meter, signature="s2", nonce="n2")) == BEST
    assert standings.of(replace(meter, address="192.0.2.9")) is None


def test_there_is_room_for_so_many() -> None:
    standings = Standings(most=2)
    for name in ("a", "b", "c"):
        standings.note(replace(ANN, user=name), BEST)
    assert len(standings) == 2
    assert standings.of(replace(ANN, user="a")) is None


def test_nothing_that_was_shown_is_kept() -> None:
    standings = Standings()
    standings.note(ANN, BEST)
    kept = repr(standings._kept)
    assert "secret" not in kept
    assert "ann" not in kept


CREDENTIALS = st.builds(
    Credentials,
    user=st.text(max_size=3),
    password=st.text(max_size=3),
    token=st.text(max_size=3),
    nkey=st.text(max_size=3),
    certificates=st.lists(st.text(max_size=3), max_size=2).map(tuple),
    address=st.sampled_from(["", "a", "b"]),
    mqtt_id=st.sampled_from(["", "a"]),
)


@given(CREDENTIALS, CREDENTIALS)
def test_no_two_credentials_are_taken_for_one(one: Credentials, other: Credentials) -> None:
    assert (fingerprint_here(one, KEY) == fingerprint_here(other, KEY)) is (one == other)
    shown = [replace(each, address="", mqtt_id="") for each in (one, other)]
    assert (fingerprint(one, KEY) == fingerprint(other, KEY)) is (shown[0] == shown[1])


@given(CREDENTIALS)
def test_another_process_has_other_digests(one: Credentials) -> None:
    assert fingerprint(one, KEY) != fingerprint(one, b"o" * 32)
    assert fingerprint(one, KEY) != fingerprint_here(one, KEY)
