"""How a directory of each kind is made from its settings. What a kind needs is imported when one is opened,
so that a library that is not installed disables only those that need it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from callout.directories.directory import Directory
from callout.directories.reading import DirectorySettingsError, child, read_settings
from callout.directories.secrets import Secret

if TYPE_CHECKING:
    from callout.directories.certificates import WithdrawnCertificates
    from callout.directories.keys import KeyLedger
    from callout.directories.nkeys import NkeyLedger
    from callout.directories.passwords import PasswordLedger

Settings = Mapping[str, Any]
"""Of one directory as plain data, `name` among it and `kind` not."""
L = TypeVar("L")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledgers:
    """Where directories find entries that are not listed in their settings; each is asked by its name."""

    keys: Callable[[str], KeyLedger] | None = None
    passwords: Callable[[str], PasswordLedger] | None = None
    nkeys: Callable[[str], NkeyLedger] | None = None
    withdrawn: Callable[[str], WithdrawnCertificates] | None = None


Opener = Callable[[Settings, str, Ledgers], Directory]
"""A directory from its settings, the JSON pointer to them, and the ledgers; it is not started yet."""


def keys(document: Settings, at: str, ledgers: Ledgers) -> Directory:
    from callout.directories.keys import KeyDirectory, KeySettings, ListedKeys

    settings = read_settings(document, KeySettings, at=at)
    if settings.entries is not None:
        return KeyDirectory(settings, ListedKeys({each.id: each for each in settings.entries}))
    return KeyDirectory(settings, _ledger(ledgers.keys, settings.name, at))


def passwords(document: Settings, at: str, ledgers: Ledgers) -> Directory:
    from callout.directories.passwords import ListedPasswords, PasswordDirectory, PasswordSettings

    settings = read_settings(document, PasswordSettings, at=at)
    if settings.entries is not None:
        return PasswordDirectory(settings, ListedPasswords({each.user: each for each in settings.entries}))
    return PasswordDirectory(settings, _ledger(ledgers.passwords, settings.name, at))


def nkeys(document: Settings, at: str, ledgers: Ledgers) -> Directory:
    from callout.directories.nkeys import ListedNkeys, NkeyDirectory, NkeySettings

    settings = read_settings(document, NkeySettings, at=at)
    if settings.entries is not None:
        return NkeyDirectory(settings, ListedNkeys({each.public: each for each in settings.entries}))
    return NkeyDirectory(settings, _ledger(ledgers.nkeys, settings.name, at))


def certificates(document: Settings, at: str, ledgers: Ledgers) -> Directory:
    from callout.directories.certificates import CertificateDirectory, CertificateSettings

    settings = read_settings(document, CertificateSettings, at=at)
    withdrawn = ledgers.withdrawn(settings.name) if ledgers.withdrawn is not None else None
    return CertificateDirectory(settings, withdrawn)


def oidc(document: Settings, at: str, _: Ledgers) -> Directory:
    """Besides the issuer's own settings: `okta_groups`, with the `token` of Okta's API."""
    from callout.directories.oidc import OidcDirectory, OidcSettings, OktaGroups, OktaGroupsSettings

    class WithToken(OktaGroupsSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
        token: Secret

    own = {name: value for name, value in document.items() if name != "okta_groups"}
    settings = read_settings(own, OidcSettings, at=at)
    if "okta_groups" not in document:
        return OidcDirectory(settings)
    okta = read_settings(document["okta_groups"], WithToken, at=child(at, "okta_groups"))
    return OidcDirectory(settings, groups_api=OktaGroups(okta, token=okta.token.reveal()))


def ldap(document: Settings, at: str, _: Ledgers) -> Directory:
    from callout.directories.ldap.directory import LdapDirectory
    from callout.directories.ldap.settings import LdapSettings

    return LdapDirectory(read_settings(document, LdapSettings, at=at))


def _ledger(of: Callable[[str], L] | None, name: str, at: str) -> L:
    if of is None:
        # Nothing to look into means that nobody is known, and that nobody meant this.
        raise DirectorySettingsError("lacks entries, and no other ledger is connected", at=at)
    return of(name)
