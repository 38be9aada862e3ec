"""However logins come, the directory never gets so many failures that it locks an account."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout.directories.ldap.guard import Entrance, Guard, Settled

NOW = 1_800_000_000.0
FAILED = {Settled.WRONG, Settled.UNKNOWN}

steps = st.lists(
    st.tuples(
        st.sampled_from("abcdef"),  # password
        st.sampled_from(list(Settled)),  # how it ends, when it does
        st.booleans(),  # whether an attempt under way ends first
        st.integers(0, 50),  # seconds that pass
    ),
    max_size=60,
)


@given(steps, st.integers(2, 6))
def test_never_as_many_failures_as_the_threshold(
    story: list[tuple[str, Settled, bool, int]], threshold: int
) -> None:
    guard, now = Guard(threshold=threshold, window=100), NOW
    under_way: list[tuple[str, Settled]] = []
    counted: list[float] = []

    def settle() -> None:
        nonlocal counted
        password, ended = under_way.pop(0)
        guard.settle("ann", password, ended, now=now)
        if ended in FAILED:
            counted.append(now)
        elif ended is Settled.GOOD:
            counted = []

    for password, ended, one_ends, seconds in story:
        now += seconds
        if one_ends and under_way:
            settle()
        if guard.enter("ann", password, now=now) is Entrance.ASK:
            under_way.append((password, ended))
        # Whatever those under way turn out to be.
        assert sum(at > now - 100 for at in counted) + len(under_way) < threshold
    while under_way:
        settle()


def ended(guard: Guard, password: str, how: Settled, *, now: float = NOW, stamp: str = "") -> None:
    assert guard.enter("ann", password, now=now, stamp=stamp) is Entrance.ASK
    guard.settle("ann", password, how, now=now, stamp=stamp)


def test_a_password_that_was_wrong_is_not_asked_about_again_until_the_window_is_over() -> None:
    guard = Guard(threshold=3, window=100)
    ended(guard, "old", Settled.WRONG)
    assert guard.enter("ann", "old", now=NOW + 99) is Entrance.KNOWN_WRONG
    assert guard.enter("ann", "old", now=NOW + 101) is Entrance.ASK


def test_failures_and_wrong_passwords_are_of_the_password_that_was_set_then() -> None:
    guard = Guard(threshold=3, window=100)
    ended(guard, "new", Settled.WRONG, stamp="1")
    ended(guard, "other", Settled.WRONG, stamp="1")
    assert guard.enter("ann", "third", now=NOW, stamp="1") is Entrance.GUARDED
    assert guard.enter("ann", "new", now=NOW, stamp="2") is Entrance.ASK


def test_what_the_directory_has_counted_is_counted() -> None:
    guard = Guard(threshold=3, window=100)
    assert guard.enter("ann", "x", now=NOW, counted=2) is Entrance.GUARDED
    assert guard.enter("ann", "x", now=NOW, counted=1) is Entrance.ASK
    assert guard.enter("ann", "y", now=NOW, counted=1) is Entrance.WAIT


def test_the_password_that_was_right_last_is_always_asked_about() -> None:
    guard = Guard(threshold=2, window=100)
    ended(guard, "right", Settled.GOOD, stamp="1")
    ended(guard, "guess", Settled.WRONG, stamp="1")
    assert guard.enter("ann", "guess2", now=NOW, stamp="1") is Entrance.GUARDED
    assert guard.enter("ann", "right", now=NOW, stamp="1", counted=9) is Entrance.ASK
    guard.settle("ann", "right", Settled.NOT_SENT, now=NOW, stamp="1")
    # Not once it was changed, nor where nobody tells when it was.
    assert guard.enter("ann", "right", now=NOW, stamp="2", counted=9) is Entrance.GUARDED


def test_a_password_that_is_right_no_more_loses_its_right() -> None:
    guard = Guard(threshold=2, window=100)
    ended(guard, "right", Settled.GOOD, stamp="1")
    ended(guard, "right", Settled.WRONG, stamp="1")
    assert guard.enter("ann", "right", now=NOW, stamp="1") is Entrance.KNOWN_WRONG


def test_a_directory_that_locks_nobody_is_always_asked() -> None:
    guard = Guard(threshold=0, window=100)
    for _ in range(20):
        ended(guard, "old", Settled.WRONG)


def test_accounts_do_not_share_a_count() -> None:
    guard = Guard(threshold=2, window=100)
    ended(guard, "old", Settled.WRONG)
    assert guard.enter("bob", "old", now=NOW) is Entrance.ASK


@pytest.mark.parametrize("how", [Settled.REFUSED, Settled.NOT_SENT])
def test_what_is_no_failure_is_not_counted(how: Settled) -> None:
    guard = Guard(threshold=2, window=100)
    for _ in range(5):
        ended(guard, "x", how)


def test_the_memory_is_bounded_and_keeps_those_under_way() -> None:
    guard = Guard(threshold=2, window=100, most=3)
    assert guard.enter("first", "x", now=NOW) is Entrance.ASK
    for number in range(10):
        guard.enter(f"user{number}", "x", now=NOW)
        guard.settle(f"user{number}", "x", Settled.WRONG, now=NOW)
    assert len(guard) == 3
    assert guard.enter("first", "y", now=NOW) is Entrance.WAIT
