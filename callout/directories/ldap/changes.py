"""What has changed in a directory since it was last asked, so that sessions end when an account does.

Active Directory numbers its changes on each controller (uSNChanged, MS-ADTS §3.1.1.1.9), and keeps what is
left of deleted entries; other directories stamp entries with entryCSN (OpenLDAP) or
modifyTimestamp (RFC 4512 §3.4.4), and keep nothing of those that were deleted or moved away: whoever holds
sessions must also `lookup` them in turn.

A change may be told twice. None is left out as long as no stamp becomes visible more than `OVERLAP` late.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from callout.directories.ldap.escaping import filter_value
from callout.directories.ldap.port import Entry, Search
from callout.directories.ldap.servers import Reader, TooMuch
from callout.directories.ldap.settings import LdapSettings
from callout.directories.ldap.standing import Flavour, attributes_wanted, key_of, lasting_objection
from callout.directories.ldap.values import seconds_of, uuid_of_guid
from callout.refusals import DirectoryDownError, Reason
from issuer.errors import PeerError

OVERLAP: Final = 30.0
"""Seconds by which a write may become visible after a later one: one in progress, or one of a replica."""
MAX_CHANGES: Final = 5000
_MAX_TOLD: Final = 2000
_PERSON_CLASSES: Final = frozenset({"account", "inetorgperson", "person", "posixaccount", "user"})
_GROUP_CLASSES: Final = frozenset(
    {"group", "groupofmembers", "groupofnames", "groupofuniquenames", "posixgroup"}
)


class CursorError(PeerError):
    """A cursor that is none of ours."""

    code = "ldap.cursor"


class What(StrEnum):
    """What changed."""

    PERSON = "person"
    GROUP = "group"
    """Who is in it may have changed, also through other groups: whoever has groups is to be looked up."""
    GONE = "gone"
    EVERYTHING = "everything"
    """It cannot be told: everybody is to be looked up."""


class Change(msgspec.Struct, frozen=True):
    """One change."""

    what: What
    subject: str = ""
    """Of a person: as in `Identity.subject`."""
    name: str = ""
    """The entry's DN."""
    reason: Reason | None = None
    """Why a person may not log in any more, where the entry alone says so."""


class _Cursor(msgspec.Struct, frozen=True):
    """How far each has been read. It is kept by whoever asks, as text."""

    numbers: dict[str, int] = {}
    """Active Directory: by the controller's invocationId."""
    stamp: str = ""
    told: tuple[str, ...] = ()
    """Stamps within the overlap that were told already."""


class _Written(NamedTuple):
    """An entry that was written, and whether it is a group."""

    entry: Entry
    group: bool


def changes_of(reader: Reader, settings: LdapSettings, cursor: str, now: float) -> tuple[str, list[Change]]:
    """The next cursor, and what changed since this one; an empty one starts from now and tells nothing.

    Raises:
        CursorError: that is no cursor.
        Unanswered, DirectoryDownError: as `Reader.search`.
    """
    try:
        begun = msgspec.json.decode(cursor, type=_Cursor) if cursor else None
    except msgspec.MsgspecError:
        raise CursorError("this is no cursor of an LDAP directory") from None
    active = reader.facts.flavour is Flavour.ACTIVE_DIRECTORY
    after, changes = (_by_number if active else _by_stamp)(reader, settings, begun, now)
    return msgspec.json.encode(after).decode(), changes


# Active Directory


def _by_number(
    reader: Reader, settings: LdapSettings, begun: _Cursor | None, now: float
) -> tuple[_Cursor, list[Change]]:
    root = reader.entry(Search(base="", attributes=("highestCommittedUSN", "dsServiceName")))
    service = root.text("dsServiceName") if root is not None else ""
    highest = root.number("highestCommittedUSN") if root is not None else None
    which = reader.entry(Search(base=service, attributes=("invocationId",))) if service else None
    raw = which.attributes.get("invocationid", ()) if which is not None else ()
    # Restored from a backup, a controller counts anew under another id.
    controller = uuid_of_guid(raw[0]) if len(raw) == 1 else None
    if highest is None or controller is None:
        raise DirectoryDownError("the controller tells neither its number nor its invocationId")
    after = _Cursor(numbers={**(begun.numbers if begun else {}), controller: highest})
    if begun is None:
        return after, []
    since = begun.numbers.get(controller)
    if since is None or since > highest:
        return after, [Change(What.EVERYTHING)]
    if since == highest:
        return after, []
    part = f"(uSNChanged>={since + 1})"
    try:
        written = _changed(reader, settings, part)
        gone = reader.every(
            Search(
                base=reader.facts.domain,
                filter=f"(&(isDeleted=TRUE)(objectGUID=*){part})",
                attributes=("objectGUID", "objectClass"),
                deleted=True,
            ),
            page=settings.page_size,
            most=MAX_CHANGES,
        )
    except TooMuch:
        return after, [Change(What.EVERYTHING)]
    changes = [_change(each, reader, settings, now) for each in written]
    for entry in gone:
        # Whoever was in a deleted group is in it no more.
        if _is_group(entry, among_groups=False):
            changes.append(Change(What.GROUP, name=entry.dn))
        else:
            changes.append(Change(What.GONE, key_of(entry, reader.facts) or "", entry.dn))
    return after, changes


