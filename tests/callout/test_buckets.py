"""Nobody gets more than the burst and the rate, and memory has an end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from callout.admission_settings import Rate
from callout.buckets import Buckets


@given(st.floats(0.01, 100), st.integers(1, 20), st.lists(st.floats(0, 10), max_size=60))
def test_never_more_than_burst_and_rate(rate: float, burst: int, pauses: list[float]) -> None:
    buckets = Buckets(Rate(per_second=rate, burst=burst))
    now, taken = 0.0, 0
    for pause in pauses:
        now += pause
        taken += buckets.ask("a", now=now) == 0
        assert taken <= burst + now * rate + 1e-6


def test_who_waits_as_told_gets_one() -> None:
    buckets = Buckets(Rate(per_second=0.5, burst=1))
    assert buckets.ask("a", now=0) == 0
    wait = buckets.ask("a", now=0)
    assert wait == 2
    assert buckets.ask("b", now=0) == 0
    assert buckets.ask("a", now=wait) == 0


def test_a_clock_that_goes_back_gives_nothing() -> None:
    buckets = Buckets(Rate(per_second=1, burst=1))
    assert buckets.ask("a", now=100) == 0
    assert buckets.ask("a", now=0) > 0


def test_memory_has_an_end() -> None:
    buckets = Buckets(Rate(per_second=1, burst=1), most=10)
    for number in range(1000):
        buckets.ask(str(number), now=0)
    assert len(buckets) == 10
