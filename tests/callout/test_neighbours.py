"""Which addresses count together."""

from __future__ import annotations

import pytest

from callout.neighbours import neighbours


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
    assert (neighbours(one) == neighbours(other)) is same


def test_what_is_no_address_counts_by_itself_and_is_not_long() -> None:
    assert neighbours("no address " * 20) == ("no address " * 20)[:64]
