from __future__ import annotations

import pytest

from broker.enforcement.networks import from_networks


@pytest.mark.parametrize(
    ("networks", "address", "inside"),
    [
        ((), "127.0.0.1", True),
        ((), "", True),
        (("127.0.0.0/8",), "127.0.0.1", True),
        (("10.0.0.0/8", "127.0.0.1/32"), "127.0.0.1", True),
        (("10.0.0.0/8",), "127.0.0.1", False),
        (("127.0.0.9/8",), "127.0.0.1", True),  # bits beyond the prefix mean nothing
        (("::1/128",), "::1", True),
        (("::1/128",), "127.0.0.1", False),
        (("::/0",), "127.0.0.1", False),
        (("0.0.0.0/0",), "::1", False),
        (("0.0.0.0/0",), "127.0.0.1", True),
        (("::ffff:127.0.0.0/104",), "127.0.0.1", True),
        (("::ffff:0:0/90",), "127.0.0.1", False),
        (("127.0.0.0/8",), "::ffff:127.0.0.1", True),
        (("fe80::/10",), "fe80::1", True),
        (("fe80::/10",), "fe80::1%eth0", False),
        (("127.0.0.0/8",), "", False),
        (("127.0.0.0/8",), "localhost", False),
        # An unreadable one ends the search, as only a role's can be unreadable here.
        (("x", "127.0.0.0/8"), "127.0.0.1", False),
        (("127.0.0.0/8", "x"), "127.0.0.1", True),
        (("127.0.0.0",), "127.0.0.1", False),
        (("127.0.0.0/33",), "127.0.0.1", False),
        (("127.0.0.0/-1",), "127.0.0.1", False),
    ],
)
def test_which_addresses_networks_let_in(networks: tuple[str, ...], address: str, *, inside: bool) -> None:
    assert from_networks(networks, address) is inside
