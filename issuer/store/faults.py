"""What the database said, in our words: no exception of the driver leaves the store.

The originals are dropped on purpose (`from None`): drivers repeat statements and values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import exc

from issuer.errors import AccreditError, AlreadyExists, Conflict, Defect, Unavailable


class Busy(Conflict):
    """Another writer held the database, or the database picked us to give way."""

    code = "store.busy"


class Contradiction(Defect):
    """A write the schema forbids: a wrong reference, a missing value, a change of what is immutable."""

    code = "store.contradiction"


class StoreUnavailable(Unavailable):
    """The database cannot be reached, read or written."""

    code = "store.unavailable"


_TAKEN: Final = {
    "keys": ("key is in use already", "public key"),
    "operators": ("an operator of that name exists already", "name"),
    "accounts": ("the operator has an account of that name already", "name"),
    "users": ("the account has a user of that name already", "name"),
}
_UNIQUE_SQLITE: Final = re.compile(r"UNIQUE constraint failed: (\w+)\.")
# PostgreSQL: serialization failure, deadlock, lock timeout, statement cancelled by it.
_GIVE_WAY: Final = frozenset({"40001", "40P01", "55P03"})


@contextmanager
def translated() -> Iterator[None]:
    """Foreign exceptions stop here."""
    try:
        yield
    except exc.SQLAlchemyError as fault:
        raise translate(fault) from None


def translate(fault: Exception) -> AccreditError:
    """The error of ours that says the same, without the statement and its values."""
    original = getattr(fault, "orig", None) or fault
    state = getattr(original, "sqlstate", None) or ""
    words = str(original).partition("\n")[0]
    name = getattr(original, "sqlite_errorname", None) or ""
    if state in _GIVE_WAY or name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Busy("the database is busy with another change", hint="try again")
    if state == "23505":
        return _taken(str(original.diag.table_name))  # type: ignore[union-attr]
    if found := _UNIQUE_SQLITE.search(words):
        return _taken(found[1])
    if isinstance(fault, exc.IntegrityError) or state.startswith("23"):
        return Contradiction(f"the store refused a write: {_first_words(words)}")
    unusable = name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT"))
    if unusable or isinstance(fault, (exc.OperationalError, exc.InterfaceError)) or "closed" in words:
        return StoreUnavailable(f"the database does not answer: {_first_words(words)}")
    return Defect(f"the database refused a statement: {type(original).__name__}: {_first_words(words)}")


def _taken(table: str) -> AccreditError:
    if table in _TAKEN:
        words, at = _TAKEN[table]
        return AlreadyExists(words, at=at)
    # A version or a place in the log that somebody else took first.
    return Conflict("somebody else changed the same thing first", hint="try again")


def _first_words(words: str) -> str:
    # Values stand in quotes or parentheses in drivers' messages; names of tables do no harm.
    return re.sub(r"\(.*", "", words).strip()[:200]
