"""A document is made so in one transaction, once; a second time there is nothing to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from issuer.audit.log import read
from issuer.authority.accounts import AddAccount, EditAccount, add_account, edit_account
from issuer.authority.plan import (
    ApplyDocument,
    AskPlan,
    Plan,
    apply_document,
    export_document,
    plan,
    read_document,
)
from issuer.authority.plan.source import BadDocument
from issuer.authority.signing import head
from issuer.authority.users import AddUser, add_user
from issuer.claims.account import AccountClaims
from issuer.errors import AccreditError, Conflict, Defect, InvalidClaims
from issuer.store import hierarchy
from tests.issuer.authority.conftest import ADA, House

EXAMPLE = (Path(__file__).parents[4] / "docs" / "examples" / "org.yaml").read_text()


def ask(house: House, text: str, **how: object) -> Plan:
    return house.authority.ask(plan, AskPlan(read_document(text), house.clock[0], **how))  # type: ignore[arg-type]


def apply(house: House, text: str, **how: object):  # type: ignore[no-untyped-def]
    return house.do(apply_document, ApplyDocument(read_document(text), **how))  # type: ignore[arg-type]


def account(house: House, name: str) -> tuple[int, AccountClaims]:
    with house.authority.database.reading() as unit:
        operator = next(iter(hierarchy.operators(unit)))
        row = hierarchy.find_account(unit, operator.id, name)
        assert row is not None
        return row.head, head(unit, "account", row.id).claims


def test_the_example_is_made_so_and_then_it_is_so(house: House) -> None:
    assert ask(house, EXAMPLE)
    assert apply(house, EXAMPLE).changes
    house.wait(10)
    assert not ask(house, EXAMPLE)
    assert not apply(house, EXAMPLE).changes


def test_each_account_is_signed_once(house: House) -> None:
    apply(house, EXAMPLE)
    assert {account(house, name)[0] for name in ("SYS", "METERS", "BILLING")} == {1}


def test_a_private_import_gets_its_activation(house: House) -> None:
    apply(house, EXAMPLE)
    _, billing = account(house, "BILLING")
    tokens = {entry.subject: bool(entry.token) for entry in billing.nats.imports}
    assert tokens == {"readings.>": True, "tariff.get": False}


def test_a_change_signs_what_it_concerns_alone(house: House) -> None:
    apply(house, EXAMPLE)
    house.wait(10)
    changed = EXAMPLE.replace("conns: 10000", "conns: 20000")
    found = ask(house, changed)
    assert [change.path for change in found.changes] == ["accounts.METERS.limits.conns"]
    apply(house, changed)
    assert account(house, "METERS")[0] == 2
    assert account(house, "BILLING")[0] == 1
    assert account(house, "METERS")[1].nats.limits.conn == 20000


def test_what_is_not_in_the_file_stays_unless_pruned(house: House) -> None:
    apply(house, EXAMPLE)
    house.do(add_account, AddAccount("EXTRA"))
    house.do(add_user, AddUser("extra", "METERS"))
    house.wait(10)
    assert not ask(house, EXAMPLE)
    pruning = EXAMPLE + "prune: [accounts, users]\n"
    paths = {change.path: change.kind for change in ask(house, pruning).changes}
    assert paths == {"accounts.EXTRA": "delete", "accounts.METERS.users.extra": "delete"}
    apply(house, pruning)
    _, meters = account(house, "METERS")
    assert len(meters.nats.revocations) == 1
    assert not ask(house, pruning)


def test_a_plan_that_was_looked_at_is_refused_once_the_state_has_moved(house: House) -> None:
    apply(house, EXAMPLE)
    house.wait(10)
    changed = EXAMPLE.replace("conns: 10000", "conns: 5")
    seen = ask(house, changed).digest
    house.do(edit_account, EditAccount("METERS", description="somebody else was here"))
    with pytest.raises(Conflict):
        apply(house, changed, expected=seen)
    apply(house, changed, expected=ask(house, changed).digest)


def test_the_exported_document_plans_to_no_change(house: House) -> None:
    apply(house, EXAMPLE)
    text = house.authority.ask(export_document, None)
    assert not ask(house, text)


def test_an_act_that_breaks_halfway_leaves_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from issuer.authority.plan import applying

    def breaks(*_: object) -> None:
        raise Defect("the power went")

    monkeypatch.setattr(applying, "sign_user", breaks)
    with pytest.raises(Defect):
        apply(house, EXAMPLE)
    with house.authority.database.reading() as unit:
        assert list(hierarchy.operators(unit)) == []
        assert list(read(unit)) == []


def test_applying_is_an_event_of_its_own(house: House) -> None:
    apply(house, EXAMPLE)
    with house.authority.database.reading() as unit:
        events = [entry.body for entry in read(unit)]
    assert events[-1].code == "plan.applied"
    assert events[-1].actor == str(ADA)
    assert len({event.correlation for event in events}) == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("accounts: {A: {imports: [{stream: x, from: NOWHERE}]}}\noperator: O", "NOWHERE"),
        ("accounts: {A: {users: {u: {role: none}}}}\noperator: O", "role"),
        ("accounts: {A: {limits: {conns: lots}}}\noperator: O", "conns"),
        ("accounts: {A: {}, A: {}}\noperator: O", "A"),
        ("accounts: {A: {colour: red}}\noperator: O", "colour"),
        ("operator: !!python/object:os.system {}", "python"),
        ("operator:\n\t- tab", ""),
        ("accounts: {A: {exports: [{stream: 'a..b'}]}}\noperator: O", "a..b"),
    ],
)
def test_a_bad_document_is_one_error_that_names_the_place(house: House, text: str, fault: str) -> None:
    with pytest.raises((BadDocument, InvalidClaims)) as raised:
        apply(house, text)
    words = str(raised.value)
    assert "\n" not in words
    assert fault in words
    with house.authority.database.reading() as unit:
        assert list(hierarchy.operators(unit)) == []


def test_a_bomb_of_aliases_is_refused(house: House) -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for here, there in zip("bcdefghij", "abcdefghi", strict=True):
        bomb += f"{here}: &{here} [" + ", ".join([f"*{there}"] * 9) + "]\n"
    with pytest.raises(AccreditError):
        apply(house, bomb)
