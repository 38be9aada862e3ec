"""Permissions and the limits of a connection, as users and defaults carry them (claims spec §4.7)."""

from __future__ import annotations

import ipaddress
import re
import zoneinfo
from collections.abc import Sequence
from typing import Final

from issuer.claims.fields import Permission, Permissions, TimeRange
from issuer.claims.quoting import quoted
from issuer.claims.user import UserBody, UserTemplate
from issuer.findings.finding import Findings, error, step
from issuer.findings.subjects import subject

# Go's layout 15:04:05: one digit is enough for the hour, a fraction is tolerated.
_TIME: Final = re.compile(r"([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:[.,][0-9]+)?")
_PREFIX_LENGTH: Final = re.compile(r"0*([0-9]{1,3})")


def permissions(body: Permissions | UserBody | UserTemplate, at: str) -> Findings:
    yield from _permission(body.sub, at + "/sub", queue=True)
    yield from _permission(body.pub, at + "/pub", queue=False)


def _permission(permission: Permission, at: str, *, queue: bool) -> Findings:
    for name, entries in (("allow", permission.allow), ("deny", permission.deny)):
        for index, entry in enumerate(entries):
            yield from _entry(entry, f"{at}/{name}/{index}", queue=queue)


def _entry(entry: str, at: str, *, queue: bool) -> Findings:
    parts = entry.split(" ")
    if len(parts) > 2:
        words = f'Permission Subject "{entry}" contains too many spaces'
        yield error("permission.spaces", words, at)
        return
    for part in parts:
        yield from subject(part, at)
    if len(parts) > 1 and not queue:
        words = f'Permission Subject "{entry}" is not allowed to contain queue'
        yield error("permission.queue", words, at)


def networks(entries: Sequence[str], at: str) -> Findings:
    for index, entry in enumerate(entries):
        if not is_network(entry):
            words = f"invalid cidr {quoted(entry)} in user src limits"
            yield error("user.network", words, f"{at}/{index}")


def is_network(text: str) -> bool:
    """Whether Go takes it as CIDR: an address without zone, a slash and a prefix length."""
    address, slash, length = text.partition("/")
    found = _PREFIX_LENGTH.fullmatch(length)
    if not slash or "%" in address or not found:
        return False
    try:
        return int(found[1]) <= ipaddress.ip_address(address).max_prefixlen
    except ValueError:
        return False


def times(ranges: Sequence[TimeRange], at: str) -> Findings:
    for index, window in enumerate(ranges):
        for name, article in (("start", "a"), ("end", "an")):
            value = getattr(window, name)
            pointer = f"{at}/{index}/{name}"
            if not value:
                yield error(f"user.time-{name}", f"time ranges {name} must contain {article} {name}", pointer)
            elif not is_time(value):
                words = f"{name} in time range is invalid {quoted(value)}"
                yield error(f"user.time-{name}", words, pointer)


def is_time(text: str) -> bool:
    found = _TIME.fullmatch(text)
    return found is not None and int(found[1]) < 24 and int(found[2]) < 60 and int(found[3]) < 60


def location(name: str, at: str) -> Findings:
    fault = _zone_fault(name)
    if fault:
        yield error("user.time-zone", f"could not parse iana time zone by name: {fault}", at)


def _zone_fault(name: str) -> str:
    if name in {"", "UTC", "Local"}:
        return ""
    if ".." in name or name[0] in "/\\":
        return "time: invalid location name"
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return f"unknown time zone {name}"
    return ""


def connection(body: UserBody | UserTemplate, at: str) -> Findings:
    """Everything a user or a template says about connecting."""
    yield from permissions(body, at)
    yield from networks(body.src, at + step("src"))
    yield from times(body.times, at + step("times"))
    yield from location(body.times_location, at + step("times_location"))
