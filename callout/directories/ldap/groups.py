"""All groups somebody is in, also through other groups: completely, or not at all.

A part of them is no answer: a rule may rest on a group that somebody is *not* in. Active Directory follows
nested groups itself; elsewhere its rule answers with success and no entry, so there we walk from each group
to those that name it (callout spec §3.2).
"""

from __future__ import annotations

from typing import Final

from callout.directories.ldap.escaping import filter_value
from callout.directories.ldap.people import Person
from callout.directories.ldap.port import Entry, Search
from callout.directories.ldap.servers import Reader, TooMuch
from callout.directories.ldap.settings import LdapSettings
from callout.directories.ldap.standing import Flavour
from callout.directories.ldap.values import sid_of_group
from callout.refusals import LoginRefusedError, Reason

AT_ONCE: Final = 40
"""Members asked about in one filter; servers bound its size."""
_IN_CHAIN: Final = "1.2.840.113556.1.4.1941"  # MS-ADTS §3.1.1.3.4.4.3


def groups_of(reader: Reader, settings: LdapSettings, person: Person) -> tuple[str, ...]:
    """The names of all groups of a person, sorted.

    Raises:
        LoginRefusedError: they could not all be read, or one has no name.
        Unanswered, DirectoryDownError: as `Reader.search`.
    """
    if not settings.group_base:
        return ()
    try:
        if reader.facts.flavour is Flavour.ACTIVE_DIRECTORY:
            found = _in_chain(reader, settings, person)
        else:
            found = _walked(reader, settings, person)
    except TooMuch:
        raise _incomplete(
            person, f"there are more than {settings.group_count}, or more than the server gives"
        ) from None
    return tuple(sorted({_name(entry, settings, person) for entry in found}))


def _walked(reader: Reader, settings: LdapSettings, person: Person) -> list[Entry]:
    seen: dict[str, Entry] = {}
    ahead = [person.entry.dn]
    for _ in range(settings.group_depth + 1):
        before = len(seen)
        for start in range(0, len(ahead), AT_ONCE):
            members = "".join(
                f"({settings.group_member}={filter_value(dn)})" for dn in ahead[start : start + AT_ONCE]
            )
            for entry in _groups(reader, settings, f"(|{members})"):
                seen.setdefault(entry.dn.casefold(), entry)
            if len(seen) > settings.group_count:
                raise TooMuch
        ahead = [entry.dn for entry in list(seen.values())[before:]]
        if not ahead:
            return list(seen.values())
    raise _incomplete(person, f"they are nested more than {settings.group_depth} deep")


def _in_chain(reader: Reader, settings: LdapSettings, person: Person) -> list[Entry]:
    # The primary group names its members nowhere, and neither do the groups that it is in.
    primary = _primary_group(reader, person)
    parts = [f"(objectSid={filter_value(primary[0])})"]
    parts += [
        f"({settings.group_member}:{_IN_CHAIN}:={filter_value(dn)})" for dn in (person.entry.dn, primary[1])
    ]
    return _groups(reader, settings, f"(|{''.join(parts)})")


def _primary_group(reader: Reader, person: Person) -> tuple[bytes, str]:
    """Its SID and its DN."""
    number = person.entry.number("primaryGroupID")
    own = person.entry.attributes.get("objectsid", ())
    sid = sid_of_group(own[0], number) if number is not None and len(own) == 1 else None
    if sid is None:
        raise _incomplete(person, "its primary group cannot be read")
    found = reader.search(
        Search(
            base=reader.facts.domain, filter=f"(objectSid={filter_value(sid)})", attributes=("cn",), limit=2
        )
    )
    if len(found.entries) != 1:
        raise _incomplete(person, f"its primary group {number} is not to be found")
    return sid, found.entries[0].dn


def _groups(reader: Reader, settings: LdapSettings, which: str) -> list[Entry]:
    if settings.group_filter:
        kind = settings.group_filter
    elif reader.facts.flavour is Flavour.ACTIVE_DIRECTORY:
        kind = "(objectClass=group)"
    else:
        kind = f"({settings.group_member}=*)"
    return reader.every(
        Search(
            base=settings.group_base,
            filter=f"(&{kind}{which})",
            attributes=(settings.group_name,) if settings.group_name else ("1.1",),
        ),
        page=settings.page_size,
        most=settings.group_count,
    )


def _name(entry: Entry, settings: LdapSettings, person: Person) -> str:
    if not settings.group_name:
        return entry.dn
    values = entry.texts(settings.group_name)
    if len(values) != 1:
        # Whoever may edit a group could otherwise give it the name of another beside its own.
        raise _incomplete(person, f"{entry.dn} has {len(values)} values of {settings.group_name}")
    return values[0]


def _incomplete(person: Person, why: str) -> LoginRefusedError:
    return LoginRefusedError(
        Reason.GROUPS_INCOMPLETE, f"not all groups of {person.entry.dn} are known: {why}"
    )
