"""How many guesses there are, in a row, at once, and from how many places."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout.directories.lockout import Limits, Lockout

LIMITS = Limits(failures=3, failures_anywhere=5, window=100)


def tries(lockout: Lockout, user: str, address: str, *, now: float = 0.0, most: int = 20) -> int:
    """How many wrong passwords can be tried."""
    return sum(lockout.begin(user, address, now=now) for _ in range(most))


def test_so_many_from_one_address_and_so_many_from_anywhere() -> None:
    lockout = Lockout(LIMITS)
    assert tries(lockout, "u", "a") == 3
    assert tries(lockout, "u", "b") == 2
    assert tries(lockout, "u", "c") == 0
    assert tries(lockout, "v", "a") == 3


def test_one_machine_cannot_shut_a_user_out_everywhere() -> None:
    lockout = Lockout(LIMITS)
    tries(lockout, "u", "attacker")
    assert lockout.begin("u", "own", now=0.0)


def test_failures_are_forgotten_after_the_window() -> None:
    lockout = Lockout(LIMITS)
    assert tries(lockout, "u", "a", now=0.0) == 3
    assert not lockout.begin("u", "a", now=99.9)
    assert lockout.begin("u", "a", now=100.0)


def test_who_was_right_starts_from_nothing() -> None:
    lockout = Lockout(LIMITS)
    for now in (0.0, 1.0, 2.0):
        assert lockout.begin("u", "a", now=now)
    lockout.right("u", "a", now=2.0)
    assert tries(lockout, "u", "a", now=3.0) == 3


def test_who_was_right_does_not_wipe_out_what_others_tried() -> None:
    lockout = Lockout(LIMITS)
    tries(lockout, "u", "attacker", now=0.0)
    assert lockout.begin("u", "own", now=1.0)
    lockout.right("u", "own", now=1.0)
    assert not lockout.begin("u", "attacker", now=2.0)
    assert tries(lockout, "u", "third", now=2.0) == 2


def test_what_was_never_compared_does_not_count() -> None:
    lockout = Lockout(LIMITS)
    for _ in range(10):
        assert lockout.begin("u", "a", now=0.0)
        lockout.undecided("u", "a", now=0.0)
    assert len(lockout) == 0


def test_it_does_not_grow_without_end() -> None:
    lockout = Lockout(LIMITS, most=10)
    for number in range(100):
        lockout.begin(f"u{number}", "a", now=0.0)
    assert len(lockout) <= 10


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["u", "v"]),
            st.sampled_from(["a", "b"]),
            st.integers(0, 60),
            st.sampled_from(["wrong", "right", "lost"]),
        ),
        max_size=60,
    )
)
def test_nobody_ever_gets_more_guesses_than_the_limits_say(steps: list[tuple[str, str, int, str]]) -> None:
    lockout, now = Lockout(LIMITS), 0.0
    wrong: list[tuple[str, str, float]] = []
    for user, address, passed, ends in steps:
        now += passed
        if not lockout.begin(user, address, now=now):
            continue
        if ends == "right":
            lockout.right(user, address, now=now)
            wrong = [w for w in wrong if w[:2] != (user, address)]
        elif ends == "lost":
            lockout.undecided(user, address, now=now)
        else:
            wrong.append((user, address, now))
        recent = [w for w in wrong if w[2] > now - LIMITS.window]
        for who in ("u", "v"):
            assert sum(w[0] == who for w in recent) <= LIMITS.failures_anywhere
            for place in ("a", "b"):
                assert sum(w[:2] == (who, place) for w in recent) <= LIMITS.failures


@pytest.mark.parametrize("most", [1, 5])
def test_attempts_under_way_count_until_they_are_known_to_be_right(most: int) -> None:
    lockout = Lockout(Limits(failures=most, failures_anywhere=most))
    assert tries(lockout, "u", "a") == most
