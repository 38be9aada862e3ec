"""Whom an address is counted with, where somebody may only do so much."""

from __future__ import annotations

import ipaddress
from typing import Final

_HOST_BITS: Final = 64


def neighbours(address: str) -> str:
    """The name it is counted under: of IPv6 everybody in its /64, which one host can have whole."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.IPv6Address(int(found) >> _HOST_BITS << _HOST_BITS))
    return str(found)
