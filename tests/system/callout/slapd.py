"""A real OpenLDAP server for tests: its own folder, ports it finds free, its own authority."""

from __future__ import annotations

import datetime as dt
import ipaddress
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.processes import HOST, Folder, Process, ServerError, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

SUFFIX = "dc=example,dc=test"
ADMIN = f"cn=admin,{SUFFIX}"
ADMIN_PASSWORD = "adminpw"
PEOPLE = f"ou=people,{SUFFIX}"
GROUPS = f"ou=groups,{SUFFIX}"
SERVICE = f"uid=svc-bind,{PEOPLE}"
SERVICE_PASSWORD = "svcpw"
POLICY = f"cn=default,ou=policies,{SUFFIX}"
TOOLS = ("ldapadd", "ldapdelete", "ldapmodify", "ldapsearch", "ldapwhoami")

CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile {directory}/run/slapd.pid
argsfile {directory}/run/slapd.args
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload refint
moduleload ppolicy
moduleload syncprov
TLSCACertificateFile {directory}/ca.crt
TLSCertificateFile {directory}/server.crt
TLSCertificateKeyFile {directory}/server.key
{before}
database mdb
suffix "{suffix}"
rootdn "{admin}"
rootpw {admin_password}
directory {directory}/data
maxsize 67108864
dbnosync
index objectClass eq
index uid eq
index member eq
index entryUUID eq
index entryCSN eq
overlay memberof
memberof-group-oc groupOfNames
memberof-member-ad member
memberof-memberof-ad memberOf
overlay refint
refint_attributes member memberOf
overlay ppolicy
ppolicy_default "{policy}"
{after}
access to attrs=userPassword by anonymous auth by self write by * none
access to * by dn.exact="{service}" read by self read by anonymous auth by * none
"""

PROVIDER = "\noverlay syncprov"
CONSUMER = f"""
syncrepl rid=001 provider={{provider}} searchbase="{SUFFIX}" type=refreshAndPersist retry="1 +"
  bindmethod=simple binddn="{ADMIN}" credentials={ADMIN_PASSWORD}
"""

SEED = f"""\
dn: {SUFFIX}
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: {PEOPLE}
objectClass: organizationalUnit
ou: people

dn: {GROUPS}
objectClass: organizationalUnit
ou: groups

dn: ou=policies,{SUFFIX}
objectClass: organizationalUnit
ou: policies

dn: {POLICY}
objectClass: person
objectClass: pwdPolicy
cn: default
sn: default
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 3
pwdLockoutDuration: 60

