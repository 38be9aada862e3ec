"""Times, sizes and spans as nsc's users type them."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.cli.quantities import QuantityError, count, distance, iso, moment, nanoseconds, size, stamp
from issuer.errors import AccreditError

# 2023-11-14 22:13:20
NOW = 1_700_000_000
DAY = 86400


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("0", 0),
        ("", 0),
        ("10m", NOW + 600),
        ("4h", NOW + 4 * 3600),
        ("3d", NOW + 3 * DAY),
        ("2w", NOW + 14 * DAY),
        ("1M", at("2023-12-14T22:13:20")),
        ("3M", at("2024-02-14T22:13:20")),
        ("14M", at("2025-01-14T22:13:20")),
        ("1y", at("2024-11-14T22:13:20")),
        ("-1d", NOW - DAY),
        ("2030-06-01", at("2030-06-01")),
        ("2030-06-01T10:00:00Z", at("2030-06-01T10:00:00")),
        ("2030-06-01T12:00:00+02:00", at("2030-06-01T10:00:00")),
        ("2030-06-01 10:00:00 UTC", at("2030-06-01T10:00:00")),
    ],
)
def test_a_time(text: str, second: int) -> None:
    assert moment(text, NOW, at="--expiry") == second


def test_a_month_after_the_31st_runs_over_as_in_go() -> None:
    assert moment("1M", at("2023-01-31"), at="x") == at("2023-03-03")
    assert moment("1y", at("2024-02-29"), at="x") == at("2025-03-01")


@pytest.mark.parametrize(
    "text", ["3", "d", "3x", "2030-13-01", "tomorrow", "1.5d", "9999999y", "-9999y", "\uff13d", "1970-01-01"]
)
def test_what_is_no_time_is_said_with_its_flag(text: str) -> None:
    with pytest.raises(QuantityError) as caught:
        moment(text, NOW, at="--expiry")
    assert caught.value.at == "--expiry"
    assert repr(text) in caught.value.message


@pytest.mark.parametrize(("text", "second"), [("0", NOW), ("1600000000", 1_600_000_000), ("1h", NOW + 3600)])
def test_a_stamp_may_be_a_number_of_seconds(text: str, second: int) -> None:
    assert stamp(text, NOW, at="--at") == second


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("-1", -1), ("0", 0), ("1024", 1024), ("1k", 1000), ("1K", 1000), ("1kb", 1000), ("1kib", 1024),
        ("2 MiB", 2 * 1024**2), ("3g", 3 * 10**9), ("1t", 10**12), ("1tib", 1024**4), ("7b", 7),
    ],
)  # fmt: skip
def test_a_size(text: str, number: int) -> None:
    assert size(text, at="--data") == number


@pytest.mark.parametrize(
    "text", ["", "x", "1x", "1.5k", "--1", "-2", "1i", "99999999999999999999", "9999999999p", "1k k"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(QuantityError):
        size(text, at="--data")
    with pytest.raises(QuantityError):
        count(text, at="--conns")


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("500ms", 500_000_000), ("1m30s", 90 * 10**9), ("1.5s", 1_500_000_000), ("2h", 7200 * 10**9)],
)
def test_a_span(text: str, number: int) -> None:
    assert nanoseconds(text, at="x") == number


@pytest.mark.parametrize("text", ["", "5", "s", "1s2", "1 s", "-1s"])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(QuantityError):
        nanoseconds(text, at="x")


def test_how_far_away_a_time_is() -> None:
    assert distance(NOW, NOW) == "now"
    assert distance(NOW + 3600, NOW) == "in 1 hour"
    assert distance(NOW - 3 * DAY, NOW) == "3 days ago"
    assert iso(NOW) == "2023-11-14T22:13:20Z"


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_with_an_error_of_ours(text: str) -> None:
    readers = (
        partial(moment, text, NOW),
        partial(stamp, text, NOW),
        partial(size, text),
        partial(nanoseconds, text),
    )
    for read in readers:
        with suppress(AccreditError):
            assert read(at="x") < 2**63
