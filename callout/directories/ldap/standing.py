"""How it stands with the account behind an entry, read from the entry alone."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from callout.directories.ldap.port import Entry, Scope, Search, Session
from callout.directories.ldap.values import seconds_of, seconds_of_file_time, uuid_of, uuid_of_guid
from callout.refusals import Reason

_DISABLED: Final = 0x0002  # userAccountControl, MS-ADTS §2.2.16
_LOCKED: Final = 0x0010
_PASSWORD_EXPIRED: Final = 0x80_0000
_IS_ACTIVE_DIRECTORY: Final = "1.2.840.113556.1.4.800"  # MS-ADTS §3.1.1.3.4.3
FOR_EVER: Final = "000001010000Z"
"""pwdAccountLockedTime of an account locked by hand (draft-behera-ldap-password-policy-10 §5.3.3)."""

_OPEN_ATTRIBUTES: Final = (
    "entryUUID",
    "pwdAccountLockedTime",
    "pwdChangedTime",
    "pwdFailureTime",
    "pwdReset",
    "pwdStartTime",
    "pwdEndTime",
    "nsAccountLock",
)
_ACTIVE_ATTRIBUTES: Final = (
    "objectGUID",
    "objectSid",
    "primaryGroupID",
    "userAccountControl",
    "msDS-User-Account-Control-Computed",
    "accountExpires",
    "badPwdCount",
    "badPasswordTime",
    "pwdLastSet",
)


class Flavour(StrEnum):
    """Two kinds of directory, told apart by what they say of themselves and never assumed."""

    ACTIVE_DIRECTORY = "active-directory"
    OPEN = "open"


class Facts(msgspec.Struct, frozen=True):
    """What a server says of itself."""

    flavour: Flavour
    domain: str = ""
    """Where Active Directory's own domain begins."""


class Objection(NamedTuple):
    """Why somebody is not let in."""

    reason: Reason
    message: str


def facts_of(session: Session, until: float) -> Facts:
    """Read the rootDSE (RFC 4512 §5.1); whoever says nothing is no Active Directory."""
    found = session.search(
        Search(base="", scope=Scope.BASE, attributes=("supportedCapabilities", "defaultNamingContext")),
        until=until,
    )
    root = found.entries[0] if found.entries else Entry("", {})
    active = _IS_ACTIVE_DIRECTORY in root.texts("supportedCapabilities")
    return Facts(
        Flavour.ACTIVE_DIRECTORY if active else Flavour.OPEN,
        root.text("defaultNamingContext") if active else "",
    )


def attributes_wanted(facts: Facts) -> tuple[str, ...]:
    """What the functions below look at."""
    return _ACTIVE_ATTRIBUTES if facts.flavour is Flavour.ACTIVE_DIRECTORY else _OPEN_ATTRIBUTES


def key_of(entry: Entry, facts: Facts) -> str | None:
    """What names this entry for ever: never its DN, which moves, nor a name that may be given again."""
    if facts.flavour is Flavour.ACTIVE_DIRECTORY:
        values = entry.attributes.get("objectguid", ())
        return uuid_of_guid(values[0]) if len(values) == 1 else None
    return uuid_of(entry.text("entryUUID"))


def objection(entry: Entry, facts: Facts, now: float) -> Objection | None:
    """Whether the account is shut, whatever the password is."""
    if facts.flavour is Flavour.ACTIVE_DIRECTORY:
        return _active_objection(entry, now)
    return _open_objection(entry, now)


def _active_objection(entry: Entry, now: float) -> Objection | None:
    control = entry.number("userAccountControl")
    if control is None:
        # A service account without the right to read it must not make everybody enabled.
        return Objection(Reason.DISABLED, "its userAccountControl cannot be read, so it may be disabled")
    if control & _DISABLED:
        return Objection(Reason.DISABLED, "it is disabled (userAccountControl)")
    ends = seconds_of_file_time(entry.number("accountExpires"))
    if ends is not None and ends <= now:
        return Objection(Reason.EXPIRED, "its time is over (accountExpires)")
    computed = entry.number("msDS-User-Account-Control-Computed") or 0
    if computed & _LOCKED:
        return Objection(Reason.LOCKED, "the directory has locked it")
    if computed & _PASSWORD_EXPIRED:
        return Objection(Reason.PASSWORD_EXPIRED, "its password is too old or must be changed")
    return None


def _open_objection(entry: Entry, now: float) -> Objection | None:
    if entry.text("nsAccountLock").casefold() == "true":
        return Objection(Reason.DISABLED, "it is disabled (nsAccountLock)")
    if entry.text("pwdAccountLockedTime") == FOR_EVER:
        return Objection(Reason.LOCKED, "an administrator has locked it (pwdAccountLockedTime)")
    if entry.text("pwdReset").casefold() == "true":
        return Objection(Reason.PASSWORD_EXPIRED, "its password must be changed first (pwdReset)")
    starts, ends = seconds_of(entry.text("pwdStartTime")), seconds_of(entry.text("pwdEndTime"))
    if starts is not None and now < starts:
        return Objection(Reason.DISABLED, "its time has not begun (pwdStartTime)")
    if ends is not None and ends <= now:
        return Objection(Reason.EXPIRED, "its time is over (pwdEndTime)")
    return None


def lasting_objection(entry: Entry, facts: Facts, now: float, window: float) -> Objection | None:
    """As `objection`, for who asks without a password: a lock counts for `window` seconds.

    How long it holds is in a policy that we need not be able to read, and OpenLDAP leaves the note of it in
    the entry until its owner logs in again.
    """
    found = objection(entry, facts, now)
    if found is None and any(
        (since := seconds_of(text)) is None or since > now - window
        for text in entry.texts("pwdAccountLockedTime")
    ):
        return Objection(Reason.LOCKED, "the directory has locked it (pwdAccountLockedTime)")
    return found


def seems_locked(entry: Entry) -> bool:
    """Whether the directory has noted a lock, which may have run out since: only a bind can tell."""
    return bool(entry.texts("pwdAccountLockedTime"))


def ends_at(entry: Entry, facts: Facts) -> int | None:
    """When the account ends."""
    if facts.flavour is Flavour.ACTIVE_DIRECTORY:
        ends = seconds_of_file_time(entry.number("accountExpires"))
    else:
        ends = seconds_of(entry.text("pwdEndTime"))
    return None if ends is None else int(ends)


def password_stamp(entry: Entry) -> str:
    """Another text after each change of the password; empty where the directory does not tell."""
    return entry.text("pwdChangedTime") or entry.text("pwdLastSet")


def failures_counted(entry: Entry, now: float, window: float) -> int:
    """How many failed binds the directory itself has counted lately, whoever made them."""
    times = [seconds_of(text) for text in entry.texts("pwdFailureTime")]
    recent = sum(1 for when in times if when is not None and when > now - window)
    last = seconds_of_file_time(entry.number("badPasswordTime"))
    if last is not None and last > now - window:
        recent = max(recent, entry.number("badPwdCount") or 0)
    return recent
