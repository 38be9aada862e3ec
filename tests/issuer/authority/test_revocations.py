"""Revocations reach every token there is, and never move back."""

from __future__ import annotations

import pytest

from issuer.authority.desk import Outcome
from issuer.authority.revocations import (
    CompactRevocations,
    RestoreUser,
    RevokeUser,
    compact_revocations,
    restore_user,
    revoke_user,
)
from issuer.authority.users import AddUser, EditUser, add_user, edit_user
from issuer.errors import NotFound
from tests.issuer.authority.conftest import House


def revoked(house: House, outcome: Outcome) -> dict[str, int]:
    entries: dict[str, int] = house.claims(outcome).nats.revocations
    return entries


def test_a_revocation_covers_the_token_of_its_own_second(grid: House) -> None:
    user = grid.do(add_user, AddUser("m1", "METERS"))
    outcome = grid.do(revoke_user, RevokeUser("m1", "METERS"))
    assert grid.claims(outcome).revoked(user.public, grid.claims(user).iat)


def test_a_revocation_covers_a_token_dated_ahead_of_the_clock(grid: House) -> None:
    grid.do(add_user, AddUser("m1", "METERS"))
    for _ in range(5):
        user = grid.do(edit_user, EditUser("m1", "METERS", reissue=True))
    assert grid.claims(user).iat > grid.clock[0]
    outcome = grid.do(revoke_user, RevokeUser("m1", "METERS"))
    assert grid.claims(outcome).revoked(user.public, grid.claims(user).iat)
    everyone = grid.do(revoke_user, RevokeUser("*", "METERS"))
    assert grid.claims(everyone).revoked("anyone", grid.claims(user).iat)


def test_revoking_everybody_covers_the_single_entries(grid: House) -> None:
    user = grid.do(add_user, AddUser("m1", "METERS"))
    grid.do(revoke_user, RevokeUser("m1", "METERS"))
    grid.wait(10)
    outcome = grid.do(revoke_user, RevokeUser("*", "METERS"))
    assert revoked(grid, outcome).keys() == {"*"}
    assert user.public not in revoked(grid, outcome)


def test_a_clock_that_steps_back_lets_nobody_in(grid: House) -> None:
    user = grid.do(add_user, AddUser("m1", "METERS"))
    grid.wait(100)
    first = revoked(grid, grid.do(revoke_user, RevokeUser("m1", "METERS")))[user.public]
    grid.wait(-50)
    assert not grid.do(revoke_user, RevokeUser("m1", "METERS")).changed
    assert first == grid.clock[0] + 50


def test_restoring_takes_the_entry_away(grid: House) -> None:
    user = grid.do(add_user, AddUser("m1", "METERS"))
    grid.do(revoke_user, RevokeUser(user.public, "METERS"))
    assert revoked(grid, grid.do(restore_user, RestoreUser("m1", "METERS"))) == {}
    with pytest.raises(NotFound):
        grid.do(restore_user, RestoreUser("m1", "METERS"))


def test_compacting_keeps_what_can_still_be_used(grid: House) -> None:
    from issuer.authority.changes import Validity

    short = grid.do(add_user, AddUser("m1", "METERS", validity=Validity(expires=grid.clock[0] + 60)))
    long = grid.do(add_user, AddUser("m2", "METERS"))
    for name in ("m1", "m2"):
        grid.do(revoke_user, RevokeUser(name, "METERS"))
    grid.wait(3600)
    kept = revoked(grid, grid.do(compact_revocations, CompactRevocations("METERS")))
    assert long.public in kept
    assert short.public not in kept