dn: {SERVICE}
objectClass: inetOrgPerson
uid: svc-bind
cn: svc bind
sn: bind
userPassword: {SERVICE_PASSWORD}
"""


def person(uid: str, *, password: str = "", cn: str = "", more: str = "") -> str:
    """An entry as LDIF; its password is the name and `pw` unless one is given."""
    return (
        f"dn: uid={uid},{PEOPLE}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {cn or uid}\nsn: {uid}\n"
        f"userPassword: {password or uid + 'pw'}\n{more}"
    )


def group(cn: str, *members: str) -> str:
    lines = "".join(f"member: {member}\n" for member in members)
    return f"dn: cn={cn},{GROUPS}\nobjectClass: groupOfNames\ncn: {cn}\n{lines}"


def dn_of(uid: str) -> str:
    return f"uid={uid},{PEOPLE}"


def group_dn(cn: str) -> str:
    return f"cn={cn},{GROUPS}"


def slapd_binary() -> Path | None:
    found = shutil.which("slapd", path="/usr/sbin:/usr/lib/openldap:/usr/libexec:/usr/bin:/sbin")
    return Path(found) if found else None


def missing_part() -> str | None:
    """What is not installed of what is needed."""
    if slapd_binary() is None:
        return "slapd"
    return next((tool for tool in TOOLS if shutil.which(tool) is None), None)


class Slapd:
    """Runs from `with` to its end. `before` and `after` are lines for the server and for the database.

    A replica `of` another one has the same entries, a moment later, and is not written to.
    """

    def __init__(
        self, binary: Path | None = None, *, before: str = "", after: str = "", of: Slapd | None = None
    ) -> None:
        found = binary or slapd_binary()
        if found is None:
            raise ServerError("there is no slapd")
        self._binary = found
        self._folder = Folder(None, "accredit-slapd-")
        self.directory = self._folder.path
        self._process = Process("slapd", self.directory / "slapd.log")
        self.port = self.tls_port = 0
        self._seeded = of is None
        after += PROVIDER if of is None else CONSUMER.format(provider=of.plain)
        for name in ("data", "run"):
            (self.directory / name).mkdir()
        self.ca_file = self.directory / "ca.crt"
        make_certificates(self.directory)
        text = CONFIGURATION.format(
            directory=self.directory,
            suffix=SUFFIX,
            policy=POLICY,
            admin=ADMIN,
            admin_password=ADMIN_PASSWORD,
            service=SERVICE,
            before=before,
            after=after,
        )
        (self.directory / "slapd.conf").write_text(text, encoding="utf-8")

    def __enter__(self) -> Self:
        try:
            self.start()
            if self._seeded:
                self.add(SEED)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def plain(self) -> str:
        return f"ldap://{HOST}:{self.port}"

    @property
    def tls(self) -> str:
        return f"ldaps://{HOST}:{self.tls_port}"

    def start(self) -> None:
        self.port, self.tls_port = self.port or free_port(), self.tls_port or free_port()
        self._process.start(
            [
                self._binary,
                "-f",
                self.directory / "slapd.conf",
                "-h",
                f"{self.plain}/ {self.tls}/",
                "-d",
                "0",
            ],
            cwd=self.directory,
            account=None,
        )
        wait_until(self._ready, what="slapd to listen")

    def _ready(self) -> bool:
        if not self._process.alive():
            raise self._process.fault("stopped while starting")
        try:
            with (
                socket.create_connection((HOST, self.port), 1),
                socket.create_connection((HOST, self.tls_port), 1),
            ):
                return True
        except OSError:
            return False

    def stop(self) -> None:
        self._process.end(signal.SIGTERM)

    def pause(self) -> None:
        """As a hung machine: the kernel still accepts, nobody answers."""
        self._process.send(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send(signal.SIGCONT)

    def close(self) -> None:
        self.resume()
        self.stop()
        self._folder.remove()

    # As its administrator

    def lock_nobody(self) -> None:
        self.set(POLICY, "pwdLockout", "FALSE")

    def add(self, *entries: str) -> None:
        self._tool("ldapadd", "\n".join(entries))

    def modify(self, changes: str) -> None:
        self._tool("ldapmodify", changes)

    def delete(self, *names: str) -> None:
        self._tool("ldapdelete", "".join(f"{name}\n" for name in names))

    def set(self, dn: str, attribute: str, *values: str) -> None:
        """Replace the values of an attribute; none: take it away."""
        lines = "".join(f"{attribute}: {value}\n" for value in values)
        self.modify(f"dn: {dn}\nchangetype: modify\nreplace: {attribute}\n{lines}")

    def read(self, dn: str, *attributes: str) -> dict[str, list[str]]:
        said = self._run(
            [
                "ldapsearch",
                "-LLL",
                "-o",
                "ldif-wrap=no",
                "-b",
                dn,
                "-s",
                "base",
                "(objectClass=*)",
                *attributes,
            ]
        )
        found: dict[str, list[str]] = {}
        for line in said.splitlines():
            name, colon, value = line.partition(": ")
            if colon:
                found.setdefault(name, []).append(value)
        return found

    def search(self, base: str, filter_text: str) -> str:
        """LDIF of what is found."""
        return self._run(["ldapsearch", "-LLL", "-b", base, filter_text, "1.1"]).strip()

    def has(self, dn: str) -> bool:
        try:
            return bool(self.read(dn))
        except ServerError:
            return False

    def binds(self, dn: str, password: str) -> bool:
        """Whether somebody gets in, by a program that is not ours."""
        done = subprocess.run(
            ["ldapwhoami", "-x", "-H", self.plain, "-D", dn, "-w", password],
            capture_output=True,
            timeout=60,
            check=False,
        )
        return done.returncode == 0

    def failures(self, dn: str) -> int:
        """How many failed binds it has counted."""
        return len(self.read(dn, "pwdFailureTime").get("pwdFailureTime", []))

    def _tool(self, tool: str, text: str) -> None:
        self._run([tool], text)

    def _run(self, command: Iterable[str], text: str = "") -> str:
        tool, *rest = command
        done = subprocess.run(
            [tool, "-x", "-H", self.plain, "-D", ADMIN, "-w", ADMIN_PASSWORD, *rest],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise ServerError(f"{tool}: {done.stderr.strip()}")
        return done.stdout


def make_certificates(folder: Path, *, name: str = HOST) -> None:
    """`ca.crt`, and `server.crt` with `server.key` for this address, signed by it; `other-ca.crt` signed nothing."""
    now = dt.datetime.now(dt.UTC)

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def built(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(named(subject))
            .issuer_name(named(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )

    def authority(subject: str, file: str) -> ec.EllipticCurvePrivateKey:
        key = ec.generate_private_key(ec.SECP256R1())
        made = (
            built(subject, subject, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        (folder / file).write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return key

    ca = authority("Test CA", "ca.crt")
    authority("Other CA", "other-ca.crt")
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = (
        built("directory", "Test CA", key)
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.IPAddress(ipaddress.ip_address(name)), x509.DNSName("ldap.test")]
            ),
            critical=False,
        )
        .sign(ca, hashes.SHA256())
    )
    (folder / "server.crt").write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
