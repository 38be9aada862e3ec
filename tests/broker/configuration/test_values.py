from __future__ import annotations

import pytest

from broker.configuration.syntax import parse
from broker.configuration.values import Data, DurationFault, digest, kind_of, nanoseconds
from tests.broker.configuration.reading_files import reader


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("-0", 0),
        ("2s", 2_000_000_000),
        ("1m30s", 90_000_000_000),
        ("1.5h", 5_400_000_000_000),
        ("-250ms", -250_000_000),
        ("+1us", 1000),
        ("1µs", 1000),
        ("1μs", 1000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("100ns", 100),
        ("0.1s", 100_000_000),
    ],
)
def test_durations(text: str, expected: int) -> None:
    assert nanoseconds(text) == expected


@pytest.mark.parametrize(
    "text", ["", "5", "s", "1d", "1 s", "1s ", ".s", "--1s", "1m-1s", "999999999h", "１s"]
)
def test_no_durations(text: str) -> None:
    with pytest.raises(DurationFault):
        nanoseconds(text)


def test_kinds_have_names() -> None:
    data: tuple[Data, ...] = (True, 1, 1.0, "", (), {})
    assert [kind_of(each) for each in data] == [
        "a boolean", "an integer", "a float", "a string", "an array", "a map",
    ]  # fmt: skip


def test_the_fingerprint_is_of_the_values_not_of_their_order_or_form() -> None:
    texts = ("port: 4222\ndebug: true", '{"debug": yes, port = 4222 } # x', "include a.conf\nport 4222")
    found = {
        digest(parse(text, file="x", environment={}, read=reader({"a.conf": "debug: on"}))) for text in texts
    }
    # What `nats-server -t` says of them.
    assert found == {"sha256:8d697893eada17225f028a97ac0a0cfbd85dfb1fe0f606aa6f327a81bf911795"}
