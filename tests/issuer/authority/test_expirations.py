"""What ends when, the activations that imports live on included."""

from __future__ import annotations

from issuer.authority.accounts import AddAccount, EditAccount, add_account, edit_account
from issuer.authority.changes import Validity
from issuer.authority.expirations import Expiring, expirations
from issuer.authority.sharing import (
    AddExport,
    AddImport,
    GenerateActivation,
    add_export,
    add_import,
    generate_activation,
)
from issuer.authority.users import AddUser, add_user
from tests.issuer.authority.conftest import House

DAY = 86400


def ends(house: House, days: int) -> Validity:
    return Validity(expires=house.clock[0] + days * DAY)


def test_what_ends_is_reported_soonest_first(grid: House) -> None:
    grid.do(add_user, AddUser("later", "METERS", validity=ends(grid, 20)))
    grid.do(add_user, AddUser("soon", "METERS", validity=ends(grid, 2)))
    grid.do(add_user, AddUser("never", "METERS"))
    grid.do(edit_account, EditAccount("METERS", validity=ends(grid, 10)))
    now = grid.clock[0]
    asked = Expiring(now, now + 15 * DAY)
    assert [(one.kind, one.resource) for one in grid.authority.ask(expirations, asked)] == [
        ("user", "GRID/METERS/soon"),
        ("account", "GRID/METERS"),
    ]
    everything = grid.authority.ask(expirations, Expiring(now, now, everything=True))
    assert [one.resource for one in everything][:3] == [
        "GRID/METERS/soon",
        "GRID/METERS",
        "GRID/METERS/later",
    ]
    assert {one.at for one in everything[3:]} == {0}
    assert "GRID/METERS/never" in {one.resource for one in everything[3:]}


def test_what_has_ended_is_reported_whatever_the_time_asked(grid: House) -> None:
    grid.do(add_user, AddUser("old", "METERS", validity=ends(grid, 1)))
    later = grid.clock[0] + 5 * DAY
    found = grid.authority.ask(expirations, Expiring(later, later))
    assert [(one.resource, one.expired, one.soon) for one in found] == [("GRID/METERS/old", True, False)]


def test_the_activation_of_an_import_is_seen(grid: House) -> None:
    grid.do(add_account, AddAccount("BILLING"))
    grid.do(add_export, AddExport("METERS", "read.>", private=True))
    grid.wait(5)
    leave = grid.do(
        generate_activation, GenerateActivation("METERS", "read.>", "BILLING", validity=ends(grid, 3))
    )
    grid.do(add_import, AddImport("BILLING", token=leave.token))
    now = grid.clock[0]
    found = grid.authority.ask(expirations, Expiring(now, now + 4 * DAY))
    assert [(one.kind, one.resource) for one in found] == [("activation", "GRID/BILLING/import read.>")]
