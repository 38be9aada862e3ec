"""Users by the batch: the same rules as one by one, and nothing lost between batches."""

from __future__ import annotations

import pytest

from issuer.audit.log import read, verify_chain
from issuer.authority import issuing
from issuer.authority.accounts import EditAccount, edit_account
from issuer.authority.changes import PermissionChange
from issuer.authority.issuing import IssueUsers, issue_many
from issuer.authority.revocations import RevokeUser, revoke_user
from issuer.authority.roles import EditRole, edit_role
from issuer.authority.signing import head
from issuer.authority.users import AddUser, add_user
from issuer.claims.user import UserClaims
from issuer.errors import AlreadyExists, Refused
from issuer.keys.creds import parse_creds
from issuer.keys.nkeys import PublicKey
from issuer.store import hierarchy
from issuer.tokens.envelope import decode
from tests.issuer.authority.conftest import ADA, House

COUNT = 23


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuing, "BATCH", 5)


def names(count: int = COUNT) -> list[str]:
    return [f"m{index:03d}" for index in range(count)]


def test_every_name_becomes_a_user_with_its_seed_its_token_and_its_event(grid: House) -> None:
    found = list(issue_many(grid.authority, IssueUsers("METERS", (), with_creds=True), names(), ADA))
    assert [one.name for one in found] == names()
    with grid.authority.database.reading() as unit:
        assert verify_chain(unit) is None
        told = {entry.body.target for entry in read(unit, code="user.issued")}
        for one in found:
            row = hierarchy.user_by_public(unit, one.public)
            assert row is not None
            assert row.name == one.name
            assert one.public in told
            token, seed = parse_creds(one.creds)
            assert token == hierarchy.head_token(unit, "user", row.id).token
            assert seed.public == decode(token, UserClaims).claims.sub == one.public
            assert grid.authority.keyring.seed(unit, PublicKey(one.public)) == seed
    assert not any(parse_creds(one.creds)[1].reveal() in repr(found) for one in found)


def test_what_changes_between_batches_counts_for_the_next(grid: House) -> None:
    issued = issue_many(grid.authority, IssueUsers("METERS", ()), names(), ADA)
    first = next(issued)
    grid.do(revoke_user, RevokeUser("*", "METERS"))
    grid.do(add_user, AddUser("between", "METERS"))
    rest = list(issued)
    assert len(rest) == COUNT - 1
    with grid.authority.database.reading() as unit:
        operator = next(iter(hierarchy.operators(unit)))
        account = hierarchy.find_account(unit, operator.id, "METERS")
        assert account is not None
        owner = head(unit, "account", account.id).claims
        for one in [first, *rest]:
            row = hierarchy.user_by_public(unit, one.public)
            assert row is not None
            claims = head(unit, "user", row.id).claims
            cut = owner.revoked(one.public, claims.iat)
            # The batches that were committed before the revocation are cut off, and only those.
            assert cut == (row.issued_at <= owner.nats.revocations["*"])
        assert not owner.revoked(rest[-1].public, row.issued_at)


def test_a_role_holds_for_all_of_them(grid: House) -> None:
    permissions = PermissionChange(allow_pub=("m.{{name()}}",))
    grid.do(edit_role, EditRole("METERS", role="meter", permissions=permissions))
    grid.wait(5)
    found = list(issue_many(grid.authority, IssueUsers("METERS", (), role="meter"), names(7), ADA))
    assert len(found) == 7
    with pytest.raises(Refused):
        list(issue_many(grid.authority, IssueUsers("METERS", (), role="meter"), ["*"], ADA))


def test_a_name_that_is_taken_stops_its_batch_and_leaves_the_earlier_ones(grid: House) -> None:
    grid.do(add_user, AddUser("m007", "METERS"))
    with pytest.raises(AlreadyExists):
        list(issue_many(grid.authority, IssueUsers("METERS", ()), names(), ADA))
    with grid.authority.database.reading() as unit:
        operator = next(iter(hierarchy.operators(unit)))
        account = hierarchy.find_account(unit, operator.id, "METERS")
        assert account is not None
        assert [user.name for user in hierarchy.users(unit, account.id)] == [*names(5), "m007"]


def test_no_names_are_no_users(grid: House) -> None:
    assert list(issue_many(grid.authority, IssueUsers("METERS", ()), [], ADA)) == []


def test_a_changed_account_is_signed_under_anew(grid: House) -> None:
    issued = issue_many(grid.authority, IssueUsers("METERS", ()), names(12), ADA)
    next(issued)
    grid.do(edit_account, EditAccount("METERS", add_signing_keys=("generate",)))
    last = list(issued)[-1]
    with grid.authority.database.reading() as unit:
        row = hierarchy.user_by_public(unit, last.public)
        assert row is not None
        assert head(unit, "user", row.id).claims.nats.issuer_account
