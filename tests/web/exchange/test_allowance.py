"""Nobody gets more than the burst and the rate, and memory has an end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.exchange.allowance import Allowance, neighbourhood


@given(st.floats(0.01, 100), st.integers(1, 20), st.lists(st.floats(0, 10), max_size=60))
def test_never_more_than_burst_and_rate(rate: float, burst: int, pauses: list[float]) -> None:
    allowance = Allowance(rate=rate, burst=burst)
    now, taken = 0.0, 0
    for pause in pauses:
        now += pause
        taken += allowance.take("a", now=now) == 0
        assert taken <= burst + now * rate + 1e-6


def test_who_waits_as_told_gets_one() -> None:
    allowance = Allowance(rate=0.5, burst=1)
    assert allowance.take("a", now=0) == 0
    wait = allowance.take("a", now=0)
    assert wait == 2
    assert allowance.take("b", now=0) == 0
    assert allowance.take("a", now=wait) == 0


def test_a_clock_that_goes_back_gives_nothing() -> None:
    allowance = Allowance(rate=1, burst=1)
    assert allowance.take("a", now=100) == 0
    assert allowance.take("a", now=0) > 0


def test_memory_has_an_end() -> None:
    allowance = Allowance(rate=1, burst=1, most=10)
    for number in range(1000):
        allowance.take(str(number), now=0)
    assert len(allowance) == 10


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("testclient", "testclient", True),
    ],
)
def test_addresses_that_count_together(one: str, other: str, same: bool) -> None:
    assert (neighbourhood(one) == neighbourhood(other)) is same
