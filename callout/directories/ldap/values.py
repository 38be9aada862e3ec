"""The forms directories write values in: ids, times, and the id of a group made from that of a person."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from typing import Final

# LDAP's generalized time: fraction and minutes may be left out (RFC 4517 §3.3.13).
_GENERALIZED: Final = re.compile(
    r"(\d{4})(\d\d)(\d\d)(\d\d)(?:(\d\d)(\d\d)?)?(?:[.,](\d{1,9}))?(Z|[+-]\d\d(?:\d\d)?)"
)
_EPOCH_OF_FILES: Final = 11_644_473_600
"""Seconds from 1601 to 1970; Active Directory counts 100 ns from there (MS-DTYP §2.3.3)."""
_NEVER: Final = 0x7FFF_FFFF_FFFF_FFFF


def seconds_of(text: str) -> float | None:
    """A generalized time as seconds since 1970; None if it is none."""
    found = _GENERALIZED.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour = (int(part) for part in found.group(1, 2, 3, 4))
    minute, second = int(found[5] or 0), int(found[6] or 0)
    try:
        moment = dt.datetime(year, month, day, hour, minute, min(second, 59), tzinfo=dt.UTC)
        zone = 0 if found[8] == "Z" else _zone(found[8])
        return moment.timestamp() - zone + float(f"0.{found[7] or 0}")
    except (ValueError, OverflowError):
        return None


def _zone(text: str) -> int:
    seconds = int(text[1:3]) * 3600 + int(text[3:5] or 0) * 60
    return -seconds if text[0] == "-" else seconds


def seconds_of_file_time(ticks: int | None) -> float | None:
    """A time of Active Directory as seconds since 1970; None where it means never."""
    if ticks is None or ticks <= 0 or ticks >= _NEVER:
        return None
    return ticks / 10_000_000 - _EPOCH_OF_FILES


def uuid_of_guid(raw: bytes) -> str | None:
    """An objectGUID as text: its first three parts stand in little-endian order (MS-DTYP §2.3.4)."""
    return str(uuid.UUID(bytes_le=raw)) if len(raw) == 16 else None


def guid_of_uuid(text: str) -> bytes | None:
    parsed = _parsed(text)
    return parsed.bytes_le if parsed else None


def uuid_of(text: str) -> str | None:
    """An entryUUID in its one spelling (RFC 4530)."""
    parsed = _parsed(text)
    return str(parsed) if parsed else None


def sid_of_group(person: bytes, group: int) -> bytes | None:
    """The SID of a group of the person's domain: another last part (MS-DTYP §2.4.2.2)."""
    if len(person) < 12 or len(person) != 8 + 4 * person[1] or not 0 <= group < 2**32:
        return None
    return person[:-4] + group.to_bytes(4, "little")


def _parsed(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if len(text) == 36 else None
    except ValueError:
        return None
