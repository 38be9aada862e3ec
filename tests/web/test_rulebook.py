"""Rules are those of the store, a moment ago at most; rules that have grown too old let nobody in."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from callout.refusals import LoginRefusedError, Reason
from issuer.audit.catalogue import EventCode
from issuer.audit.log import Event, append
from issuer.authority.accounts import AddAccount, EditAccount, add_account, edit_account
from issuer.authority.desk import Actor, Authority
from issuer.authority.operators import AddOperator, add_operator
from issuer.authority.roles import EditRole, RemoveRole, edit_role, remove_role
from issuer.custody.keyring import Keyring
from issuer.custody.master import MasterKey
from issuer.errors import AccreditError
from issuer.grants import Denial, Target
from issuer.store import hierarchy
from issuer.store.grants import add_denial, add_policy, lift_denial, standing_denials
from issuer.store.unit import Database, Unit
from web.rulebook import MOST_STALE, Rulebook

ADA = Actor("ada", "test")
START = 1_700_000_000


class Office:
    """An operator with an account GRID, and a rulebook over its store."""

    def __init__(self, url: str) -> None:
        self.now = START
        self.database = Database.open(url, create=True)
        keyring = Keyring(MasterKey(bytes(range(32))))
        self.authority = Authority(self.database, keyring, clock=lambda: self.now)
        self.authority.perform(add_operator, AddOperator("ACME"), ADA)
        self.now += 5
        self.authority.perform(add_account, AddAccount("GRID"), ADA)
        self.now += 5
        with self.database.reading() as unit:
            operator = hierarchy.find_operator(unit, "ACME")
        assert operator is not None
        self.operator_id = operator.id
        self.book = Rulebook(self.database, keyring, operator.id, now=lambda: self.now)

    def told(self, unit: Unit) -> None:
        append(unit, Event(EventCode.ACCOUNT_CHANGED, "test"), self.now)

    def policy(self, *bindings: str, account: str = "GRID") -> None:
        given = [
            {"name": name, "match": {"directory": "okta"}, "account": account, "roles": ["reader"]}
            for name in bindings
        ]
        with self.database.writing() as unit:
            add_policy(unit, self.operator_id, json.dumps({"version": 1, "bindings": given}), self.now)
            self.told(unit)


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    office = Office(database_url)
    yield office
    office.database.close()


def reason(office: Office) -> Reason:
    with pytest.raises(LoginRefusedError) as refused:
        office.book.policy()
    return refused.value.reason


def test_without_a_policy_nobody_is_let_in(office: Office) -> None:
    assert reason(office) is Reason.NO_POLICY
    office.book.refresh()
    assert reason(office) is Reason.NO_POLICY


def test_the_newest_policy_holds(office: Office) -> None:
    office.policy("one")
    office.book.refresh()
    assert office.book.policy()[0] == 1
    office.policy("one", "two")
    office.book.refresh()
    version, policy = office.book.policy()
    assert (version, [binding.name for binding in policy.policy.bindings]) == (2, ["one", "two"])


def test_rules_that_have_grown_old_let_nobody_in(office: Office) -> None:
    office.policy("one")
    office.book.refresh()
    office.now += int(MOST_STALE)
    assert office.book.policy()
    office.now += 1
    assert reason(office) is Reason.NO_POLICY
    office.book.refresh()
    assert office.book.policy()


def test_a_policy_that_cannot_be_read_does_not_take_the_place_of_one_that_can(office: Office) -> None:
    office.policy("one")
    office.book.refresh()
    with office.database.writing() as unit:
        add_policy(unit, office.operator_id, '{"version": 1, "bindings": [{}]}', office.now)
        office.told(unit)
    with pytest.raises(AccreditError):
        office.book.refresh()
    assert office.book.policy()[0] == 1


def test_denials_hold_until_they_are_lifted(office: Office) -> None:
    office.policy("one")
    with office.database.writing() as unit:
        add_denial(unit, office.operator_id, Denial(target=Target.IDENTITY, value="ann"), office.now)
        office.told(unit)
    office.book.refresh()
    assert [each.value for each in office.book.denials()] == ["ann"]
    with office.database.writing() as unit:
        (standing,) = standing_denials(unit, office.operator_id)
        lift_denial(unit, office.operator_id, standing.id, now=office.now)
        office.told(unit)
    office.book.refresh()
    assert office.book.denials() == ()


def test_an_account_is_as_its_newest_token_says(office: Office) -> None:
    office.policy("one")
    office.book.refresh()
    place = office.book.place("GRID")
    assert place is not None
    assert (dict(place.roles), place.plain) == ({}, None)
    office.authority.perform(edit_role, EditRole("GRID", role="reader", key="generate"), ADA)
    office.authority.perform(edit_account, EditAccount("GRID", add_signing_keys=("generate",)), ADA)
    office.book.refresh()
    place = office.book.place("GRID")
    assert place is not None
    assert set(place.roles) == {"reader"}
    assert place.plain is not None
    assert set(place.templates()) == {"reader"}
    office.authority.perform(remove_role, RemoveRole("GRID", role="reader"), ADA)
    office.book.refresh()
    place = office.book.place("GRID")
    assert place is not None
    assert place.templates() == {}


def test_only_accounts_a_binding_names_are_there(office: Office) -> None:
    office.policy("one", account="ELSEWHERE")
    office.book.refresh()
    assert office.book.place("GRID") is None
    assert office.book.place("ELSEWHERE") is None
