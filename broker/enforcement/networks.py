"""Whether an address is in a network, as the server reads both."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_MAPPED_BITS = 96


def from_networks(networks: Sequence[str], address: str) -> bool:
    """Whether an address is in one of these; none at all let everybody in, an unreadable one nobody."""
    if not networks:
        return True
    place = _address(address)
    if place is None:
        return False
    for text in networks:
        network = _network(text)
        if network is None:
            return False
        if place.version == network.version and place in network:
            return True
    return False


def _address(text: str) -> Address | None:
    if "%" in text:
        return None
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return _unmapped(found)


def _unmapped(address: Address) -> Address:
    # For the server an IPv4 address in IPv6 clothes is an IPv4 address.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


@lru_cache(maxsize=4096)
def _network(text: str) -> Network | None:
    base, slash, length = text.partition("/")
    if not slash or "%" in base or not (length.isascii() and length.isdigit()):
        return None
    try:
        network = ipaddress.ip_network((base, int(length)), strict=False)
    except ValueError:
        return None
    address = _unmapped(network.network_address)
    if isinstance(network, ipaddress.IPv6Network) and isinstance(address, ipaddress.IPv4Address):
        return ipaddress.IPv4Network((address, network.prefixlen - _MAPPED_BITS))
    return network
