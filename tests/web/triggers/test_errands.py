"""What was told is done in the end: after a crash, after a server that did not answer, and no more than that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from callout.refusals import DirectoryDownError
from issuer.audit.catalogue import EventCode
from issuer.authority.cutting import LiftDenial, lift
from issuer.authority.errands import errands_of, errands_waiting
from issuer.authority.hearing import Effect, Hear, Heard, Told, hear
from issuer.errors import Unavailable
from issuer.store import notices
from issuer.store.notices import NOTICES_KEPT
from tests.web.triggers.office import ADA, OKTA, SECRET, START, Office, person
from web.triggers.errands import STAMPS_KEPT, Errands
from web.triggers.groups import GroupsNow
from web.triggers.reevaluating import Reevaluator
from web.triggers.settings import AfterGroups, OktaHook

SOURCE = "okta:corp"
ANN = person("00uann", "readers", "writers")


def made(office: Office, *, groups: dict[str, GroupsNow] | None = None, **settings: Any) -> Errands:
    named: dict[str, Any] = {"name": "corp", "directory": "okta", "secret": SECRET}
    hook = OktaHook(**(named | settings))
    reevaluator = Reevaluator(office.authority, office.id, office, office)
    return Errands(
        office.authority, office.operator, office, reevaluator,
        hooks={SOURCE: hook}, groups=groups or {}, now=lambda: office.now,
    )  # fmt: skip


def told(office: Office, effect: Effect, *, at: int = 0, notice: str = "n1", **members: Any) -> Heard:
    one = Told(
        notice=notice, what="it", effect=effect, issuer=OKTA, subjects=("00uann",), at_ms=(START + at) * 1000,
        **members,
    )  # fmt: skip
    return office.authority.perform(hear, Hear(source=SOURCE, told=(one,)), ADA)


def work(errands: Errands) -> int:
    return asyncio.run(errands.work())


def left(office: Office) -> int:
    with office.database.reading() as unit:
        return len(notices.cursors_named(unit, errands_of(office.id), until=office.now + 10**6))


def test_connections_of_a_denial_are_ended(office: Office) -> None:
    office.let_in(ANN, 1)
    office.let_in(person("00ubob", "readers"), 2)
    errands = made(office)
    errands.wake(told(office, Effect.DENY).errands)
    assert work(errands) == 1
    assert (office.open(), left(office)) == ([2], 0)
    assert len(office.standing()) == 1


def test_an_errand_that_a_crash_left_behind_is_found_by_whoever_comes_next(office: Office) -> None:
    office.let_in(ANN, 1)
    told(office, Effect.DENY)
    another = made(office)
    assert work(another) == 0  # whoever left it begins it, if it is alive
    office.now += 5
    assert work(another) == 1
    assert (office.open(), left(office)) == ([], 0)


def test_those_that_wait_are_counted_by_operator_until_they_are_done(office: Office) -> None:
    def waiting(operator: int = office.id) -> int:
        return office.authority.ask(errands_waiting, operator)

    office.let_in(ANN, 1)
    errands = made(office)
    assert waiting() == 0
    errands.wake(told(office, Effect.DENY).errands)
    assert (waiting(), waiting(office.id + 1)) == (1, 0)
    assert work(errands) == 1
    assert waiting() == 0


def test_an_errand_under_way_is_nobody_elses(office: Office) -> None:
    heard = told(office, Effect.DENY)
    first, second = made(office), made(office)
    first.wake(heard.errands)
    assert [each.name for each in first._claim(frozenset(heard.errands))] == list(heard.errands)
    office.now += 30
    assert work(second) == 0
    # Whoever dies in the middle of one holds it for a while only.
    office.now += 100
    assert work(second) == 1


@pytest.mark.parametrize("trouble", ["unclean", "fault"])
def test_what_was_not_done_is_tried_again(office: Office, trouble: str) -> None:
    office.let_in(ANN, 1)
    errands = made(office)
    errands.wake(told(office, Effect.DENY).errands)
    setattr(office, trouble, Unavailable("no server") if trouble == "fault" else True)
    assert work(errands) == 1
    assert (office.open(), left(office)) == ([1], 1)
    assert work(errands) == 0
    office.now += 5
    assert work(errands) == 1
    setattr(office, trouble, None if trouble == "fault" else False)
    office.now += 10
    assert work(errands) == 1
    assert (office.open(), left(office)) == ([], 0)


def test_a_fault_of_ours_in_one_does_not_keep_the_others_from_being_done(office: Office) -> None:
    office.let_in(ANN, 1)
    errands = made(office)
    broken = Told(
        notice="n0", what="it", effect=Effect.DENY, issuer=OKTA, subjects=("00ubob",), at_ms=START * 1000
    )
    errands.wake(office.authority.perform(hear, Hear(source=SOURCE, told=(broken,)), ADA).errands)
    errands.wake(told(office, Effect.DENY).errands)
    real, office.before_cut = office.cut, None

    async def cut(denial: Any, *, dry_run: bool = False) -> Any:
        if denial.value == "00ubob":
            raise ZeroDivisionError
        return await real(denial, dry_run=dry_run)

    office.cut = cut  # type: ignore[method-assign]
    assert work(errands) == 2
    assert (office.open(), left(office)) == ([], 1)


def test_what_was_lifted_meanwhile_is_not_denied_anew(office: Office) -> None:
    heard = told(office, Effect.DENY)
    told(office, Effect.LIFT, at=1, notice="n2")
    errands = made(office)
    errands.wake(heard.errands)
    assert work(errands) == 1
    assert (office.standing(), office.cut_off, left(office)) == ([], [], 0)


def test_what_is_lifted_in_the_moment_between_does_not_stay_denied(office: Office) -> None:
    office.let_in(ANN, 1)
    errands = made(office)
    heard = told(office, Effect.DENY)
    errands.wake(heard.errands)
    (denial,) = heard.denials

    def lifted() -> None:
        office.authority.perform(lift, LiftDenial(denial.id), ADA)

    office.before_cut = lifted
    assert work(errands) == 1
    assert office.standing() == []


# Groups


def test_whoever_has_less_without_the_group_is_kicked_and_must_prove_it_anew(office: Office) -> None:
    office.let_in(ANN, 1)
    office.let_in(ANN, 2, account="ACCOUNT", role="reader")
    errands = made(office)
    errands.wake(told(office, Effect.REGROUP, groups=("writers", "00gw"), at=3).errands)
    assert work(errands) == 1
    # The denial is about what was proved before, and is there before anybody is kicked.
    assert [(each.value, each.before) for each in office.standing()] == [("00uann", START + 3)]
    assert office.kicked == [((1, 2), "it")]
    heard = [each.body.detail for each in office.events(EventCode.TRIGGER_HEARD)]
    assert [(each["followed"], each.get("ended")) for each in heard] == [
        ("groups are looked at", None), ("kicked", 2),
    ]  # fmt: skip


def test_whoever_loses_a_group_that_gave_nothing_keeps_everything(office: Office) -> None:
    office.let_in(person("00uann", "readers", "choir"), 1)
    errands = made(office)
    errands.wake(told(office, Effect.REGROUP, groups=("choir",)).errands)
    assert work(errands) == 1
    assert (office.open(), office.standing(), office.kicked, left(office)) == ([1], [], [], 0)


def test_to_reconnect_may_be_all_that_is_asked(office: Office) -> None:
    office.let_in(ANN, 1)
    errands = made(office, after_groups=AfterGroups.RECONNECT)
    errands.wake(told(office, Effect.REGROUP, groups=("writers",)).errands)
    assert work(errands) == 1
    assert (office.open(), office.standing()) == ([], [])


class Groups:
    """Where groups can be asked of."""

    def __init__(self, *groups: str, down: int = 0) -> None:
        self.groups, self.down = frozenset(groups), down

    async def groups_of(self, subject: str) -> frozenset[str]:
        if self.down:
            self.down -= 1
            raise DirectoryDownError("no answer")
        return self.groups


def test_groups_that_were_lost_without_a_word_are_found_by_asking(office: Office) -> None:
    office.let_in(ANN, 1)
    errands = made(office, groups={SOURCE: Groups("readers")})
    errands.wake(told(office, Effect.REGROUP, groups=("choir",)).errands)
    assert work(errands) == 1
    assert office.open() == []


def test_while_groups_cannot_be_asked_for_nobody_is_kicked_for_it_and_then_what_was_told_counts(
    office: Office,
) -> None:
    office.let_in(ANN, 1)
    errands = made(office, groups={SOURCE: Groups("readers", down=9)})
    errands.wake(told(office, Effect.REGROUP, groups=("writers",)).errands)
    for open_after in ([1], [1], []):
        assert work(errands) == 1
        assert office.open() == open_after
        office.now += 30
    assert left(office) == 0


def test_without_a_policy_to_rely_on_nobody_is_kicked(office: Office) -> None:
    office.let_in(ANN, 1)
    errands = made(office)
    errands.wake(told(office, Effect.REGROUP, groups=("writers",)).errands)

    def none() -> Any:
        raise Unavailable("none")

    office.policy = none  # type: ignore[method-assign]
    assert work(errands) == 1
    assert (office.open(), left(office)) == ([1], 1)


# Housekeeping


def test_what_is_too_old_to_matter_is_forgotten(office: Office) -> None:
    told(office, Effect.DENY)
    told(office, Effect.PROVE_AGAIN, notice="n2")
    errands = made(office, proofs_last=3600)
    errands.tidy()
    assert len(office.standing()) == 2
    office.now += 3601
    errands.tidy()
    # A denial until further notice stays.
    assert [each.reason for each in office.standing()] == ["okta:corp account: it"]
    with office.database.reading() as unit:
        assert notices.is_noted(unit, SOURCE, "n1")
    office.now += max(NOTICES_KEPT, STAMPS_KEPT)
    errands.tidy()
    with office.database.reading() as unit:
        assert not notices.is_noted(unit, SOURCE, "n1")
        assert notices.cursors_named(unit, f"stamp:{office.id}:", until=office.now) == []
    assert left(office) == 2


def test_the_part_begins_at_once_and_ends_when_told(office: Office) -> None:
    office.let_in(ANN, 1)
    errands = made(office)

    async def story() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(errands.run(stop))
        await asyncio.sleep(0.1)
        heard = await asyncio.to_thread(told, office, Effect.DENY)
        errands.wake(heard.errands)
        await _until(lambda: not left(office))
        stop.set()
        await running

    asyncio.run(asyncio.wait_for(story(), 20))
    assert office.open() == []


async def _until(seen: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not seen():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)
