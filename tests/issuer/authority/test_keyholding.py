"""Seeds come in and go out one event at a time."""

from __future__ import annotations

import pytest

from issuer.audit.log import read
from issuer.authority.accounts import AddAccount, EditAccount, add_account, edit_account
from issuer.authority.keyholding import GiveSeeds, TakeSeeds, give_seeds, take_seeds
from issuer.authority.users import AddUser, add_user
from issuer.errors import NotFound
from issuer.keys.nkeys import Role, Seed
from issuer.store import keys
from tests.issuer.authority.conftest import House


def test_a_seed_finds_what_it_belongs_to(grid: House) -> None:
    signing, identity, stranger = (Seed.generate(Role.ACCOUNT) for _ in range(3))
    grid.do(edit_account, EditAccount("METERS", add_signing_keys=(signing.public,)))
    grid.do(add_account, AddAccount("FAR", public_key=identity.public))
    taken = grid.do(take_seeds, TakeSeeds([signing, identity, stranger, signing], "here"))
    assert [(one.name, one.known) for one in taken] == [
        ("METERS", False), ("FAR", False), ("", False), ("METERS", True),
    ]  # fmt: skip
    with grid.authority.database.reading() as unit:
        found = {seed.public: keys.find_key(unit, seed.public) for seed in (signing, identity, stranger)}
    assert [row.purpose for row in found.values() if row] == ["signing", "identity", "external"]
    assert all(row and row.sealed for row in found.values())
    # What came in signs.
    grid.do(add_user, AddUser("u", "METERS"), signer=signing.public)
    grid.do(add_user, AddUser("u", "FAR"))


def test_giving_seeds_out_is_an_event_each(grid: House) -> None:
    stranger = Seed.generate(Role.USER)
    grid.do(take_seeds, TakeSeeds([stranger]))
    given: list[Seed] = []
    assert grid.do(give_seeds, GiveSeeds([stranger.public], given.append, "/somewhere")) == 1
    assert given == [stranger]
    with grid.authority.database.reading() as unit:
        newest = next(iter(read(unit, newest_first=True))).body
    assert (newest.code, newest.target, newest.detail["path"]) == (
        "key.exported",
        stranger.public,
        "/somewhere",
    )


def test_one_missing_seed_refuses_all(grid: House) -> None:
    stranger = Seed.generate(Role.USER)
    grid.do(take_seeds, TakeSeeds([stranger]))
    with pytest.raises(NotFound):
        grid.do(give_seeds, GiveSeeds([stranger.public, Seed.generate(Role.USER).public], lambda seed: None))
    with grid.authority.database.reading() as unit:
        codes = [entry.body.code for entry in read(unit)]
    assert "key.exported" not in codes
