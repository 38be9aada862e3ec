"""Who somebody is, as a directory vouches for it: the words shared by callout, store and audit."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

Attribute = str | int | bool | tuple[str, ...]
"""What is known of an identity under one name; several texts are a set whose order means nothing."""


class Kind(StrEnum):
    """What stands behind an identity."""

    PERSON = "person"
    SERVICE = "service"
    DEVICE = "device"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody, proved: only a directory makes one, after it has checked everything it can.

    `issuer` and `subject` together name the same person, service or device for ever: `subject` is
    never a name that may be given to somebody else (OIDC `sub`, entryUUID, objectGUID, the id of
    a key). Times are seconds since 1970.
    """

    issuer: str
    """The OIDC issuer, or `ldap:REALM`, `keys:NAME`, `certificates:NAME`."""
    subject: str
    name: str
    """For people to read, in events and CONNZ; not unique."""
    directory: str
    """The configured directory that vouches for it."""
    kind: Kind = Kind.PERSON
    groups: tuple[str, ...] = ()
    """Sorted, complete: a directory that knows only a part of them refuses."""
    attributes: Mapping[str, Attribute] = {}
    methods: tuple[str, ...] = ()
    """How it was proved (`amr`, RFC 8176)."""
    assurance: str = ""
    """How far that can be relied on (`acr`)."""
    authenticated_at: int | None = None
    """When a person last proved it (`auth_time`)."""
    expires_at: int | None = None
    """After it the proof is worth nothing; None where it does not age."""
    credential: str = ""
    """A digest that tells one credential from another and gives none away."""
