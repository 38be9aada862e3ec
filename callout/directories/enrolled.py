"""What we know ourselves of somebody who was enrolled with us: behind an API key, a password, a device key.

A credential is proved first, and only then is it told what is wrong with its owner: who cannot prove one
must not learn that it exists, is shut or has ended.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar, Final, Generic, TypeVar

import msgspec

from callout.directories.directory import Credentials
from callout.directories.reading import DirectorySettingsError
from callout.refusals import LoginRefusedError, Reason
from issuer.grants import Attribute, Identity, Kind

L = TypeVar("L")
MAX_TEXT: Final = 256
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Enrolled(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of a ledger.

    Raises:
        DirectorySettingsError: when it is made, for a value that could not be meant.
    """

    subject: str = ""
    """Whose the credential is. Empty: the credential's own id. Two keys of one subject are one identity,
    so that an old and a new one can be valid at once while they are exchanged."""
    name: str = ""
    """For people to read; empty: the subject."""
    kind: Kind = Kind.DEVICE
    groups: tuple[str, ...] = ()
    attributes: Mapping[str, Attribute] = {}
    networks: tuple[str, ...] = ()
    """Where it may come from, as `192.0.2.0/24`; empty is anywhere."""
    expires_at: int | None = None
    """Seconds since 1970; from then on it is worth nothing."""
    made_at: int | None = None
    """Seconds since 1970."""
    disabled: bool = False

    def __post_init__(self) -> None:
        for at in ("subject", "name"):
            _sound(getattr(self, at), at)
        for group in self.groups:
            if not group:
                raise DirectorySettingsError("holds an empty name", at="groups")
            _sound(group, "groups")
        for text in self.networks:
            network(text)


def network(text: str) -> Network:
    """A network in CIDR notation.

    Raises:
        DirectorySettingsError: it is none, or has bits set behind its prefix.
    """
    try:
        return _network(text)
    except ValueError:
        raise DirectorySettingsError(
            f"{text!r} is no network", at="networks", hint="write it as 192.0.2.0/24 or 2001:db8::/32"
        ) from None


def admit(entry: Enrolled, *, address: str, now: float) -> None:
    """Whether its owner may come in now, and from there. To be asked when the credential is proved.

    Raises:
        LoginRefusedError: it is shut, has ended, or comes from elsewhere.
    """
    if entry.disabled:
        raise LoginRefusedError(Reason.DISABLED, "it is disabled")
    if entry.expires_at is not None and now >= entry.expires_at:
        raise LoginRefusedError(
            Reason.CREDENTIALS_EXPIRED,
            f"it ended {int(now - entry.expires_at)} s ago",
            hint="issue a new one",
        )
    if entry.networks and not comes_from(address, entry.networks):
        raise LoginRefusedError(
            Reason.NETWORK, f"it may not come from {address or 'an unknown address'}", at="networks"
        )


def comes_from(address: str, networks: tuple[str, ...]) -> bool:
    """Whether the address is in one of the networks; what is no address is in none."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    # A server that listens on both writes an IPv4 client as ::ffff:192.0.2.7.
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return any((mapped or found) in _network(text) for text in networks)


def identity_of(
    entry: Enrolled,
    *,
    directory: str,
    issuer: str,
    own_id: str,
    credential: bytes,
    methods: tuple[str, ...],
    authenticated_at: int | None,
) -> Identity:
    """Who is behind a proved credential; `credential` is what tells it from others, and is hashed here."""
    subject = entry.subject or own_id
    return Identity(
        issuer=issuer,
        subject=subject,
        name=entry.name or subject,
        directory=directory,
        kind=entry.kind,
        groups=tuple(sorted(set(entry.groups))),
        attributes=dict(entry.attributes),
        methods=methods,
        authenticated_at=authenticated_at,
        expires_at=entry.expires_at,
        credential=hashlib.sha256(credential).hexdigest()[:32],
    )


class EnrolledDirectory(Generic[L]):
    """What directories have in common that look a credential up in their ledger and need nothing besides."""

    realm: ClassVar[str]
    """What the issuers of their identities begin with."""

    def __init__(self, name: str, ledger: L) -> None:
        self._name = name
        self._ledger = ledger

    @property
    def name(self) -> str:
        return self._name

    async def start(self) -> None:
        """Nothing has to be made ready."""

    async def close(self) -> None:
        """Nothing is held."""

    def _admitted(
        self,
        entry: Enrolled,
        credentials: Credentials,
        *,
        now: float,
        own_id: str,
        credential: bytes,
        methods: tuple[str, ...],
        authenticated_at: int | None,
    ) -> Identity:
        """As `identity_of`, once the credential is proved.

        Raises:
            LoginRefusedError: as `admit`.
        """
        admit(entry, address=credentials.address, now=now)
        return identity_of(
            entry,
            directory=self._name,
            issuer=f"{self.realm}:{self._name}",
            own_id=own_id,
            credential=credential,
            methods=methods,
            authenticated_at=authenticated_at,
        )


@lru_cache(maxsize=4096)
def _network(text: str) -> Network:
    return ipaddress.ip_network(text)


def _sound(text: str, at: str) -> None:
    if len(text) > MAX_TEXT or not text.isprintable() or text != text.strip():
        raise DirectorySettingsError("is too long, or has blanks around it or control characters", at=at)
