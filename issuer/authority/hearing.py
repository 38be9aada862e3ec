"""What a source outside told of somebody, and what follows from it: denials, liftings, errands.

Everything is written in one transaction before it is answered: that it was told, the denials, the event,
and an errand for what takes longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from issuer.audit.catalogue import EventCode
from issuer.audit.log import Detail
from issuer.authority.desk import Turn
from issuer.authority.errands import Errand, leave_cut, leave_errand
from issuer.authority.finding import the_operator
from issuer.authority.source_denials import Person, keep_out, let_in, void_proofs
from issuer.grants import Denial
from issuer.store.hierarchy import Operator
from issuer.store.notices import cursor, is_noted, keep_cursor, note_once

NOTHING_NEW: Final = "nothing new"


class Effect(StrEnum):
    """What something that was told means for whom it is about."""

    DENY = "deny"
    """Out, until the source says otherwise."""
    LIFT = "lift"
    """What the source denied before is over."""
    PROVE_AGAIN = "prove-again"
    """Whatever was proved before is worth nothing."""
    REGROUP = "regroup"
    """In fewer groups than before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One thing told of one person. `at_ms` is when it was so, by the source's clock (unix milliseconds)."""

    notice: str
    """Its id at the source: whatever has the same one is the same."""
    what: str
    effect: Effect
    issuer: str
    subjects: tuple[str, ...]
    """All that one person may be called by that issuer."""
    at_ms: int
    strand: str = "account"
    """Denials of one strand are lifted together, those of another are not touched. A word."""
    groups: tuple[str, ...] = ()
    """The ids and names of groups it is in no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hear:
    """Things told at once by a source, as `okta:corp`; a word."""

    source: str
    told: tuple[Told, ...]
    notice: str = ""
    """Of all of them together, if it has an id."""
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What followed. `errands` are names of cursors."""

    denials: tuple[Denial, ...] = ()
    lifted: tuple[Denial, ...] = ()
    errands: tuple[str, ...] = ()
    repeated: int = 0
    """Of what was told, how many had been told before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """That something was found out that nobody told, and what followed."""

    source: str
    what: str
    followed: str
    issuer: str = ""
    subject: str = ""
    sessions: int = 0
    ended: int = 0


def stamps_of(operator_id: int) -> str:
    """How the names of stamps begin: when a source last said how it stands with somebody."""
    return f"stamp:{operator_id}:"


def hear(turn: Turn, act: Hear) -> Heard:
    """Take what was told. The order in which things come means nothing, only when they were so."""
    operator = the_operator(turn.unit, act.operator)
    if act.notice and is_noted(turn.unit, act.source, act.notice):
        return Heard(repeated=len(act.told))
    denials: list[Denial] = []
    lifted: list[Denial] = []
    errands: list[str] = []
    repeated = 0
    for each in act.told:
        if not note_once(turn.unit, act.source, each.notice, turn.now):
            repeated += 1
            continue
        new, gone = _follow(turn, operator, act.source, each)
        left = [leave_cut(turn, operator, one.id, source=act.source, what=each.what) for one in new]
        if each.effect is Effect.REGROUP:
            left.append(_look_at_groups(turn, operator, act.source, each))
        tell(
            turn,
            act.source,
            each.what,
            followed=_words(new, gone, left),
            issuer=each.issuer,
            subjects=each.subjects,
            notice=each.notice,
            denials=new or gone,
        )
        denials += new
        lifted += gone
        errands += left
    if act.notice and repeated < len(act.told):
        note_once(turn.unit, act.source, act.notice, turn.now)
    return Heard(tuple(denials), tuple(lifted), tuple(errands), repeated)


def note_heard(turn: Turn, act: Tell) -> None:
    """Only the event."""
    tell(
        turn,
        act.source,
        act.what,
        followed=act.followed,
        issuer=act.issuer,
        subjects=(act.subject,) if act.subject else (),
        counts={"sessions": act.sessions, "ended": act.ended},
    )


def tell(
    turn: Turn,
    source: str,
    what: str,
    *,
    followed: str,
    issuer: str = "",
    subjects: Sequence[str] = (),
    notice: str = "",
    denials: Sequence[Denial] = (),
    counts: Detail | None = None,
) -> None:
    """The event that something was heard, and what followed."""
    detail: Detail = {"source": source, "what": what, "followed": followed, **(counts or {})}
    if issuer:
        detail |= {"issuer": issuer, "subject": ", ".join(subjects)}
    if notice:
        detail["notice"] = notice
    if denials:
        detail["denial"] = ", ".join(str(each.id) for each in denials)
    turn.record(EventCode.TRIGGER_HEARD, "", detail=detail)


def _follow(turn: Turn, operator: Operator, source: str, told: Told) -> tuple[list[Denial], list[Denial]]:
    """The denials that are new, and those that were lifted."""
    new: list[Denial] = []
    gone: list[Denial] = []
    for subject in told.subjects:
        person = Person(source=source, issuer=told.issuer, subject=subject, strand=told.strand)
        denial: Denial | None = None
        match told.effect:
            case Effect.DENY if not _overtaken(turn, operator, person, told):
                denial = keep_out(turn, operator, person, what=told.what)
            case Effect.LIFT if not _overtaken(turn, operator, person, told):
                gone += let_in(turn, operator, person)
            case Effect.PROVE_AGAIN:
                denial = void_proofs(turn, operator, person, before=_after(told), what=told.what)
            case _:
                pass
        new += [denial] if denial is not None else []
    return new, gone


def _look_at_groups(turn: Turn, operator: Operator, source: str, told: Told) -> str:
    errand = Errand(
        source=source,
        what=told.what,
        issuer=told.issuer,
        subjects=told.subjects,
        groups=told.groups,
        before=_after(told),
    )
    return leave_errand(turn, operator, errand, told.notice)


def _after(told: Told) -> int:
    """The second it was so, or the next one: a proof is dated by whole seconds, so one of the same second
    may be older."""
    return -(-told.at_ms // 1000)


def _overtaken(turn: Turn, operator: Operator, person: Person, told: Told) -> bool:
    """Whether something newer was told of the same; if not, this is the newest from now on."""
    name = f"{stamps_of(operator.id)}{person.source}:{person.strand}:{person.issuer} {person.subject}"
    found = cursor(turn.unit, name)
    if found is not None:
        newest = int(found.value)
        # Of two of the same moment the one that keeps out holds.
        if told.at_ms < newest or (told.at_ms == newest and told.effect is Effect.LIFT):
            return True
    keep_cursor(turn.unit, name, str(told.at_ms), turn.now)
    return False


def _words(denials: Sequence[Denial], lifted: Sequence[Denial], errands: Sequence[str]) -> str:
    if denials:
        return "denied"
    if lifted:
        return "lifted"
    return "groups are looked at" if errands else NOTHING_NEW
