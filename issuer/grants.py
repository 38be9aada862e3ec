"""Who somebody is, as a directory vouches for it: the words shared by callout, store and audit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

_ENCODER: Final = msgspec.json.Encoder(order="sorted")
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

    def standing(self) -> Identity:
        """What is true of it at every login: without when, until when and with what it was proved."""
        return msgspec.structs.replace(self, authenticated_at=None, expires_at=None, credential="")

    def document(self) -> bytes:
        """Its standing part as canonical JSON."""
        return _ENCODER.encode(self.standing())

    def digest(self) -> str:
        """Tells whether anything that is true of it at every login has changed."""
        return hashlib.sha256(self.document()).hexdigest()[:32]


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One token that an identity was given; times are seconds since 1970.

    Of a connection, as a server asked for it, or portable: then there is no server and no client id.
    """

    id: int = 0
    user_key: str
    """Made by the server for this connection: its token is for no other. A portable one is its owner's."""
    identity: str
    """Digest of the identity as it was then: `Identity.digest()`."""
    issuer: str
    subject: str
    name: str
    kind: Kind
    directory: str
    groups_hash: str
    bindings: tuple[str, ...]
    policy_version: int
    account: str
    role: str
    server_id: str
    server: str
    client_id: int
    address: str
    connection_type: str = ""
    proved_at: int | None = None
    """`Identity.authenticated_at`, which is no part of the digest."""
    started_at: int
    expires_at: int
    ended_at: int | None = None
    reason: str = ""
    """Why it ended, in the server's words."""

    @property
    def portable(self) -> bool:
        """Whether its token can be shown again, at any server."""
        return not self.server_id


class Target(StrEnum):
    """What a denial is about."""

    IDENTITY = "identity"
    GROUP = "group"
    DIRECTORY = "directory"
    BINDING = "binding"
    EVERYBODY = "everybody"


class Denial(msgspec.Struct, frozen=True, kw_only=True):
    """Who is not let in whatever the policy says, until it is lifted."""

    id: int = 0
    target: Target
    issuer: str = ""
    """Of an identity or a group; empty: of any issuer."""
    value: str = ""
    """A subject, a group, or the name of a directory or binding."""
    before: int | None = None
    """Denied is only what was proved before this second; None: whatever is shown."""
    reason: str = ""
    created_at: int = 0

    def denies(self, identity: Identity, bindings: tuple[str, ...] = ()) -> bool:
        """Whether it keeps this identity out, or who came by one of these bindings."""
        if self.before is not None:
            # Who cannot say when it was proved is taken to have proved it long ago.
            proved = identity.authenticated_at
            if proved is not None and proved >= self.before:
                return False
        if self.issuer not in {"", identity.issuer}:
            return False
        match self.target:
            case Target.IDENTITY:
                return self.value == identity.subject
            case Target.GROUP:
                return self.value in identity.groups
            case Target.DIRECTORY:
                return self.value == identity.directory
            case Target.BINDING:
                return self.value in bindings
            case Target.EVERYBODY:
                return True


def groups_hash(groups: tuple[str, ...]) -> str:
    """Tells whether somebody's groups are the same as they were, and not which they are."""
    return hashlib.sha256("\x00".join(sorted(groups)).encode()).hexdigest()[:32]
