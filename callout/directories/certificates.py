"""Client certificates, where servers ask for them (mTLS), SPIFFE ids among them.

The server has verified the chain against whatever authorities its machine trusts; that says little about who
may be somebody here. So, step by step, the first that fails being the reason:

1. its issuer's key is pinned for this directory (`claims`, before anything is believed);
2. its chain is well formed, and the pinned key did sign the certificate;
3. it is a certificate of a client, not of an authority or a server alone;
4. its time is now, and that of its whole chain;
5. it was not withdrawn;
6. it names exactly one identity in the one place where this directory looks for it.

A client that shows anything besides its certificate is not claimed: certificates are often asked of
everybody, and what somebody shows on purpose counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from callout.directories.certificate_fields import (
    SOURCES,
    Source,
    authority_of,
    chain_of,
    is_client,
    pin_of,
    signed_by,
    source_of,
    spiffe_fault,
)
from callout.directories.directory import Credentials
from callout.directories.reading import DirectorySettingsError, child
from callout.refusals import LoginRefusedError, Reason
from issuer.grants import Attribute, Identity, Kind

MAX_CA_FILE: Final = 1024 * 1024
_PIN: Final = re.compile(r"[0-9a-f]{64}")
_SERIAL: Final = re.compile(r"[0-9a-f]{1,40}")
MAX_VALUE: Final = 2048


class Rule(StrEnum):
    """Where a certificate says whose it is."""

    SPIFFE = "spiffe"
    URI = "uri"
    DNS = "dns"
    EMAIL = "email"
    COMMON_NAME = "common-name"


_SOURCES: Final = {
    Rule.SPIFFE: "san.uri",
    Rule.URI: "san.uri",
    Rule.DNS: "san.dns",
    Rule.EMAIL: "san.email",
    Rule.COMMON_NAME: "subject.common-name",
}


class WithdrawnCertificates(Protocol):
    """Which certificates are no longer taken. Asked on the event loop: it answers from memory."""

    def withdrawn(self, issuer: str, serial: int) -> bool:
        """Whether the certificate of this number is; `issuer` is the pin of its authority."""


class ListedSerials:
    """Numbers as a file or a test lists them, of whatever authority."""

    def __init__(self, serials: Iterable[int]) -> None:
        self._serials = frozenset(serials)

    def withdrawn(self, issuer: str, serial: int) -> bool:
        return serial in self._serials


class CertificateSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One directory of certificates."""

    name: str
    issuers: tuple[str, ...] = ()
    """SHA-256 of the SubjectPublicKeyInfo of each authority that issues, in hex: `pin_of`. A pin outlives a
    renewal of the authority's certificate with the same key."""
    ca_file: Path | None = None
    """Certificates of authorities that issue (PEM): pinned as well. Needed for servers that tell of the
    client's certificate alone, without its chain."""
    identity: Rule
    trust_domain: str = ""
    """Of the SPIFFE ids that are taken; needed with them."""
    subject: Literal["spki", "spiffe"] = "spki"
    """What identities go by for ever: the digest of their own public key, or their SPIFFE id."""
    identity_kind: Kind = Kind.DEVICE
    attributes: Mapping[str, str] = {}
    """Name of an attribute, and where it is read: `subject.organizational-unit`, `san.dns`, `serial`."""
    withdrawn: tuple[str, ...] = ()
    """Serial numbers in hex that are refused, of whatever authority."""

    def __post_init__(self) -> None:
        if not self.issuers and self.ca_file is None:
            # Nothing to check means no.
            raise DirectorySettingsError("pins no authority", at="issuers", hint="or name a ca_file")
        for pin in self.issuers:
            if not _PIN.fullmatch(pin):
                raise DirectorySettingsError(
                    "is not a SHA-256 in 64 hex digits",
                    at="issuers",
                    hint="openssl x509 -in ca -noout -pubkey | openssl pkey -pubin -outform der | sha256sum",
                )
        for serial in self.withdrawn:
            if not _SERIAL.fullmatch(_plain(serial)):
                raise DirectorySettingsError(f"{serial!r} is no serial number in hex", at="withdrawn")
        for name, source in self.attributes.items():
            if source_of(source) is None:
                raise DirectorySettingsError(
                    f"{source!r} is nothing a certificate has", at=child("attributes", name), hint=SOURCES
                )
        if (self.identity is Rule.SPIFFE) != bool(self.trust_domain):
            raise DirectorySettingsError("goes with identity: spiffe, and it with one", at="trust_domain")
        if self.subject == "spiffe" and self.identity is not Rule.SPIFFE:
            raise DirectorySettingsError("is spiffe, and identity is not", at="subject")


