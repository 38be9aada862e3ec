"""What is still to be done after an answer was given: kept with what it follows from, in one transaction.

An errand is done by whoever comes to it, also after a crash, and may be done twice.
"""

from __future__ import annotations

import msgspec

from issuer.authority.desk import Turn
from issuer.store.hierarchy import Operator
from issuer.store.notices import Cursor, count_cursors, keep_cursor
from issuer.store.unit import Unit


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """Connections of a denial to be ended, or somebody's groups to be looked at."""

    source: str
    what: str
    denial: int = 0
    """Its number; 0: this is about groups."""
    issuer: str = ""
    subjects: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    """Names and ids of those they are in no more."""
    before: int = 0
    """What was proved before this second showed the old groups."""
    tries: int = 0


def errands_of(operator_id: int) -> str:
    """How the names of an operator's errands begin."""
    return f"errand:{operator_id}:"


def leave_errand(turn: Turn, operator: Operator, errand: Errand, key: str) -> str:
    """The name it is kept under."""
    name = f"{errands_of(operator.id)}{errand.source}:{key}"
    keep_cursor(turn.unit, name, msgspec.json.encode(errand).decode(), turn.now)
    return name


def leave_cut(turn: Turn, operator: Operator, denial: int, *, source: str, what: str) -> str:
    """The connections of this denial are to be ended."""
    errand = Errand(source=source, what=what, denial=denial)
    return leave_errand(turn, operator, errand, f"denial-{denial}")


def errands_waiting(unit: Unit, operator_id: int) -> int:
    """How many are not done, those under way included."""
    return count_cursors(unit, errands_of(operator_id))


def errand_of(found: Cursor) -> Errand:
    return msgspec.json.decode(found.value, type=Errand)


def tried_again(errand: Errand) -> str:
    """It, after a try that did not do all, as the cursor keeps it."""
    return msgspec.json.encode(msgspec.structs.replace(errand, tries=errand.tries + 1)).decode()
