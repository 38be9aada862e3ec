"""Acts leave exactly one trail: done, refused, or nothing at all."""

from __future__ import annotations

import pytest

from issuer.audit.log import read, verify_chain
from issuer.authority.accounts import AddAccount, add_account
from issuer.authority.desk import Turn
from issuer.errors import AlreadyExists, Defect
from issuer.store import hierarchy, outbox
from tests.issuer.authority.conftest import ADA, House


def events(house: House) -> list[str]:
    with house.authority.database.reading() as unit:
        return [event.body.code for event in read(unit)]


def test_an_act_writes_its_event_and_its_delivery(grid: House) -> None:
    with grid.authority.database.reading() as unit:
        operator = next(iter(hierarchy.operators(unit)))
        queued = {due.account_id for due in outbox.pending(unit)}
        assert {row.id for row in hierarchy.accounts(unit, operator.id)} == queued
    assert events(grid).count("account.created") == 2


def test_a_refusal_is_an_event_and_changes_nothing(grid: House) -> None:
    before = events(grid)
    with pytest.raises(AlreadyExists):
        grid.do(add_account, AddAccount("METERS"))
    assert events(grid) == [*before, "act.refused"]


def test_an_act_that_breaks_leaves_nothing(grid: House) -> None:
    def broken(turn: Turn, act: AddAccount) -> None:
        add_account(turn, act)
        raise Defect("the power went")

    before = events(grid)
    with pytest.raises(Defect):
        grid.authority.perform(broken, AddAccount("HALF"), ADA)
    assert events(grid) == before
    with grid.authority.database.reading() as unit:
        operator = next(iter(hierarchy.operators(unit)))
        assert hierarchy.find_account(unit, operator.id, "HALF") is None


def test_the_chain_of_events_holds(grid: House) -> None:
    with grid.authority.database.reading() as unit:
        assert verify_chain(unit) is None


def test_whoever_delivers_is_woken_after_the_commit(grid: House) -> None:
    count = len(grid.woken)
    grid.do(add_account, AddAccount("PV"))
    assert len(grid.woken) == count + 1
