"""One step, and an account asks a callout; a second time nothing is made twice."""

from __future__ import annotations

import pytest

from issuer.authority.enabling import EnableCallout, enable_callout
from issuer.claims.account import AccountClaims
from issuer.errors import NotFound
from issuer.keys.nkeys import Role, is_public
from issuer.store import hierarchy
from issuer.store.hierarchy import User
from issuer.tokens.envelope import decode
from tests.issuer.authority.conftest import House


def users(house: House) -> dict[str, User]:
    with house.authority.database.reading() as unit:
        operator = hierarchy.find_operator(unit, "GRID")
        assert operator is not None
        account = hierarchy.find_account(unit, operator.id, "DOOR")
        assert account is not None
        return {user.name: user for user in hierarchy.users(unit, account.id)}


def token(house: House, user: User) -> dict[str, object]:
    with house.authority.database.reading() as unit:
        claims = decode(hierarchy.head_token(unit, "user", user.id).token).claims
    body = claims.nats  # type: ignore[attr-defined]
    return {
        "pub": (body.pub.allow, body.pub.deny),
        "sub": (body.sub.allow, body.sub.deny),
        "bearer": body.bearer_token,
    }


def test_everything_is_there_after_one_step(grid: House) -> None:
    claims: AccountClaims = grid.claims(grid.do(enable_callout, EnableCallout("DOOR", ("METERS",))))
    found = users(grid)
    assert set(found) == {"callout", "sentinel"}
    external = claims.nats.authorization
    assert external.auth_users == (found["callout"].public,)
    assert len(external.allowed_accounts) == 1
    assert is_public(external.xkey, Role.CURVE)
    assert token(grid, found["callout"]) == {
        "pub": (("$SYS._INBOX.>",), ()),
        "sub": (("$SYS.REQ.USER.AUTH",), ()),
        "bearer": False,
    }
    # What every client has must open nothing.
    assert token(grid, found["sentinel"]) == {"pub": ((), (">",)), "sub": ((), (">",)), "bearer": True}


def test_again_it_changes_nothing(grid: House) -> None:
    first = grid.claims(grid.do(enable_callout, EnableCallout("DOOR", ("METERS",))))
    before = users(grid)
    grid.wait(5)
    again = grid.do(enable_callout, EnableCallout("DOOR", ("METERS",)))
    assert users(grid) == before
    if again.token is not None:
        assert grid.claims(again).nats == first.nats


def test_sealing_can_be_left_out_and_put_in(grid: House) -> None:
    plain = grid.claims(grid.do(enable_callout, EnableCallout("DOOR", ("METERS",), sealed=False)))
    assert plain.nats.authorization.xkey == ""
    grid.wait(5)
    sealed = grid.claims(grid.do(enable_callout, EnableCallout("DOOR", ())))
    assert is_public(sealed.nats.authorization.xkey, Role.CURVE)
    assert sealed.nats.authorization.allowed_accounts == plain.nats.authorization.allowed_accounts
    grid.wait(5)
    again = grid.claims(grid.do(enable_callout, EnableCallout("DOOR", (), sealed=False)))
    assert again.nats.authorization.xkey == ""


def test_an_account_that_is_not_there_is_not_placed_in(grid: House) -> None:
    with pytest.raises(NotFound):
        grid.do(enable_callout, EnableCallout("DOOR", ("ELSEWHERE",)))
    with grid.authority.database.reading() as unit:
        operator = hierarchy.find_operator(unit, "GRID")
        assert operator is not None
        assert hierarchy.find_account(unit, operator.id, "DOOR") is None
