"""What is set for one LDAP directory, checked when it is made: nothing unsafe is a default."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from callout.directories.ldap.escaping import SHOWN, USER, placeholders
from callout.directories.secrets import Secret
from issuer.errors import Refused
from issuer.grants import Kind

_REALM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ATTRIBUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_PREFIX: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}:")


class LdapSettingsError(Refused):
    """A setting that cannot work, or that would not be safe; `at` names it."""

    code = "ldap.settings"


class ServiceAccount(msgspec.Struct, frozen=True):
    """As whom we search."""

    name: str
    """Its DN; in Active Directory a user principal name does as well."""
    password: Secret


class Server(NamedTuple):
    """Where a directory listens, and how it is made safe."""

    host: str
    port: int
    tls: bool
    """From the first byte (`ldaps://`)."""
    starttls: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'ldaps' if self.tls else 'ldap'}://{host}:{self.port}"


class LdapSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One directory. Times are seconds.

    Raises:
        LdapSettingsError: when it is made, for the first setting that cannot stand.
    """

    name: str
    """Of the directory, in bindings, identities and metrics."""
    realm: str
    """What names begin with in `REALM\\user`; identities have the issuer `ldap:REALM`."""
    servers: tuple[str, ...]
    """In order of preference: `ldaps://host[:port]`, or `ldap://host[:port]` which means StartTLS."""
    service: ServiceAccount | None = None
    """As whom people are looked up; without it only `direct` logins work, and no `lookup`."""
    user_base: str
    user_filter: str = "(uid={user})"
    """Finds exactly one entry: `{user}` is the name without realm, `{shown}` the name as it was shown."""
    direct: str = ""
    """Bind as this name at once, without a search before: `uid={user},ou=people,dc=…`, `{user}@ad.example`
    or `REALM\\{user}`. Empty: search first, with the service account."""

    suffixes: tuple[str, ...] = ()
    """`user@suffix` is ours for these, whatever their case."""
    prefix: str = ""
    """`prefix:user` is ours, the colon included in the setting."""
    default_realm: bool = False
    """A name with no realm, suffix or prefix at all is ours."""

    name_attribute: str = ""
    """What stands as the name for people to read; empty: `uid`, or `sAMAccountName` in Active Directory."""
    attributes: tuple[str, ...] = ()
    """The attributes an identity carries, and no others."""
    identity_kind: Kind = Kind.PERSON
    """What stands behind its entries."""

    group_base: str = ""
    """Below it are the groups that count; empty: groups are not asked for."""
    group_filter: str = ""
    """Which entries are groups; empty: by what the directory is."""
    group_member: str = "member"
    """Where a group names its members by DN."""
    group_name: str = "cn"
    """The attribute groups are known by; empty: their full DN. Two groups of one name are one group then."""
    group_depth: int = 10
    group_count: int = 1000
    page_size: int = 200

    ca_file: Path | None = None
    """The authorities that may vouch for the servers; None: those of this machine."""
    client_certificate: Path | None = None
    client_key: Path | None = None
    plain_on_loopback: bool = False
    """Let `ldap://` to this very machine go without TLS; for tests."""

    lockout_threshold: int = 3
    """After so many failures the directory locks an account; we stop one before it. 0: it never does."""
    lockout_window: float = 1800.0
    """For so long a failure counts; not shorter than the directory's own window."""

    threads: int = 16
    """So many questions at once."""
    waiting: int = 512
    """So many more may wait for a thread."""
    connections: int = 8
    """Connections of the service account that are kept open."""
    idle: float = 120.0
    """One that was idle for longer is opened anew; servers and firewalls drop them silently."""
    retry_after: float = 15.0
    """For so long a server that gave no answer is asked last."""
    bind_patience: float = 5.0
    """For so long the answer to a login's bind is waited for in the background when its caller has gone, so
    that we know whether the directory counted a failure."""

    def __post_init__(self) -> None:
        _check(self)

    @property
    def issuer(self) -> str:
        return f"ldap:{self.realm}"

    @property
    def addresses(self) -> tuple[Server, ...]:
        return tuple(_address(url, self) for url in self.servers)

    @property
    def direct_is_dn(self) -> bool:
        return "=" in self.direct


