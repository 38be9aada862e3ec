"""Who is refused again and again waits a little for his answer, and never long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout.admission_settings import Slowing
from callout.refusals import Reason
from callout.slowing import Slow, theirs


def test_from_the_fifth_in_a_minute_on_and_longer_each_time() -> None:
    slow = Slow(Slowing())
    pauses = [slow.refused("192.0.2.1", now=float(second)) for second in range(10)]
    assert pauses == [0, 0, 0, 0, 0.05, 0.1, 0.2, 0.4, 0.5, 0.5]


def test_another_address_has_nothing_to_do_with_it() -> None:
    slow = Slow(Slowing(free=0))
    assert slow.refused("192.0.2.1", now=0) > 0
    assert [Slow(Slowing(free=1)).refused(address, now=0) for address in ("192.0.2.2", "")] == [0, 0]


def test_after_a_while_it_is_forgotten() -> None:
    slow = Slow(Slowing(free=1, window=60))
    assert [slow.refused("a", now=now) for now in (0.0, 1.0, 61.5)] == [0, 0.05, 0]


def test_it_can_be_turned_off() -> None:
    slow = Slow(Slowing(free=0, longest=0))
    assert [slow.refused("a", now=0) for _ in range(9)] == [0] * 9


def test_addresses_are_kept_in_bounded_memory() -> None:
    slow = Slow(Slowing(), most=10)
    for number in range(50):
        for _ in range(100):
            slow.refused(f"192.0.2.{number}", now=0)
    assert len(slow) == 10
    assert all(len(times) <= 21 for times in slow._kept.values())


@given(st.lists(st.tuples(st.floats(0, 30), st.sampled_from(["a", "b"])), max_size=80))
def test_no_pause_is_longer_than_the_longest(coming: list[tuple[float, str]]) -> None:
    slow, now = Slow(Slowing(free=2, longest=0.3)), 0.0
    for passed, address in coming:
        now += passed
        assert 0 <= slow.refused(address, now=now) <= 0.3


@pytest.mark.parametrize(
    ("reason", "counts"),
    [
        (Reason.CREDENTIALS_WRONG, True),
        (Reason.DENIED, True),
        (Reason.GUARDED, True),
        (Reason.DIRECTORY_DOWN, False),
        (Reason.OVERLOADED, False),
        (Reason.TOO_LATE, False),
        (Reason.LEDGER_DOWN, False),
        (Reason.NO_POLICY, False),
        (Reason.GROUPS_INCOMPLETE, False),
        (Reason.FAULT, False),
    ],
)
def test_what_is_our_own_fault_slows_nobody(reason: Reason, counts: bool) -> None:
    assert theirs(reason) is counts
