"""What we ask of an LDAP library: open, bind, search, close. Nothing else of it is known outside its door."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Final, Protocol

import msgspec

from callout.directories.ldap.settings import Server


class Unreached(Exception):
    """Nothing was asked of the server: it did not open, or is not who it should be."""


class Unanswered(Exception):
    """It was asked and gave no answer, or none that can be read. What it did is not known."""


class UnsendableError(Exception):
    """A password that no directory can have stored (RFC 4013)."""


class Scope(IntEnum):
    """RFC 4511 §4.5.1.2."""

    BASE = 0
    SUBTREE = 2


class Code(IntEnum):
    """The results we tell apart (RFC 4511 §4.1.9)."""

    SUCCESS = 0
    TIME_LIMIT = 3
    SIZE_LIMIT = 4
    REFERRAL = 10
    ADMIN_LIMIT = 11
    CONSTRAINT = 19
    NO_SUCH_OBJECT = 32
    INVALID_DN = 34
    INAPPROPRIATE_AUTH = 48
    WRONG = 49
    BUSY = 51
    UNAVAILABLE = 52
    UNWILLING = 53


LIMITS: Final = frozenset({Code.TIME_LIMIT, Code.SIZE_LIMIT, Code.ADMIN_LIMIT})


class Entry(msgspec.Struct, frozen=True):
    """One entry."""

    dn: str
    attributes: Mapping[str, tuple[bytes, ...]]
    """By name in lower case; only those that are there."""

    def texts(self, name: str) -> tuple[str, ...]:
        """The values of an attribute; what is no text stands as its bytes in hex."""
        return tuple(_text(value) for value in self.attributes.get(name.lower(), ()))

    def text(self, name: str) -> str:
        """The one value of an attribute; empty if there is none or more than one."""
        values = self.texts(name)
        return values[0] if len(values) == 1 else ""

    def number(self, name: str) -> int | None:
        try:
            return int(self.text(name))
        except ValueError:
            return None


class Found(msgspec.Struct, frozen=True):
    """The answer to a search. References to other servers are not in it."""

    entries: tuple[Entry, ...]
    code: int
    message: str = ""
    cookie: bytes = b""
    """Of the next page; empty when there is none."""


class Answer(msgspec.Struct, frozen=True):
    """The answer to a bind."""

    code: int
    message: str = ""
    policy: bytes | None = None
    """The value of the password policy control, where one came."""


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """A question."""

    base: str
    filter: str = "(objectClass=*)"
    scope: Scope = Scope.SUBTREE
    attributes: tuple[str, ...] = ()
    limit: int = 0
    page: int = 0
    """Entries in a page; 0: no pages."""
    cookie: bytes = b""
    deleted: bool = False
    """Also what Active Directory keeps of deleted entries."""


class Session(Protocol):
    """A connection, for one thread at a time. `until` is on the monotonic clock."""

    def bind(self, name: str, password: str, *, until: float) -> Answer:
        """
        Raises:
            UnsendableError: nothing was sent.
            Unanswered: it may have been counted as a failure.
        """

    def search(self, search: Search, *, until: float) -> Found:
        """
        Raises:
            Unanswered: the connection is of no more use.
        """

    def close(self) -> None: ...


Dial = Callable[[Server, float], Session]
"""(server, until) -> an open connection, safe and not bound yet; raises Unreached."""


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.hex()
