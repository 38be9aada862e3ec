from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout.policy.model import Window, Windows
from callout.policy.spans import parse_moment, parse_span, show_moment, show_span
from callout.policy.windows import open_until, parse_window, show_window, zone_of

HOUR = 3600


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


def windows(*texts: str, zone: str = "UTC") -> Windows:
    found = [parse_window(text) for text in texts]
    return Windows(tuple(window for window in found if window is not None), zone)


@pytest.mark.parametrize(
    ("texts", "now", "until"),
    [
        (["mon-fri 08:00-18:00"], "2026-11-23T08:00:00", "2026-11-23T18:00:00"),
        (["mon-fri 08:00-18:00"], "2026-11-23T17:59:59", "2026-11-23T18:00:00"),
        (["mon-fri 08:00-18:00"], "2026-11-23T18:00:00", None),
        (["mon-fri 08:00-18:00"], "2026-11-22T12:00:00", None),
        (["sat-mon 08:00-18:00"], "2026-11-22T12:00:00", "2026-11-22T18:00:00"),
        # Across midnight, and it is the day of the opening that counts.
        (["mon 22:00-06:00"], "2026-11-23T23:00:00", "2026-11-24T06:00:00"),
        (["mon 22:00-06:00"], "2026-11-24T05:59:59", "2026-11-24T06:00:00"),
        (["mon 22:00-06:00"], "2026-11-23T05:00:00", None),
        (["mon 00:00-24:00"], "2026-11-23T23:59:59", "2026-11-24T00:00:00"),
        # Windows that meet or overlap are one.
        (["mon 08:00-12:00", "mon 12:00-18:00"], "2026-11-23T09:00:00", "2026-11-23T18:00:00"),
        (["mon-tue 00:00-24:00"], "2026-11-23T09:00:00", "2026-11-25T00:00:00"),
        (["08:00-12:00", "10:00-14:00:30"], "2026-11-23T09:00:00", "2026-11-23T14:00:30"),
    ],
)
def test_when_windows_are_open(texts: list[str], now: str, until: str | None) -> None:
    expected = None if until is None else at(until)
    assert open_until(windows(*texts), at(now)) == expected


def test_windows_go_by_the_clocks_of_their_zone() -> None:
    berlin = windows("mon 08:00-18:00", zone="Europe/Berlin")
    assert open_until(berlin, at("2026-11-23T07:00:00")) == at("2026-11-23T17:00:00")
    assert open_until(berlin, at("2026-11-23T17:00:00")) is None


def test_a_window_follows_the_clocks_when_they_change() -> None:
    # On 2026-03-29 clocks in Berlin go from 2 to 3, on 2026-10-25 from 3 to 2.
    berlin = windows("00:00-06:00", zone="Europe/Berlin")
    for day, hours in (("2026-03-29", 5), ("2026-10-25", 7), ("2026-11-23", 6)):
        opens = at(f"{day}T00:00:00", "Europe/Berlin")
        assert open_until(berlin, opens) == opens + hours * HOUR


def test_always_open_ends_some_time() -> None:
    until = open_until(windows("00:00-24:00"), at("2026-11-23T12:00:00"))
    assert until is not None
    assert until < at("2027-02-01T00:00:00")


@pytest.mark.parametrize(
    "text",
    ["", "08:00", "8:00-9:00", "08:00-25:00", "08:60-09:00", "24:00-08:00", "08:00-08:00", "mon", "mon,mon 08:00-09:00",
     "mon-fri,tue 08:00-09:00", "Mon 08:00-09:00", "day 08:00-09:00", "08:00-24:01", "mon  08:00-09:00", "٠٨:٠٠-٠٩:٠٠"],
)  # fmt: skip
def test_what_is_no_window(text: str) -> None:
    assert parse_window(text) is None


clock = st.integers(0, 86_399)


@given(st.sets(st.integers(0, 6), min_size=1), clock, st.integers(1, 86_400))
def test_windows_are_read_as_they_are_written(days: set[int], start: int, end: int) -> None:
    if start != end:
        window = Window(tuple(sorted(days)), start, end)
        assert parse_window(show_window(window)) == window


@given(st.integers(-(10**12), 10**14))
def test_any_moment_can_be_asked_about(now: int) -> None:
    for zone in ("UTC", "Europe/Berlin", "nowhere"):
        until = open_until(Windows((Window((0, 3), 0, 3600),), zone), now)
        assert until is None or until > now


@pytest.mark.parametrize(
    "name", ["", "/etc/localtime", "../UTC", "Europe/..", "Europe//Berlin", "nowhere", "a\0b", "Europe"]
)
def test_what_is_no_zone(name: str) -> None:
    assert zone_of(name) is None


@given(st.integers(1, 10**9))
def test_spans_are_read_as_they_are_written(seconds: int) -> None:
    assert parse_span(show_span(seconds)) == seconds


@given(st.integers(0, 253_402_300_799))
def test_moments_are_read_as_they_are_written(second: int) -> None:
    assert parse_moment(show_moment(second)) == second


@pytest.mark.parametrize(
    "text", ["", "1", "1x", "m1", "1m1h", "1h1h", "-1h", "1.5h", " 1h", "1h ", "١h", "1y"]
)
def test_what_is_no_span(text: str) -> None:
    assert parse_span(text) is None


def test_a_moment_says_its_zone() -> None:
    assert parse_moment("2026-11-23T16:00:00+01:00") == int(
        datetime(2026, 11, 23, 15, tzinfo=UTC).timestamp()
    )
    assert parse_moment("2026-11-23T16:00:00") is None
    assert parse_moment("2026-13-01") is None
