"""Finding the one entry behind a name or an id, and what is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from callout.directories.ldap.escaping import (
    USER,
    anybody_filter,
    filled,
    filter_value,
    name_value,
    user_filter,
)
from callout.directories.ldap.names import is_account_name
from callout.directories.ldap.port import Code, Entry, Search
from callout.directories.ldap.servers import Reader
from callout.directories.ldap.settings import LdapSettings, Server
from callout.directories.ldap.standing import Facts, Flavour, attributes_wanted, ends_at, key_of
from callout.directories.ldap.values import guid_of_uuid, uuid_of
from callout.refusals import DirectoryDownError, LoginRefusedError, Reason
from issuer.grants import Attribute, Identity

METHODS: Final = ("pwd",)
"""RFC 8176."""


class Person(msgspec.Struct, frozen=True):
    """An entry, with what names it for ever, and the server that knows it."""

    key: str
    entry: Entry
    facts: Facts
    server: Server | None = None


def found_by_name(
    reader: Reader, settings: LdapSettings, *, user: str, shown: str, server: Server | None
) -> Person | None:
    """Whoever has this name.

    Raises:
        LoginRefusedError: more than one has it.
        DirectoryDownError, Unanswered: as `Reader.search`.
    """
    return _only(
        reader, settings, user_filter(settings.user_filter, user=user, shown=shown), server=server, name=user
    )


def found_by_key(reader: Reader, settings: LdapSettings, key: str) -> Person | None:
    """Whoever has this id, if they could still log in by some name.

    Raises:
        LoginRefusedError, DirectoryDownError, Unanswered: as `found_by_name`.
    """
    if reader.facts.flavour is Flavour.ACTIVE_DIRECTORY:
        raw = guid_of_uuid(key)
        part = f"(objectGUID={filter_value(raw)})" if raw else ""
    else:
        text = uuid_of(key)
        part = f"(entryUUID={filter_value(text)})" if text else ""
    if not part:
        return None
    return _only(reader, settings, f"(&{part}{anybody_filter(settings.user_filter)})", server=None, name=key)


def bind_name(settings: LdapSettings, user: str) -> str | None:
    """As whom to bind at once; None if the name could mean something else there."""
    if settings.direct_is_dn:
        return filled(settings.direct, {USER: name_value(user)})
    return filled(settings.direct, {USER: user}) if is_account_name(user) else None


def found_by_login(reader: Reader, settings: LdapSettings, *, user: str, shown: str) -> Person:
    """Whose login this connection is, read with their own rights.

    Raises:
        LoginRefusedError: they are not among those who may be looked up.
        DirectoryDownError, Unanswered: as `Reader.search`.
    """
    if settings.direct_is_dn:
        entry = reader.entry(
            Search(
                base=bind_name(settings, user) or "",
                filter=anybody_filter(settings.user_filter),
                attributes=_wanted(reader.facts, settings),
            )
        )
        person = _person(entry, reader.facts, None, user) if entry is not None else None
    else:
        person = found_by_name(reader, settings, user=user, shown=shown, server=None)
        if person is not None:
            _check_login(reader, person)
    if person is None:
        raise LoginRefusedError(
            Reason.CREDENTIALS_WRONG, f"{user!r} can log in, but is not among those the user filter finds"
        )
    return person


def identity_of(person: Person, settings: LdapSettings, groups: tuple[str, ...]) -> Identity:
    """What is told of them at every login, the same whatever name they came by."""
    entry = person.entry
    names = entry.texts(_name_attribute(person.facts, settings))
    return Identity(
        issuer=settings.issuer,
        subject=person.key,
        name=min(names, default=person.key),
        directory=settings.name,
        kind=settings.identity_kind,
        groups=groups,
        attributes=_attributes(entry, settings),
        methods=METHODS,
        expires_at=ends_at(entry, person.facts),
    )


def _check_login(reader: Reader, person: Person) -> None:
    """That the entry found by the name is the one that logged in.

    In Active Directory what stands before the `@` of a principal name may be the account name of somebody
    else. The rootDSE tells the ids of whoever asks (MS-ADTS §3.1.1.3.2).
    """
    if reader.facts.flavour is not Flavour.ACTIVE_DIRECTORY:
        raise DirectoryDownError(
            "only Active Directory lets people log in by such a name",
            at="direct",
            hint="write it as a DN, with {user} in it",
        )
    root = reader.entry(Search(base="", attributes=("tokenGroups",)))
    ids = root.attributes.get("tokengroups", ()) if root is not None else ()
    own = person.entry.attributes.get("objectsid", ())
    if len(own) != 1 or own[0] not in ids:
        raise LoginRefusedError(
            Reason.AMBIGUOUS, f"who logged in is not {person.entry.dn}, which the user filter finds"
        )


def _only(
    reader: Reader, settings: LdapSettings, filter_text: str, *, server: Server | None, name: str
) -> Person | None:
    found = reader.search(
        Search(
            base=settings.user_base,
            filter=filter_text,
            attributes=_wanted(reader.facts, settings),
            limit=2,
        )
    )
    if len(found.entries) > 1 or found.code == Code.SIZE_LIMIT:
        raise LoginRefusedError(Reason.AMBIGUOUS, f"more than one entry is called {name!r}")
    if found.code != Code.SUCCESS:
        raise DirectoryDownError(f"the directory gave up looking for {name!r} (result {found.code})")
    return _person(found.entries[0], reader.facts, server, name) if found.entries else None


def _person(entry: Entry, facts: Facts, server: Server | None, name: str) -> Person:
    key = key_of(entry, facts)
    if key is None:
        attribute = "objectGUID" if facts.flavour is Flavour.ACTIVE_DIRECTORY else "entryUUID"
        raise DirectoryDownError(
            f"{name!r} has no {attribute} that we may read, and nothing else names it for ever",
            hint="give the service account the right to read it",
        )
    return Person(key, entry, facts, server)


def _wanted(facts: Facts, settings: LdapSettings) -> tuple[str, ...]:
    names = (*attributes_wanted(facts), *settings.attributes, _name_attribute(facts, settings))
    return tuple(dict.fromkeys(names))


def _name_attribute(facts: Facts, settings: LdapSettings) -> str:
    default = "sAMAccountName" if facts.flavour is Flavour.ACTIVE_DIRECTORY else "uid"
    return settings.name_attribute or default


def _attributes(entry: Entry, settings: LdapSettings) -> Mapping[str, Attribute]:
    found: dict[str, Attribute] = {}
    for name in settings.attributes:
        values = entry.texts(name)
        if values:
            found[name] = values[0] if len(values) == 1 else tuple(sorted(values))
    return found
