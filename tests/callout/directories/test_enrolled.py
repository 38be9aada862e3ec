"""What is asked of an entry once its credential is proved."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout.directories.enrolled import Enrolled, admit, comes_from
from callout.directories.reading import DirectorySettingsError
from callout.refusals import LoginRefusedError, Reason


def refused(entry: Enrolled, *, address: str = "192.0.2.7", now: float = 100.0) -> Reason | None:
    try:
        admit(entry, address=address, now=now)
    except LoginRefusedError as error:
        return error.reason
    return None


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (Enrolled(), None),
        (Enrolled(disabled=True), Reason.DISABLED),
        (Enrolled(expires_at=101), None),
        (Enrolled(expires_at=100), Reason.CREDENTIALS_EXPIRED),
        (Enrolled(networks=("192.0.2.0/24",)), None),
        (Enrolled(networks=("198.51.100.0/24", "192.0.2.7/32")), None),
        (Enrolled(networks=("192.0.2.8/29", "2001:db8::/32")), Reason.NETWORK),
        (Enrolled(disabled=True, expires_at=1, networks=("10.0.0.0/8",)), Reason.DISABLED),
    ],
)
def test_who_may_come_in(entry: Enrolled, reason: Reason | None) -> None:
    assert refused(entry) is reason


@pytest.mark.parametrize("address", ["", "localhost", "192.0.2.7:4222", "192.0.2.07", "0xC0000207", "::"])
def test_what_is_no_address_of_a_network_is_in_none(address: str) -> None:
    assert not comes_from(address, ("192.0.2.0/24", "0.0.0.0/1"))


def test_an_ipv4_client_is_one_on_a_server_that_listens_on_both() -> None:
    assert comes_from("::ffff:192.0.2.7", ("192.0.2.0/24",))
    assert not comes_from("::ffff:192.0.2.7", ("198.51.100.0/24",))
    assert comes_from("2001:db8::1", ("2001:db8::/32",))


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_an_address_is_in_its_own_networks(address: Any, length: int) -> None:
    shift = 32 - length
    base = f"{address.__class__(int(address) >> shift << shift)}/{length}"
    assert comes_from(str(address), (base,))


@pytest.mark.parametrize(
    ("members", "at"),
    [
        ({"networks": ("192.0.2.7/24",)}, "networks"),
        ({"networks": ("x",)}, "networks"),
        ({"networks": ("",)}, "networks"),
        ({"groups": ("",)}, "groups"),
        ({"groups": ("a\n",)}, "groups"),
        ({"subject": " a"}, "subject"),
        ({"subject": "a" * 300}, "subject"),
        ({"name": "a\x00"}, "name"),
    ],
)
def test_what_could_not_be_meant(members: dict[str, Any], at: str) -> None:
    with pytest.raises(DirectorySettingsError) as error:
        Enrolled(**members)
    assert error.value.at == at
