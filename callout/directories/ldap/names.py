"""Which realm a name belongs to. Its form alone says it, so that two directories never both want it."""

from __future__ import annotations

import unicodedata
from enum import StrEnum
from typing import Final, NamedTuple

from callout.directories.ldap.settings import LdapSettings

MAX_NAME: Final = 256
# What Active Directory allows in no account name; one of them could lead to another domain.
_NOT_IN_ACCOUNT_NAMES: Final = frozenset('"/\\[]:;|=,+*?<>@')


class Form(StrEnum):
    """How a name says where it belongs."""

    REALM = "realm"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    PLAIN = "plain"


class Shown(NamedTuple):
    """A name taken apart."""

    form: Form
    place: str
    """The realm, the prefix with its colon, or the suffix."""
    user: str


def taken_apart(name: str) -> Shown:
    r"""By the first of these that is in it: `\`, then `:`, then the last `@`."""
    place, found, user = name.partition("\\")
    if found:
        return Shown(Form.REALM, place, user)
    place, found, user = name.partition(":")
    if found:
        return Shown(Form.PREFIX, place + ":", user)
    user, found, place = name.rpartition("@")
    if found:
        return Shown(Form.SUFFIX, place, user)
    return Shown(Form.PLAIN, "", name)


def belongs(name: str, settings: LdapSettings) -> bool:
    """Whether a name is this realm's."""
    shown = taken_apart(name)
    match shown.form:
        case Form.REALM:
            return shown.place.casefold() == settings.realm.casefold()
        case Form.PREFIX:
            return bool(settings.prefix) and shown.place == settings.prefix
        case Form.SUFFIX:
            return shown.place.casefold() in {suffix.casefold() for suffix in settings.suffixes}
    return settings.default_realm and bool(name)


def is_sound(user: str) -> bool:
    """Whether a bare name can be anybody's."""
    return 0 < len(user) <= MAX_NAME and user == user.strip() and user.isprintable()


def is_account_name(user: str) -> bool:
    r"""Whether it can be put before `@domain` or behind `DOMAIN\` without naming something else."""
    return is_sound(user) and not _NOT_IN_ACCOUNT_NAMES & set(user)


def likeness(user: str) -> str:
    """One text for all spellings that a directory takes for the same name.

    Directories compare without case, blanks folded (RFC 4518), and Active Directory without accents: a
    count of failures by spelling would be no count.
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", user) if not unicodedata.combining(c))
    return " ".join(unicodedata.normalize("NFKC", plain.casefold()).split())


def is_blank(password: str) -> bool:
    """Whether it is nothing once a directory has prepared it (RFC 4013): it would be no proof at all."""
    return all(char.isspace() or unicodedata.category(char) in {"Cf", "Cc", "Zs", "Mn"} for char in password)