class CertificateDirectory:
    """The clients of pinned authorities, as a `Directory`."""

    def __init__(self, settings: CertificateSettings, withdrawn: WithdrawnCertificates | None = None) -> None:
        self._settings = settings
        listed = ListedSerials(int(_plain(serial), 16) for serial in settings.withdrawn)
        self._withdrawn = (listed,) if withdrawn is None else (listed, withdrawn)
        self._pins = frozenset(settings.issuers)
        self._authorities: tuple[x509.Certificate, ...] = ()
        self._attributes: dict[str, Source] = {
            name: source
            for name, text in settings.attributes.items()
            if (source := source_of(text)) is not None
        }

    @property
    def name(self) -> str:
        return self._settings.name

    async def start(self) -> None:
        """Read the authorities' file.

        Raises:
            DirectorySettingsError: it cannot be read, or holds something else than authorities.
        """
        if self._settings.ca_file is not None:
            self._authorities = _authorities(self._settings.ca_file)
            self._pins = frozenset(self._settings.issuers) | {pin_of(each) for each in self._authorities}

    async def close(self) -> None:
        """Nothing is held."""

    def claims(self, credentials: Credentials) -> bool:
        if not credentials.certificates or (credentials.password or credentials.token or credentials.nkey):
            return False
        try:
            chain = chain_of(credentials.certificates[:2])
        except ValueError:
            return False
        return authority_of(chain, self._pins, self._authorities) is not None

    async def identify(self, credentials: Credentials, *, now: float, deadline: float) -> Identity:
        try:
            chain = chain_of(credentials.certificates)
        except ValueError as fault:
            raise _malformed(str(fault)) from None
        if not chain:
            raise _malformed("there is no certificate")
        leaf, authority = chain[0], authority_of(chain, self._pins, self._authorities)
        if authority is None or not signed_by(leaf, authority):
            raise LoginRefusedError(Reason.UNKNOWN_KEY, "it was not issued by a pinned authority")
        try:
            if not is_client(leaf):
                raise LoginRefusedError(Reason.TOKEN_KIND, "it is no certificate of a client")
            expires_at = _in_time((*chain, authority), now)
            self._check_withdrawn(leaf, authority)
            name = self._named(leaf)
            attributes = self._read(leaf)
            spki = pin_of(leaf)
        except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as fault:
            raise _malformed(f"it cannot be read: {type(fault).__name__}") from None
        return Identity(
            issuer=f"certificates:{self.name}",
            subject=name if self._settings.subject == "spiffe" else spki,
            name=name,
            directory=self.name,
            kind=self._settings.identity_kind,
            attributes=attributes,
            methods=("pop",),  # of its key, in the handshake: registered beside RFC 8176
            authenticated_at=int(now),
            expires_at=expires_at,
            credential=leaf.fingerprint(hashes.SHA256()).hex()[:32],
        )

    def _check_withdrawn(self, leaf: x509.Certificate, authority: x509.Certificate) -> None:
        pin, serial = pin_of(authority), leaf.serial_number
        if any(each.withdrawn(pin, serial) for each in self._withdrawn):
            raise LoginRefusedError(Reason.WITHDRAWN, f"number {serial:x} was withdrawn", at=f"{serial:x}")

    def _named(self, leaf: x509.Certificate) -> str:
        rule = self._settings.identity
        source = source_of(_SOURCES[rule])
        found = source(leaf) if source is not None else ()
        if len(found) != 1:
            # More than one leaves open whose it is; SPIFFE forbids it in so many words (X509-SVID §2).
            reason = Reason.AMBIGUOUS if found else Reason.CREDENTIALS_MALFORMED
            raise LoginRefusedError(reason, f"it has {len(found)} of {_SOURCES[rule]}, wanted is one")
        name = found[0]
        if not 0 < len(name) <= MAX_VALUE or not name.isprintable():
            raise _malformed(f"its {_SOURCES[rule]} is empty, too long, or has control characters")
        if rule is Rule.SPIFFE and (fault := spiffe_fault(name, self._settings.trust_domain)):
            raise LoginRefusedError(Reason.AUDIENCE, f"its SPIFFE id {fault}", at=name)
        return name

    def _read(self, leaf: x509.Certificate) -> dict[str, Attribute]:
        attributes: dict[str, Attribute] = {}
        for name, source in self._attributes.items():
            found = source(leaf)
            if found:
                attributes[name] = found[0] if len(found) == 1 else tuple(sorted(found))
        return attributes


def _in_time(chain: Iterable[x509.Certificate], now: float) -> int:
    """The second at which the first of the chain ends."""
    ends = []
    for certificate in chain:
        begin = certificate.not_valid_before_utc.timestamp()
        end = certificate.not_valid_after_utc.timestamp()
        if now < begin:
            raise LoginRefusedError(Reason.CREDENTIALS_EARLY, f"it begins in {int(begin - now)} s")
        if now > end:
            raise LoginRefusedError(Reason.CREDENTIALS_EXPIRED, f"it ended {int(now - end)} s ago")
        ends.append(int(end))
    return min(ends)


def _authorities(path: Path) -> tuple[x509.Certificate, ...]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CA_FILE + 1)
        found = x509.load_pem_x509_certificates(data) if len(data) <= MAX_CA_FILE else []
    except OSError as fault:
        raise DirectorySettingsError(f"cannot be read: {fault.strerror}", at="ca_file") from None
    except ValueError:
        found = []
    if not found:
        raise DirectorySettingsError("holds no certificates in PEM", at="ca_file")
    return tuple(found)


def _plain(serial: str) -> str:
    return serial.lower().replace(":", "").removeprefix("0x")


def _malformed(message: str) -> LoginRefusedError:
    return LoginRefusedError(Reason.CREDENTIALS_MALFORMED, message)
