"""Looking at what there is needs no key and changes nothing."""

from __future__ import annotations

import pytest

from issuer.authority.accounts import AddAccount, EditAccount, add_account, edit_account
from issuer.authority.callouts import EditCallout, edit_callout
from issuer.authority.inspecting import (
    Named,
    UserPage,
    account_rows,
    describe_account,
    describe_operator,
    describe_user,
    key_rows,
    only_account,
    operator_rows,
    role_rows,
    user_rows,
)
from issuer.authority.operators import AddOperator, add_operator
from issuer.authority.roles import EditRole, edit_role
from issuer.authority.users import AddUser, add_user
from issuer.errors import NotFound
from issuer.keys.nkeys import Role, Seed
from tests.issuer.authority.conftest import House


def test_the_only_account_is_the_one_meant(grid: House) -> None:
    assert grid.authority.ask(only_account, None) == "METERS"
    grid.do(add_account, AddAccount("OTHER"))
    with pytest.raises(NotFound, match="which account"):
        grid.authority.ask(only_account, None)


def test_without_accounts_the_way_on_is_named(house: House) -> None:
    house.do(add_operator, AddOperator("O"))
    with pytest.raises(NotFound) as caught:
        house.authority.ask(only_account, "O")
    assert caught.value.hint == "accredit add account NAME"


def test_an_operator_is_described_with_its_system_account_by_name(grid: House) -> None:
    found = grid.authority.ask(describe_operator, Named())
    assert found.names[found.claims.nats.system_account] == "SYS"
    assert found.plain()["name"] == "GRID"


def test_a_user_of_a_role_is_described_with_the_role(grid: House) -> None:
    grid.do(edit_role, EditRole("METERS", "reader"))
    grid.do(add_user, AddUser("m1", "METERS", role="reader"))
    found = grid.authority.ask(describe_user, Named(account="METERS", user="m1"))
    assert found.scope is not None
    assert found.scope.role == "reader"
    row = grid.authority.ask(role_rows, Named(account="METERS"))[0]
    assert (row["role"], row["users"], row["stored"]) == ("reader", 1, True)


def test_lists_have_what_a_program_needs(grid: House) -> None:
    grid.do(add_user, AddUser("m1", "METERS"))
    assert [row["accounts"] for row in grid.authority.ask(operator_rows, None)] == [2]
    accounts = {row["name"]: row for row in grid.authority.ask(account_rows, None)}
    assert accounts["SYS"]["system"] is True
    assert accounts["METERS"]["users"] == 1
    assert (
        grid.authority.ask(describe_account, Named(account="METERS")).public
        == accounts["METERS"]["public_key"]
    )


def test_users_come_in_pages(grid: House) -> None:
    for number in range(5):
        grid.do(add_user, AddUser(f"m{number}", "METERS"))
    page = grid.authority.ask(user_rows, UserPage("METERS", after="m1", limit=2))
    assert [row["name"] for row in page] == ["m2", "m3"]


def test_every_key_is_listed_with_its_owner_and_whether_it_is_here(grid: House) -> None:
    elsewhere = Seed.generate(Role.ACCOUNT).public
    grid.do(edit_account, EditAccount("METERS", add_signing_keys=("generate", elsewhere)))
    grid.do(edit_role, EditRole("METERS", "reader"))
    grid.do(add_user, AddUser("m1", "METERS"))
    grid.do(edit_callout, EditCallout("METERS", add_users=("m1",), xkey="generate"))
    with grid.authority.database.reading() as unit:
        rows = list(key_rows(unit))
    by_key = {row["pub"]: row for row in rows}
    assert len(by_key) == len(rows)
    assert all(row["referenced"] for row in rows)
    assert (by_key[elsewhere]["stored"], by_key[elsewhere]["name"]) == (False, "METERS")
    assert [row["role"] for row in rows if row["role"]] == ["reader"]
    assert [row["name"] for row in rows if row["curve"]] == ["METERS"]
    user = next(row for row in rows if row["expected_kind"] == "user" and row["name"] == "m1")
    assert user["parent"] == grid.authority.ask(describe_account, Named(account="METERS")).public
    assert sum(1 for row in rows if row["signing"]) == 3
