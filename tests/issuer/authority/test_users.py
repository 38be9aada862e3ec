"""Users: issued, changed, given out, taken away."""

from __future__ import annotations

import pytest

from issuer.authority.changes import LimitChange, PermissionChange, Validity
from issuer.authority.operators import EditOperator, edit_operator
from issuer.authority.revocations import RevokeUser, revoke_user
from issuer.authority.roles import EditRole, edit_role
from issuer.authority.users import (
    AddUser,
    DeleteUser,
    EditUser,
    GenerateCreds,
    UserIsScoped,
    add_user,
    delete_user,
    edit_user,
    generate_creds,
)
from issuer.claims.fields import UNLIMITED
from issuer.errors import AlreadyExists, NotFound, Refused
from issuer.keys.creds import parse_creds
from issuer.keys.nkeys import Role, Seed
from issuer.store import hierarchy
from tests.issuer.authority.conftest import START, House


def test_a_new_user_is_unlimited_unless_told(grid: House) -> None:
    claims = grid.claims(grid.do(add_user, AddUser("m1", "METERS")))
    assert (claims.nats.subs, claims.nats.data, claims.nats.payload) == (UNLIMITED,) * 3
    assert claims.nats.issuer_account == ""


def test_permissions_and_limits_reach_the_token(grid: House) -> None:
    act = AddUser(
        "m1",
        "METERS",
        permissions=PermissionChange(allow_pub=("m.>",), deny_sub=("x",)),
        limits=LimitChange(payload=512, add_networks=("10.0.0.0/8",), bearer=True),
        tags=("Site:North ", "site:north"),
        validity=Validity(expires=START + 3600),
    )
    claims = grid.claims(grid.do(add_user, act))
    assert claims.nats.pub.allow == ("m.>",)
    assert claims.nats.sub.deny == ("x",)
    assert (claims.nats.payload, claims.nats.bearer_token) == (512, True)
    assert claims.nats.tags == ("site:north",)
    assert claims.exp == START + 3600


def test_a_user_of_a_role_has_nothing_of_its_own(grid: House) -> None:
    grid.do(
        edit_role, EditRole("METERS", role="meter", permissions=PermissionChange(allow_pub=("m.{{name()}}",)))
    )
    grid.wait(5)
    outcome = grid.do(add_user, AddUser("m1", "METERS", role="meter"))
    claims = grid.claims(outcome)
    assert claims.nats.unrestricted_by_itself()
    assert claims.nats.issuer_account != claims.iss
    with pytest.raises(UserIsScoped):
        grid.do(edit_user, EditUser("m1", "METERS", limits=LimitChange(subs=1)))


@pytest.mark.parametrize("name", ["*", "a.b", "x >", ">"])
def test_a_name_that_would_widen_the_role_is_refused(grid: House, name: str) -> None:
    grid.do(
        edit_role, EditRole("METERS", role="meter", permissions=PermissionChange(allow_pub=("m.{{name()}}",)))
    )
    grid.wait(5)
    with pytest.raises(Refused):
        grid.do(add_user, AddUser(name, "METERS", role="meter"))


def test_creds_hold_the_newest_token_and_the_seed(grid: House) -> None:
    grid.do(add_user, AddUser("m1", "METERS"))
    grid.wait(5)
    changed = grid.do(edit_user, EditUser("m1", "METERS", limits=LimitChange(subs=7)))
    creds = grid.do(generate_creds, GenerateCreds("m1", "METERS"))
    token, seed = parse_creds(creds.text)
    assert token == changed.token
    assert seed.public == changed.public
    assert seed.reveal() not in repr(creds)


def test_a_user_known_by_public_key_alone_has_no_creds(grid: House) -> None:
    public = Seed.generate(Role.USER).public
    assert grid.do(add_user, AddUser("m1", "METERS", public_key=public)).public == public
    with pytest.raises(NotFound):
        grid.do(generate_creds, GenerateCreds("m1", "METERS"))


def test_issuing_in_the_second_of_a_revocation_moves_the_date_on(grid: House) -> None:
    grid.do(add_user, AddUser("m1", "METERS"))
    grid.do(revoke_user, RevokeUser("*", "METERS"))
    outcome = grid.do(add_user, AddUser("m2", "METERS"))
    assert any("second" in note for note in outcome.notes)
    with grid.authority.database.reading() as unit:
        operator = next(iter(hierarchy.operators(unit)))
        account = hierarchy.find_account(unit, operator.id, "METERS")
        assert account is not None
        from issuer.authority.signing import head

        owner = head(unit, "account", account.id).claims
    claims = grid.claims(outcome)
    assert not owner.revoked(claims.sub, claims.iat)


def test_deleting_revokes_unless_told(grid: House) -> None:
    user = grid.do(add_user, AddUser("m1", "METERS"))
    grid.do(delete_user, DeleteUser("m1", "METERS"))
    with pytest.raises(NotFound):
        grid.do(generate_creds, GenerateCreds("m1", "METERS"))
    with grid.authority.database.reading() as unit:
        row = hierarchy.user_by_public(unit, user.public)
        assert row is None
    again = grid.do(add_user, AddUser("m1", "METERS"))
    assert again.public != user.public


def test_a_second_user_of_the_same_name_is_refused(grid: House) -> None:
    grid.do(add_user, AddUser("m1", "METERS"))
    with pytest.raises(AlreadyExists):
        grid.do(add_user, AddUser("m1", "METERS"))


def test_asking_for_what_is_so_signs_nothing(grid: House) -> None:
    grid.do(add_user, AddUser("m1", "METERS"))
    assert not grid.do(edit_user, EditUser("m1", "METERS")).changed


def test_a_long_token_is_warned_about(grid: House) -> None:
    subjects = tuple(f"a.very.long.subject.number.{index}.>" for index in range(100))
    outcome = grid.do(add_user, AddUser("m1", "METERS", permissions=PermissionChange(allow_pub=subjects)))
    assert any("CONNECT" in note for note in outcome.notes)


def test_a_strict_operator_signs_users_with_signing_keys_only(grid: House) -> None:
    from issuer.authority.accounts import EditAccount, edit_account

    grid.do(edit_operator, EditOperator(add_signing_keys=("generate",), require_signing_keys=True))
    grid.wait(5)
    with pytest.raises(NotFound):
        grid.do(add_user, AddUser("m1", "METERS"))
    grid.do(edit_account, EditAccount("METERS", add_signing_keys=("generate",)))
    grid.wait(5)
    claims = grid.claims(grid.do(add_user, AddUser("m1", "METERS")))
    assert claims.iss != claims.nats.issuer_account != ""