# Others


def _by_stamp(
    reader: Reader, settings: LdapSettings, begun: _Cursor | None, now: float
) -> tuple[_Cursor, list[Change]]:
    if begun is None or not begun.stamp:
        return _from_now(reader, settings), [] if begun is None else [Change(What.EVERYTHING)]
    try:
        written = _written_since(reader, settings, begun.stamp)
    except TooMuch:
        return _from_now(reader, settings), [Change(What.EVERYTHING)]
    told = set(begun.told)
    changes = [_change(each, reader, settings, now) for each in written if _mark(each.entry) not in told]
    stamp = max([begun.stamp, *(_own_stamp(each.entry) for each in written)])
    return _Cursor(stamp=stamp, told=_newest_marks(written)), changes


def _from_now(reader: Reader, settings: LdapSettings) -> _Cursor:
    stamp = _newest(reader, settings)
    try:
        return _Cursor(stamp=stamp, told=_newest_marks(_written_since(reader, settings, stamp)))
    except TooMuch:
        return _Cursor(stamp=stamp)


def _written_since(reader: Reader, settings: LdapSettings, stamp: str) -> list[_Written]:
    """The entries written after `stamp`, and those of the overlap before it."""
    when = seconds_of(stamp.partition("#")[0])
    if when is None:
        raise CursorError("this is no cursor of an LDAP directory")
    by = _attribute(stamp)
    return _changed(reader, settings, f"({by}>={filter_value(_stamp(when - OVERLAP, by))})")


def _newest(reader: Reader, settings: LdapSettings) -> str:
    """The newest stamp there is, by the directory's own clock.

    Servers bound how many entries they give, so it is found by climbing: any that are newer than the newest
    known, again and again. Each step leaves a small part of those that were left.
    """
    for by in ("entryCSN", "modifyTimestamp"):
        newest = ""
        for base in filter(None, {settings.user_base, settings.group_base}):
            while True:
                since = newest or _stamp(0, by)
                found = reader.search(
                    Search(
                        base=base,
                        filter=f"(&({by}>={filter_value(since)})(!({by}={filter_value(since)})))",
                        attributes=(by,),
                        limit=100,
                    )
                )
                stamps = [entry.text(by) for entry in found.entries]
                if not any(stamp > since for stamp in stamps):
                    break
                newest = max(stamps)
        if newest:
            return newest
    raise DirectoryDownError("the directory shows neither entryCSN nor modifyTimestamp", at="service")


def _attribute(stamp: str) -> str:
    return "entryCSN" if "#" in stamp else "modifyTimestamp"


def _stamp(when: float, by: str) -> str:
    moment = dt.datetime.fromtimestamp(max(when, 0), dt.UTC)
    if by == "entryCSN":
        return moment.strftime("%Y%m%d%H%M%S.%fZ") + "#000000#000#000000"
    return moment.strftime("%Y%m%d%H%M%SZ")


def _own_stamp(entry: Entry) -> str:
    return entry.text("entryCSN") or entry.text("modifyTimestamp")


def _mark(entry: Entry) -> str:
    # A modifyTimestamp holds for whole seconds, so it tells writes apart only together with the name.
    return entry.text("entryCSN") or f"{entry.text('modifyTimestamp')} {entry.dn}"


def _newest_marks(written: list[_Written]) -> tuple[str, ...]:
    return tuple(sorted({_mark(each.entry) for each in written})[-_MAX_TOLD:])


# Both


def _changed(reader: Reader, settings: LdapSettings, part: str) -> list[_Written]:
    """Entries with a new stamp: all below the people's base, whatever the user filter says of them now, or an
    account that it leaves out from now on would not be seen."""
    active = reader.facts.flavour is Flavour.ACTIVE_DIRECTORY
    attributes = (*attributes_wanted(reader.facts), "entryCSN", "modifyTimestamp", "objectClass")
    # In Active Directory those that were moved out of the base are seen as well.
    people = (reader.facts.domain, f"(&(objectClass=user){part})") if active else (settings.user_base, part)
    found: dict[str, _Written] = {}
    for base, which in (people, (settings.group_base, part)):
        if not base:
            continue
        search = Search(base=base, filter=which, attributes=attributes)
        for entry in reader.every(search, page=settings.page_size, most=MAX_CHANGES):
            # What is below both bases comes twice.
            found[entry.dn.casefold()] = _Written(entry, _is_group(entry, base == settings.group_base))
    return list(found.values())


def _change(written: _Written, reader: Reader, settings: LdapSettings, now: float) -> Change:
    entry = written.entry
    if written.group:
        return Change(What.GROUP, name=entry.dn)
    shut = lasting_objection(entry, reader.facts, now, settings.lockout_window)
    return Change(What.PERSON, key_of(entry, reader.facts) or "", entry.dn, shut.reason if shut else None)


def _is_group(entry: Entry, among_groups: bool) -> bool:  # noqa: FBT001  one call, beside its base
    """Among groups, whatever is no person: their classes are anybody's invention."""
    classes = {name.casefold() for name in entry.texts("objectClass")}
    return bool(classes & _GROUP_CLASSES) or (among_groups and not classes & _PERSON_CLASSES)
