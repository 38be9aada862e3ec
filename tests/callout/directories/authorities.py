"""Authorities and the certificates they issue, good ones and odd ones."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from callout.directories.certificate_fields import pin_of

DAY = 86_400
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
_UTC = dt.UTC


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def name_of(common_name: str | Sequence[str] = (), **fields: str | Sequence[str]) -> x509.Name:
    """A subject; `organizational_unit=("a", "b")` and the like."""
    parts: list[x509.NameAttribute[str]] = []
    for field_name, values in {"common_name": common_name, **fields}.items():
        oid = getattr(
            NameOID, field_name.upper() + ("" if field_name in {"common_name", "serial_number"} else "_NAME")
        )
        parts += [
            x509.NameAttribute(oid, value) for value in ([values] if isinstance(values, str) else values)
        ]
    return x509.Name(parts)


def pem(*certificates: x509.Certificate) -> tuple[str, ...]:
    return tuple(each.public_bytes(serialization.Encoding.PEM).decode() for each in certificates)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def uri(value: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(value)


def loopback() -> x509.IPAddress:
    return x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


@dataclass
class Authority:
    """A certificate authority at some second; `intermediate` makes one below it."""

    now: float
    name: x509.Name = field(default_factory=lambda: name_of("test authority"))
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    above: Authority | None = None
    lasts: float = 100 * DAY

    def __post_init__(self) -> None:
        issuer = self.above or self
        self.certificate = issuer.issue(
            subject=self.name, key=self.key, ca=True, usages=(), begins=-DAY, lasts=self.lasts
        )

    @property
    def pin(self) -> str:
        return pin_of(self.certificate)

    def intermediate(self, common_name: str = "test intermediate", *, lasts: float = 50 * DAY) -> Self:
        return type(self)(self.now, name=name_of(common_name), above=self, lasts=lasts)

    def issue(
        self,
        *,
        subject: x509.Name | None = None,
        names: Sequence[x509.GeneralName] = (),
        key: ec.EllipticCurvePrivateKey | None = None,
        ca: bool | None = False,
        usages: Sequence[x509.ObjectIdentifier] = (CLIENT,),
        begins: float = -60,
        lasts: float = DAY,
        serial: int | None = None,
    ) -> x509.Certificate:
        """A certificate; `begins` and `lasts` are seconds after now."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(name_of("device 7") if subject is None else subject)
            .issuer_name(self.name)
            .public_key((key or new_key()).public_key())
            .serial_number(serial or x509.random_serial_number())
            .not_valid_before(dt.datetime.fromtimestamp(self.now + begins, _UTC))
            .not_valid_after(dt.datetime.fromtimestamp(self.now + lasts, _UTC))
        )
        if ca is not None:
            builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def written(folder: Path, name: str, *certificates: x509.Certificate) -> Path:
    path = folder / name
    path.write_text("".join(pem(*certificates)), encoding="ascii")
    return path
