"""Changes to claims as values, and what they make of them. Pure.

The same change applies to a user, to a role's template and to an account's default
permissions, because the fields are the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from issuer.claims.fields import (
    CONNECTION_TYPES,
    Envelope,
    Permission,
    Permissions,
    ResponsePermission,
    TimeRange,
    clean_tags,
)
from issuer.claims.user import UserBody, UserTemplate
from issuer.errors import PeerError
from issuer.subjects import Subject

P = TypeVar("P", UserBody, UserTemplate, Permissions)
L = TypeVar("L", UserBody, UserTemplate)
E = TypeVar("E", bound=Envelope)


@dataclass(frozen=True, slots=True)
class PermissionChange:
    """Subjects to allow and deny; `remove` takes entries out wherever they stand."""

    allow_pub: tuple[str, ...] = ()
    allow_sub: tuple[str, ...] = ()
    deny_pub: tuple[str, ...] = ()
    deny_sub: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    responses: ResponsePermission | None = None
    remove_responses: bool = False

    def __bool__(self) -> bool:
        return self != PermissionChange()


@dataclass(frozen=True, slots=True)
class LimitChange:
    """Limits of a user or role; None leaves a field as it is."""

    subs: int | None = None
    data: int | None = None
    payload: int | None = None
    bearer: bool | None = None
    proxy_required: bool | None = None
    add_networks: tuple[str, ...] = ()
    remove_networks: tuple[str, ...] = ()
    add_times: tuple[TimeRange, ...] = ()
    remove_times: tuple[str, ...] = ()
    locale: str | None = None
    add_connection_types: tuple[str, ...] = ()
    remove_connection_types: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self != LimitChange()


@dataclass(frozen=True, slots=True)
class TagChange:
    """Tags to add and to take away; written trimmed and in lower case."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Validity:
    """When a token starts and stops being valid, in unix seconds; 0 lifts the bound, None keeps it."""

    starts: int | None = None
    expires: int | None = None


def with_permissions(body: P, change: PermissionChange) -> P:
    """The permissions after a change; removing comes before adding."""
    fields: dict[str, Any] = {}
    for name, allow, deny in (
        ("pub", change.allow_pub, change.deny_pub),
        ("sub", change.allow_sub, change.deny_sub),
    ):
        permission: Permission = getattr(body, name)
        fields[name] = msgspec.structs.replace(
            permission,
            allow=_merged(permission.allow, allow, change.remove),
            deny=_merged(permission.deny, deny, change.remove),
        )
    if change.remove_responses:
        fields["resp"] = None
    elif change.responses is not None:
        fields["resp"] = change.responses
    return msgspec.structs.replace(body, **fields)


def with_limits(body: L, change: LimitChange) -> L:
    """The limits after a change.

    Raises:
        PeerError: a connection type nobody knows.
    """
    given = (
        ("subs", change.subs),
        ("data", change.data),
        ("payload", change.payload),
        ("bearer_token", change.bearer),
        ("proxy_required", change.proxy_required),
        ("times_location", change.locale),
    )
    fields: dict[str, Any] = {name: value for name, value in given if value is not None}
    fields["src"] = merged_tags(body.src, TagChange(change.add_networks, change.remove_networks))
    gone = set(change.remove_times)
    times: dict[str, TimeRange] = {}
    for window in (*body.times, *change.add_times):
        # A claim has no hash, as it may hold unknown members.
        times.setdefault(f"{window.start}-{window.end}", window)
    fields["times"] = tuple(
        window for text, window in times.items() if text not in gone and window.start not in gone
    )
    fields["allowed_connection_types"] = _merged(
        body.allowed_connection_types,
        tuple(map(connection_type, change.add_connection_types)),
        tuple(map(connection_type, change.remove_connection_types)),
    )
    return msgspec.structs.replace(body, **fields)


def merged_tags(tags: Iterable[str], change: TagChange) -> tuple[str, ...]:
    gone = set(clean_tags(change.remove))
    # What is there stays as it was written: only what we add is brought to lower case.
    kept = [tag for tag in tags if tag.strip().lower() not in gone]
    added = [tag for tag in clean_tags(change.add) if tag not in kept]
    return (*kept, *added)


def connection_type(text: str) -> str:
    name = text.upper()
    if name not in CONNECTION_TYPES:
        raise PeerError(f"{text!r} is not a connection type", hint="one of " + ", ".join(CONNECTION_TYPES))
    return name


def time_range(text: str) -> TimeRange:
    """`08:00:00-17:00:00` as a window; whether the times make sense is a finding."""
    start, dash, end = text.partition("-")
    if not dash:
        raise PeerError(f"{text!r} is not a time window", hint="write it as 08:00:00-17:00:00")
    return TimeRange(start=start.strip(), end=end.strip())


def dated(claims: E, validity: Validity) -> E:
    """The claims with another validity."""
    fields: dict[str, int] = {}
    if validity.starts is not None:
        fields["nbf"] = validity.starts
    if validity.expires is not None:
        fields["exp"] = validity.expires
    return msgspec.structs.replace(claims, **fields) if fields else claims


def _merged(
    entries: tuple[Subject, ...] | tuple[str, ...], add: Iterable[str], remove: Iterable[str]
) -> tuple[Any, ...]:
    gone = set(remove)
    return tuple(dict.fromkeys([*(entry for entry in entries if entry not in gone), *add]))


NO_PERMISSIONS = PermissionChange()
NO_LIMITS = LimitChange()
NO_TAGS = TagChange()
NO_VALIDITY = Validity()

__all__ = [
    "NO_LIMITS",
    "NO_PERMISSIONS",
    "NO_TAGS",
    "NO_VALIDITY",
    "LimitChange",
    "PermissionChange",
    "TagChange",
    "Validity",
    "connection_type",
    "dated",
    "merged_tags",
    "time_range",
    "with_limits",
    "with_permissions",
]
