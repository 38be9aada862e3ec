from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.enforcement.times import Window, window_at
from issuer.claims.fields import TimeRange

DAY = datetime(2024, 5, 15, tzinfo=UTC)


def at(text: str, zone: tzinfo = UTC, *, day: datetime = DAY) -> float:
    clock = datetime.strptime(text, "%H:%M:%S.%f" if "." in text else "%H:%M:%S")  # noqa: DTZ007
    return datetime.combine(day.date(), clock.time(), tzinfo=zone).timestamp()


def ranges(*texts: str) -> tuple[TimeRange, ...]:
    made = []
    for text in texts:
        start, end = text.split("-")
        made.append(TimeRange(start=start, end=end))
    return tuple(made)


@pytest.mark.parametrize(
    ("windows", "now", "closes_in"),
    [
        (("11:00:00-22:00:00",), "13:00:00", 9 * 3600),
        (("11:00:00-22:00:00",), "11:00:00", None),
        (("11:00:00-22:00:00",), "11:00:00.25", 11 * 3600 - 0.25),
        (("11:00:00-22:00:00",), "22:00:00", None),
        (("11:00:00-22:00:00",), "10:59:59", None),
        # Across midnight.
        (("22:00:00-06:00:00",), "05:00:00", 3600),
        (("22:00:00-06:00:00",), "23:30:00", 6.5 * 3600),
        (("22:00:00-06:00:00",), "22:00:00", None),
        (("22:00:00-06:00:00",), "06:00:00", None),
        (("22:00:00-06:00:00",), "12:00:00", None),
        # Start and end together are no time at all.
        (("10:00:00-10:00:00",), "10:00:00", None),
        # The one that lasts longest counts.
        (("11:00:00-14:00:00", "12:00:00-15:00:00", "12:00:00-13:30:00"), "13:00:00", 2 * 3600),
        (("01:00:00-02:00:00", "12:00:00-13:30:00"), "13:00:00", 1800),
        (("9:00:00-21:00:00.5",), "13:00:00", 8 * 3600),
        # One that cannot be read closes all.
        (("12:00:00-15:00:00", "25:00:00-26:00:00"), "13:00:00", None),
        (("12:00-15:00",), "13:00:00", None),
    ],
)
def test_windows_of_a_day(windows: tuple[str, ...], now: str, closes_in: float | None) -> None:
    moment = at(now)
    found = window_at(ranges(*windows), "", moment, local=UTC)
    assert found == (Window(open=False) if closes_in is None else Window(open=True, until=moment + closes_in))


def test_without_windows_it_is_always_open() -> None:
    assert window_at((), "Mars/Olympus", at("13:00:00")) == Window(open=True)


@pytest.mark.parametrize(
    ("location", "is_open"),
    [
        ("", True),
        ("Local", True),
        ("UTC", False),
        ("Europe/Berlin", True),
        ("America/New_York", False),
        ("Mars/Olympus", False),
        ("../etc/passwd", False),
        ("/etc/localtime", False),
    ],
)
def test_clocks_are_read_where_the_claim_says_else_where_the_server_is(
    location: str, *, is_open: bool
) -> None:
    here = timezone(timedelta(hours=2))
    found = window_at(ranges("14:00:00-16:00:00"), location, at("13:00:00"), local=here)
    assert found.open is is_open
    if is_open:
        assert found.until == at("14:00:00")


def test_the_machines_zone_is_the_default() -> None:
    moment = at("12:00:00")
    shown = datetime.fromtimestamp(moment, UTC).astimezone()
    before, after = shown - timedelta(minutes=5), shown + timedelta(minutes=5)
    if before.date() == after.date():
        window = TimeRange(start=f"{before:%H:%M:%S}", end=f"{after:%H:%M:%S}")
        assert window_at((window,), "", moment) == Window(open=True, until=moment + 300)


# Clocks in Berlin went from 2 to 3 on 31 March 2024, and from 3 back to 2 on 27 October.
@pytest.mark.parametrize(
    ("window", "now", "until"),
    [
        # 02:30 is never shown; read with the offset before the jump it is 03:30.
        ("02:30:00-05:00:00", "2024-03-31T01:15:00", None),
        ("02:30:00-05:00:00", "2024-03-31T01:45:00", "2024-03-31T03:00:00"),
        ("01:00:00-02:30:00", "2024-03-31T00:30:00", "2024-03-31T01:30:00"),
        # 02:30 is shown twice; the second time counts.
        ("01:00:00-02:30:00", "2024-10-27T00:45:00", "2024-10-27T01:30:00"),
        ("01:00:00-02:30:00", "2024-10-27T01:45:00", None),
        ("22:00:00-06:00:00", "2024-10-26T21:00:00", "2024-10-27T05:00:00"),
    ],
)
def test_days_on_which_clocks_jump(window: str, now: str, until: str | None) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp()
    closes = None if until is None else datetime.fromisoformat(until).replace(tzinfo=UTC).timestamp()
    assert window_at(ranges(window), "Europe/Berlin", moment) == Window(closes is not None, closes)


clock = st.tuples(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))


@given(clock, clock, st.integers(0, 86_399_999), st.sampled_from(["UTC", "Asia/Kolkata", "America/St_Johns"]))
def test_a_window_holds_what_lies_between_its_clocks(
    start: tuple[int, int, int], end: tuple[int, int, int], milliseconds: int, zone: str
) -> None:
    day = datetime(2024, 5, 15, tzinfo=ZoneInfo(zone))
    moment = day.timestamp() + milliseconds / 1000
    opens, closes = (hour * 3600 + minute * 60 + second for hour, minute, second in (start, end))
    place = milliseconds / 1000
    inside = opens < place < closes if opens <= closes else (place < closes or opens < place)
    window = TimeRange(start="{:02}:{:02}:{:02}".format(*start), end="{:02}:{:02}:{:02}".format(*end))
    found = window_at((window,), zone, moment)
    assert found.open is inside
    if found.until is not None:
        assert (found.until - day.timestamp()) % 86_400 == closes
        assert 0 < found.until - moment <= 86_400


def test_more_windows_never_let_less_in() -> None:
    shown = ("01:00:00-05:00:00", "04:00:00-09:00:00", "22:00:00-02:00:00")
    moment = at("04:30:00")
    for some in itertools.combinations(shown, 2):
        each = [window_at(ranges(one), "UTC", moment) for one in some]
        both = window_at(ranges(*some), "UTC", moment)
        assert both.open is any(one.open for one in each)
        assert both.until == max((one.until for one in each if one.until), default=None)
