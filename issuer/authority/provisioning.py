"""What a provider of identities changes of the people it has told us of, and who is kept out for it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from issuer.audit.catalogue import EventCode
from issuer.audit.log import Detail
from issuer.authority.desk import Turn
from issuer.authority.errands import leave_cut
from issuer.authority.finding import the_operator
from issuer.authority.source_denials import Person, keep_out, let_in
from issuer.errors import AlreadyExists, NotFound
from issuer.grants import Denial
from issuer.store.hierarchy import Operator
from issuer.store.provisioned import (
    Provisioned,
    Whom,
    add_provisioned,
    change_provisioned,
    count_provisioned,
    find_provisioned,
    list_provisioned,
    remove_provisioned,
)
from issuer.store.unit import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Somebody as the provider has them. `user_name` is folded; `document` is JSON without any secret."""

    user_name: str
    external_id: str
    active: bool
    document: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Who tells us, as `scim:corp` (a word), and whom it means: subjects of that issuer."""

    source: str
    issuer: str
    by_user_name: bool = False
    """Whether the subject is the user name; else it is the external id."""
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class AddPerson:
    """Take in somebody new."""

    provider: Provider
    record: Record
    subject: str


@dataclass(frozen=True, slots=True)
class ChangePerson:
    """Change somebody: `edit` gives what they are from what they were, and who that is to the issuer.

    It may be called again when somebody else was faster, and does nothing but compute.
    """

    provider: Provider
    id: str
    edit: Callable[[Provisioned], tuple[Record, str, str]]
    """The new record, its subject, and the subject as it was."""


@dataclass(frozen=True, slots=True)
class RemovePerson:
    """Take somebody away, and keep them out."""

    provider: Provider
    id: str
    subject_of: Callable[[Provisioned], str]


@dataclass(frozen=True, slots=True)
class Changed:
    """What followed. `errands` are names of cursors."""

    row: Provisioned
    errands: tuple[str, ...] = ()


ANYBODY: Final = Whom()


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleQuestion:
    """Some of a provider's people, in the order in which they came."""

    operator_id: int
    source: str
    whom: Whom = ANYBODY
    skip: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class People:
    """`total` is how many there are of that kind."""

    rows: tuple[Provisioned, ...]
    total: int


def add_person(turn: Turn, act: AddPerson) -> Changed:
    """They are let in if this provider kept them out, or kept out if they are not active.

    Raises:
        AlreadyExists: it has told us of that name before.
    """
    operator = the_operator(turn.unit, act.provider.operator)
    record = act.record
    _free(turn.unit, operator, act.provider, record, but="")
    row = Provisioned(
        id=str(uuid.uuid4()),
        source=act.provider.source,
        user_name=record.user_name,
        external_id=record.external_id,
        active=record.active,
        document=record.document,
        created_at=turn.now,
        changed_at=turn.now,
    )
    add_provisioned(turn.unit, operator.id, row)
    return _followed(
        turn, operator, act.provider, row, (act.subject,), EventCode.PROVISIONED_ADDED, active=record.active
    )


def change_person(turn: Turn, act: ChangePerson) -> Changed:
    """As `add_person`; nothing is written where nothing changes.

    Raises:
        NotFound: it has not told us of them.
        AlreadyExists: another one of its people has that name.
    """
    operator = the_operator(turn.unit, act.provider.operator)
    was = _the_person(turn.unit, operator, act.provider, act.id)
    record, subject, old_subject = act.edit(was)
    row = replace(
        was,
        user_name=record.user_name,
        external_id=record.external_id,
        active=record.active,
        document=record.document,
    )
    if row == was:
        return Changed(was)
    _free(turn.unit, operator, act.provider, record, but=was.id)
    row = replace(row, changed_at=turn.now)
    change_provisioned(turn.unit, operator.id, row)
    # Who is let in under a new name is let in under the old one; who is kept out stays so under both.
    subjects = tuple(dict.fromkeys((subject, old_subject) if record.active else (subject,)))
    return _followed(
        turn, operator, act.provider, row, subjects, EventCode.PROVISIONED_CHANGED, active=record.active
    )


def remove_person(turn: Turn, act: RemovePerson) -> Changed:
    """They are kept out until the provider tells of them anew.

    Raises:
        NotFound: it has not told us of them.
    """
    operator = the_operator(turn.unit, act.provider.operator)
    was = _the_person(turn.unit, operator, act.provider, act.id)
    remove_provisioned(turn.unit, operator.id, was.id)
    subjects = (act.subject_of(was),)
    return _followed(turn, operator, act.provider, was, subjects, EventCode.PROVISIONED_REMOVED, active=False)


def person(unit: Unit, question: tuple[int, str, str]) -> Provisioned | None:
    """Of an operator and a provider, by id."""
    return find_provisioned(unit, *question)


def people(unit: Unit, question: PeopleQuestion) -> People:
    total = count_provisioned(unit, question.operator_id, question.source, question.whom)
    if not question.limit:
        return People((), total)
    rows = list_provisioned(
        unit,
        question.operator_id,
        question.source,
        question.whom,
        skip=question.skip,
        limit=question.limit,
    )
    return People(tuple(rows), total)


def _the_person(unit: Unit, operator: Operator, provider: Provider, number: str) -> Provisioned:
    found = find_provisioned(unit, operator.id, provider.source, number)
    if found is None:
        raise NotFound("there is nobody of that id")
    return found


def _free(unit: Unit, operator: Operator, provider: Provider, record: Record, *, but: str) -> None:
    """That nobody else has the name, nor is the same person to the issuer."""
    asked = [Whom(user_name=record.user_name)]
    if not provider.by_user_name:
        # Whoever lets in one of two would let in the other.
        asked.append(Whom(external_id=record.external_id))
    for whom in asked:
        for each in list_provisioned(unit, operator.id, provider.source, whom, limit=2):
            if each.id != but:
                what = "userName" if whom.user_name is not None else "externalId"
                raise AlreadyExists(f"somebody else has this {what}", at=what)


def _followed(
    turn: Turn,
    operator: Operator,
    provider: Provider,
    row: Provisioned,
    subjects: tuple[str, ...],
    code: EventCode,
    *,
    active: bool,
) -> Changed:
    new: list[Denial] = []
    gone: list[Denial] = []
    for subject in subjects:
        whom = Person(source=provider.source, issuer=provider.issuer, subject=subject)
        if active:
            gone += let_in(turn, operator, whom)
        elif (denial := keep_out(turn, operator, whom, what=code.value)) is not None:
            new.append(denial)
    detail: Detail = {
        "source": provider.source,
        "id": row.id,
        "issuer": provider.issuer,
        "subject": ", ".join(subjects),
        "active": active,
        "followed": "denied" if new else "lifted" if gone else "nothing",
    }
    if new or gone:
        detail["denial"] = ", ".join(str(each.id) for each in new or gone)
    turn.record(code, "", detail=detail)
    errands = [leave_cut(turn, operator, each.id, source=provider.source, what=code.value) for each in new]
    return Changed(row, tuple(errands))
