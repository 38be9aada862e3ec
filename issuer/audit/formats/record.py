"""What a format is given of an event."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

import msgspec

from issuer.audit.log import Body


class Record(msgspec.Struct, frozen=True, gc=False):
    """An event: `text` is what was hashed, `leaf` its leaf in the tree of `origin`, in hex; `body` says in
    clear what of people is not erased."""

    seq: int
    origin: str
    leaf: str
    text: str
    body: Body


class Format(Protocol):
    """A way to write events. `in_clear` False: it writes what was hashed, a line each, and nothing else."""

    name: str
    in_clear: bool

    def head(self) -> bytes:
        """What comes before all events."""
        ...

    def render(self, record: Record) -> bytes:
        """One event, its end of line included."""
        ...


def when(at: int) -> str:
    """A second as RFC 3339 writes it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def person_of(actor: str) -> str:
    """Whose act it is, without the way it came."""
    return actor.partition(":")[2] or actor
