"""Denials that a source outside makes, and takes back: its own, and no others.

A person may have been denied by several sources, and by people; each denial stands until whoever made it
takes it back. Whose it is stands in its reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from issuer.authority.cutting import lift_standing, write_denial
from issuer.authority.desk import Turn
from issuer.authority.finding import the_operator
from issuer.grants import Denial, Target
from issuer.store.grants import standing_denials
from issuer.store.hierarchy import Operator

ALWAYS: Final = 253_402_300_799
"""9999-12-31T23:59:59Z. Denials of sources stand "before" it, which is always; those that people write
without an end have none. So neither is ever taken for the other: `deny` does not write twice what stands
already, and somebody's denial would go when a source takes back its own."""
PROOF: Final = "proof"
"""The strand of denials that keep out what was proved before a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whom a source means, and on which strand: what it denies on one is not lifted on another.

    Neither `source` nor `strand` holds a blank.
    """

    source: str
    issuer: str
    subject: str
    strand: str = "account"


@dataclass(frozen=True, slots=True, kw_only=True)
class VoidProofs:
    """Deny what somebody proved before a second, on behalf of a source; sessions are left alone."""

    source: str
    what: str
    issuer: str
    subjects: tuple[str, ...]
    before: int
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class LiftOwn:
    """Lift one denial by its number, if it stands."""

    number: int
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class ForgetProofs:
    """Lift a source's denials of proofs made before then: those proofs have ended by themselves."""

    source: str
    before: int
    operator: str | None = None


def keep_out(turn: Turn, operator: Operator, person: Person, *, what: str) -> Denial | None:
    """A denial until the source takes it back; None: its own stands already."""
    if _own(turn, operator, person):
        return None
    return _deny(turn, operator, person, ALWAYS, what)


def let_in(turn: Turn, operator: Operator, person: Person) -> list[Denial]:
    """Lift what the source itself has denied on this strand; those that stood."""
    return [each for each in _own(turn, operator, person) if lift_standing(turn, operator, each)]


def void_proofs(turn: Turn, operator: Operator, person: Person, *, before: int, what: str) -> Denial | None:
    """Deny what was proved before this second, in place of the source's earlier such denials.

    None: one that reaches as far stands already.
    """
    person = Person(source=person.source, issuer=person.issuer, subject=person.subject, strand=PROOF)
    own = _own(turn, operator, person)
    if any(each.before is not None and each.before >= before for each in own):
        return None
    for each in own:
        # One for each person, or the list that every login is held against would only grow.
        lift_standing(turn, operator, each)
    return _deny(turn, operator, person, before, what)


def void(turn: Turn, act: VoidProofs) -> tuple[Denial, ...]:
    """The denials that are new."""
    operator = the_operator(turn.unit, act.operator)
    people = [Person(source=act.source, issuer=act.issuer, subject=each) for each in act.subjects]
    found = [void_proofs(turn, operator, each, before=act.before, what=act.what) for each in people]
    return tuple(each for each in found if each is not None)


def lift_own(turn: Turn, act: LiftOwn) -> bool:
    """Whether it stood."""
    operator = the_operator(turn.unit, act.operator)
    return any(
        each.id == act.number and lift_standing(turn, operator, each)
        for each in standing_denials(turn.unit, operator.id)
    )


def forget_proofs(turn: Turn, act: ForgetProofs) -> int:
    """How many."""
    operator = the_operator(turn.unit, act.operator)
    begins = _reason(act.source, PROOF, "")
    old = [
        each
        for each in standing_denials(turn.unit, operator.id)
        if each.reason.startswith(begins) and each.before is not None and each.before < act.before
    ]
    for each in old:
        lift_standing(turn, operator, each)
    return len(old)


def _own(turn: Turn, operator: Operator, person: Person) -> list[Denial]:
    begins = _reason(person.source, person.strand, "")
    return [
        each
        for each in standing_denials(turn.unit, operator.id)
        if each.target is Target.IDENTITY
        and (each.issuer, each.value) == (person.issuer, person.subject)
        and each.before is not None
        and each.reason.startswith(begins)
    ]


def _reason(source: str, strand: str, what: str) -> str:
    # Neither holds a blank, so no source's begins with another's.
    return f"{source} {strand}: {what}"


def _deny(turn: Turn, operator: Operator, person: Person, before: int, what: str) -> Denial:
    denial = Denial(
        target=Target.IDENTITY,
        issuer=person.issuer,
        value=person.subject,
        before=before,
        reason=_reason(person.source, person.strand, what),
        created_at=turn.now,
    )
    return write_denial(turn, operator, denial)
