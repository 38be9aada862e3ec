"""Ids and times as directories write them."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout.directories.ldap.values import (
    guid_of_uuid,
    seconds_of,
    seconds_of_file_time,
    sid_of_group,
    uuid_of,
    uuid_of_guid,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("19700101000000Z", 0),
        ("20261123215914Z", 1795471154),
        ("20261123215914.5Z", 1795471154.5),
        ("20261123215914,25Z", 1795471154.25),
        ("202611232159Z", 1795471140),
        ("2026112321Z", 1795467600),
        ("20261123225914+0100", 1795471154),
        ("20261123165914-0500", 1795471154),
        ("20261123165914-05", 1795471154),
        # A leap second.
        ("20161231235960Z", 1483228799),
    ],
)
def test_generalized_times(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "2026", "20261323000000Z", "20261123215914", "20261123T215914Z", "000001010000Z", "99999999999999Z"],
)
def test_what_is_no_time(text: str) -> None:
    assert seconds_of(text) is None


@given(st.text(max_size=20))
def test_whatever_is_written_is_a_time_or_none(text: str) -> None:
    seconds_of(text)


@given(st.integers(1, 300_000_000_000))
def test_times_of_active_directory_count_from_1601(seconds: int) -> None:
    began = dt.datetime(1601, 1, 1, tzinfo=dt.UTC).timestamp()
    assert seconds_of_file_time(seconds * 10_000_000) == began + seconds


@pytest.mark.parametrize("ticks", [None, 0, -1, 0x7FFF_FFFF_FFFF_FFFF])
def test_never(ticks: int | None) -> None:
    assert seconds_of_file_time(ticks) is None


@given(st.uuids())
def test_ids_in_both_orders(found: uuid.UUID) -> None:
    assert uuid_of_guid(found.bytes_le) == str(found)
    assert guid_of_uuid(str(found)) == found.bytes_le
    assert uuid_of(str(found).upper()) == str(found)


@pytest.mark.parametrize("text", ["", "x" * 36, "{00000000-0000-0000-0000-000000000000}", "0" * 32])
def test_what_is_no_id(text: str) -> None:
    assert uuid_of(text) is None
    assert guid_of_uuid(text) is None
    assert uuid_of_guid(text.encode()) is None


def test_the_primary_group_is_in_the_domain_of_its_member() -> None:
    person = bytes.fromhex("010500000000000515000000d467aec8af0583293bf67555" + "4e040000")
    assert sid_of_group(person, 513) == person[:-4] + (513).to_bytes(4, "little")
    assert sid_of_group(person, -1) is None
    assert sid_of_group(person[:-1], 513) is None
    assert sid_of_group(b"", 513) is None
