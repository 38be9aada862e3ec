"""What stands in an X.509 certificate (RFC 5280), and who issued it. Pure: no clock, no trust."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

MAX_CHAIN: Final = 10
MAX_PEM: Final = 64 * 1024
MAX_SPIFFE: Final = 2048
Source = Callable[[x509.Certificate], tuple[str, ...]]
"""Reads values of one kind, in their order; ValueError and x509's own if the extensions cannot be read."""
_BEGIN: Final = "-----BEGIN "
_TRUST_DOMAIN: Final = re.compile(r"[a-z0-9._-]{1,255}")
_PATH: Final = re.compile(r"(/[A-Za-z0-9._-]+)+")

_SUBJECT: Final = {
    "common-name": NameOID.COMMON_NAME,
    "country": NameOID.COUNTRY_NAME,
    "domain-component": NameOID.DOMAIN_COMPONENT,
    "email": NameOID.EMAIL_ADDRESS,
    "locality": NameOID.LOCALITY_NAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "organizational-unit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "serial-number": NameOID.SERIAL_NUMBER,
    "state": NameOID.STATE_OR_PROVINCE_NAME,
    "user-id": NameOID.USER_ID,
}
_SAN: Final[dict[str, type[x509.DNSName | x509.RFC822Name | x509.UniformResourceIdentifier]]] = {
    "dns": x509.DNSName,
    "email": x509.RFC822Name,
    "uri": x509.UniformResourceIdentifier,
}

SOURCES: Final = "known are serial, " + ", ".join(
    [f"subject.{name}" for name in _SUBJECT] + [f"san.{name}" for name in _SAN]
)


def chain_of(texts: Sequence[str]) -> tuple[x509.Certificate, ...]:
    """The certificates of a chain.

    Raises:
        ValueError: one of them is none, or too large, or there are too many.
    """
    if len(texts) > MAX_CHAIN:
        raise ValueError(f"a chain of {len(texts)} certificates")
    found = []
    for place, text in enumerate(texts):
        if len(text) > MAX_PEM or text.count(_BEGIN) != 1:
            raise ValueError(f"certificate {place + 1} of the chain is too large, or not one")
        try:
            found.append(x509.load_pem_x509_certificate(text.encode("utf-8", "surrogatepass")))
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ValueError(f"certificate {place + 1} of the chain cannot be read") from None
    return tuple(found)


def pin_of(certificate: x509.Certificate) -> str:
    """SHA-256 of its SubjectPublicKeyInfo, in hex (RFC 7469 §2.4, but for the spelling).

    Raises:
        ValueError: its key is of no kind that is known.
    """
    try:
        key = certificate.public_key()
    except UnsupportedAlgorithm:
        raise ValueError("its key is of no kind that is known") from None
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def authority_of(
    chain: Sequence[x509.Certificate], pins: frozenset[str], authorities: Sequence[x509.Certificate]
) -> x509.Certificate | None:
    """Who says to have issued the first of a chain, if pinned: the second of it, else of `authorities`.

    Cheap, and no proof: that is `signed_by`.
    """
    if not chain:
        return None
    try:
        if len(chain) > 1:
            return chain[1] if pin_of(chain[1]) in pins else None
        named = [each for each in authorities if each.subject == chain[0].issuer]
        if len(named) > 1:
            # An authority whose key was changed under its old name.
            named = [each for each in named if signed_by(chain[0], each)]
    except ValueError:
        return None
    return named[0] if named else None


def signed_by(leaf: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether this authority's key signed it."""
    try:
        leaf.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def is_client(leaf: x509.Certificate) -> bool:
    """Whether it is meant for clients: no authority, and no key for other purposes alone (§4.2.1.12)."""
    found = leaf.extensions
    try:
        if found.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
    except x509.ExtensionNotFound:
        pass
    try:
        usages = found.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.CLIENT_AUTH in usages or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages


def source_of(text: str) -> Source | None:
    """What reads `subject.NAME`, `san.NAME` or `serial`; None for what no certificate has."""
    place, _, name = text.partition(".")
    if text == "serial":
        return lambda leaf: (f"{leaf.serial_number:x}",)
    if place == "subject" and name in _SUBJECT:
        oid = _SUBJECT[name]
        return lambda leaf: tuple(
            str(each.value)
            for each in leaf.subject.get_attributes_for_oid(oid)
            if isinstance(each.value, str)
        )
    if place == "san" and name in _SAN:
        kind = _SAN[name]
        return lambda leaf: _alternative_names(leaf, kind)
    return None


def spiffe_fault(text: str, trust_domain: str) -> str:
    """What is wrong with a SPIFFE id (SPIFFE-ID §2), or "". Nothing is normalised: it is taken as it is."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return "is no URI"
    if len(text) > MAX_SPIFFE or not text.startswith("spiffe://"):
        return "is none"
    if parts.query or parts.fragment or "?" in text or "#" in text or "@" in parts.netloc or port is not None:
        return "has a query, a fragment, a user or a port"
    if not _TRUST_DOMAIN.fullmatch(parts.netloc) or parts.netloc != trust_domain:
        return f"is not of the trust domain {trust_domain}"
    # One without a path is the trust domain's own, which is nobody's (X509-SVID §2).
    if not _PATH.fullmatch(parts.path) or {".", ".."} & set(parts.path.split("/")):
        return "has no sound path"
    return ""


def _subject_fields(leaf: x509.Certificate, oid: x509.ObjectIdentifier) -> tuple[str, ...]:
    return tuple(
        each.value for each in leaf.subject.get_attributes_for_oid(oid) if isinstance(each.value, str)
    )


def _alternative_names(
    leaf: x509.Certificate, kind: type[x509.DNSName | x509.RFC822Name | x509.UniformResourceIdentifier]
) -> tuple[str, ...]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(value) for value in names.get_values_for_type(kind))