def _address(url: str, settings: LdapSettings) -> Server:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _wrong("servers", f"{url!r} is no address") from None
    if parts.scheme not in {"ldap", "ldaps"} or not host or parts.path not in {"", "/"} or parts.query:
        raise _wrong(
            "servers", f"{url!r} is no ldap:// or ldaps:// address with a host and nothing behind it"
        )
    if parts.username is not None:
        raise _wrong("servers", "an address holds no name or password", hint="set service instead")
    tls = parts.scheme == "ldaps"
    plain = not tls and settings.plain_on_loopback
    if plain and not _is_loopback(host):
        raise _wrong(
            "plain_on_loopback",
            f"{url!r} is not this machine: passwords would cross the network in the clear",
            hint="leave plain_on_loopback out, then StartTLS is used, or write ldaps://",
        )
    return Server(host, port or (636 if tls else 389), tls, starttls=not tls and not plain)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check(settings: LdapSettings) -> None:
    if not _NAME.fullmatch(settings.name):
        raise _wrong("name", f"{settings.name!r} is no plain name")
    if not _REALM.fullmatch(settings.realm):
        raise _wrong("realm", f"{settings.realm!r} is no plain name")
    if not settings.servers:
        raise _wrong("servers", "there is none")
    addresses = [_address(url, settings) for url in settings.servers]
    if len(set(addresses)) != len(addresses):
        raise _wrong("servers", "one is there twice")
    _check_names(settings)
    _check_logins(settings)
    for at in ("name_attribute", "group_name"):
        value = getattr(settings, at)
        if value and not _ATTRIBUTE.fullmatch(value):
            raise _wrong(at, f"{value!r} is no attribute's name")
    for value in (settings.group_member, *settings.attributes):
        if not _ATTRIBUTE.fullmatch(value):
            raise _wrong("attributes", f"{value!r} is no attribute's name")
    if settings.group_filter:
        _check_filter("group_filter", settings.group_filter, set())
    if (settings.client_certificate is None) != (settings.client_key is None):
        raise _wrong("client_certificate", "a certificate and its key go together")
    _check_numbers(settings)


def _check_names(settings: LdapSettings) -> None:
    for suffix in settings.suffixes:
        if not suffix or "@" in suffix or "\\" in suffix or ":" in suffix:
            raise _wrong("suffixes", f"{suffix!r} is not what stands behind the @")
    if settings.prefix and not _PREFIX.fullmatch(settings.prefix):
        raise _wrong("prefix", f"{settings.prefix!r} is no plain word with a colon behind it")


def _check_logins(settings: LdapSettings) -> None:
    if not settings.user_base:
        raise _wrong("user_base", "it is empty: whoever is anywhere would be let in")
    _check_filter("user_filter", settings.user_filter, {USER, SHOWN})
    if not placeholders(settings.user_filter):
        raise _wrong("user_filter", "it does not ask for the name: everybody would be found by any")
    if settings.direct:
        unknown = placeholders(settings.direct) - {USER}
        if unknown or USER not in placeholders(settings.direct):
            raise _wrong("direct", "it has {user} in it and no other placeholder")
    elif settings.service is None:
        raise _wrong("service", "without direct there must be an account that can search")
    if settings.service is not None and not (settings.service.name.strip() and settings.service.password):
        raise _wrong("service", "a name without a password, or the reverse, is an anonymous bind")


def _check_filter(at: str, template: str, known: set[str]) -> None:
    if unknown := placeholders(template) - known:
        raise _wrong(at, f"{{{min(unknown)}}} is no placeholder")
    if not (template.startswith("(") and template.endswith(")")) or not _balanced(template):
        raise _wrong(at, f"{template!r} is no filter in parentheses")


def _balanced(template: str) -> bool:
    depth = 0
    for place, char in enumerate(template):
        depth += (char == "(") - (char == ")")
        if depth < 0 or (depth == 0 and place != len(template) - 1):
            return False
    return depth == 0


def _check_numbers(settings: LdapSettings) -> None:
    for at in ("group_depth", "group_count", "page_size", "threads", "connections"):
        if getattr(settings, at) < 1:
            raise _wrong(at, "is less than 1")
    for at in ("lockout_window", "retry_after", "bind_patience", "idle"):
        if not 0 < getattr(settings, at) <= 7 * 86400:
            raise _wrong(at, "is not between 0 and a week")
    if settings.lockout_threshold < 0 or settings.lockout_threshold == 1:
        raise _wrong(
            "lockout_threshold", "below 2 no login could ever be tried", hint="0: the directory locks nobody"
        )
    if settings.waiting < 0:
        raise _wrong("waiting", "is less than 0")


def _wrong(at: str, message: str, *, hint: str | None = None) -> LdapSettingsError:
    return LdapSettingsError(message, at=at, hint=hint)
