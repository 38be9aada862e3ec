"""The pieces of a request over accounts that are bytes in, bytes out."""

from __future__ import annotations

import pytest

from broker.imports import header_value, with_header

NAME = b"Nats-Request-Info"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"NATS/1.0\r\nNats-Request-Info: v\r\n\r\n"),
        (b"NATS/1.0\r\n\r\n", b"NATS/1.0\r\nNats-Request-Info: v\r\n\r\n"),
        (b"NATS/1.0\r\nA: b\r\n\r\n", b"NATS/1.0\r\nA: b\r\nNats-Request-Info: v\r\n\r\n"),
        (
            b"NATS/1.0\r\nNats-Request-Info: forged\r\nA: b\r\n\r\n",
            b"NATS/1.0\r\nA: b\r\nNats-Request-Info: v\r\n\r\n",
        ),
        (b"NATS/1.0 503\r\n\r\n", b"NATS/1.0 503\r\nNats-Request-Info: v\r\n\r\n"),
    ],
)
def test_a_header_is_set_in_place_of_any_other_of_its_name(before: bytes, after: bytes) -> None:
    assert with_header(before, NAME, b"v") == after


def test_a_header_is_found_by_its_exact_name() -> None:
    block = b"NATS/1.0\r\nA: one \r\nNats-Request-Info: {}\r\n\r\n"
    assert header_value(block, b"A") == b"one"
    assert header_value(block, NAME) == b"{}"
    assert header_value(block, b"a") is None
    assert header_value(b"", NAME) is None
