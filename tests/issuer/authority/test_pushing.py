"""The user that pushes: short-lived, of the system account, allowed what delivery uses and no more."""

from __future__ import annotations

import pytest

from issuer.audit.log import read
from issuer.authority.accounts import EditAccount, edit_account
from issuer.authority.operators import AddOperator, EditOperator, add_operator, edit_operator
from issuer.authority.pushing import PUSHER, SERVING_PUSHER
from issuer.authority.roles import EditRole, edit_role
from issuer.authority.system_users import (
    IssueSystemUser,
    NoSystemAccount,
    issue_system_user,
    mint_system_user,
)
from issuer.claims.user import UserClaims
from issuer.delivery import fleet, lookup
from issuer.delivery.system_account import INBOX
from issuer.errors import NotFound
from issuer.store import hierarchy
from issuer.subjects import covers
from issuer.tokens.envelope import decode
from tests.issuer.authority.conftest import House

ACCOUNT = "A" + "B" * 55


def minted(house: House, *, serving: bool = True) -> UserClaims:
    with house.authority.database.noting() as unit:
        operator = next(iter(hierarchy.operators(unit)))
        task = SERVING_PUSHER if serving else PUSHER
        token, seed = mint_system_user(unit, house.authority.keyring, operator, task, house.clock[0])
    claims = decode(token, UserClaims).claims
    assert claims.sub == seed.public
    return claims


def allowed(patterns: tuple[str, ...], subject: str) -> bool:
    return any(covers(pattern, subject) for pattern in patterns)


def test_it_may_do_what_delivery_does(grid: House) -> None:
    body = minted(grid).nats
    for subject in (
        fleet.PING, f"{fleet.PING}.CONNZ", fleet.UPDATE, fleet.DELETE, fleet.LIST, fleet.PACK,
        f"$SYS.REQ.ACCOUNT.{ACCOUNT}.CLAIMS.UPDATE", f"$SYS.REQ.ACCOUNT.{ACCOUNT}.INFO",
        f"$SYS.REQ.ACCOUNT.{ACCOUNT}.CLAIMS.LOOKUP", "$SYS.REQ.SERVER.NX.ACCOUNTZ",
    ):  # fmt: skip
        assert allowed(body.pub.allow, subject), subject
    for subject in (f"{INBOX}.x.y", fleet.STATSZ, fleet.SHUTDOWN, fleet.CONNECTIONS, lookup.SUBJECT):
        assert allowed(body.sub.allow, subject), subject
    assert body.resp is not None


@pytest.mark.parametrize(
    "subject",
    ["$SYS.REQ.SERVER.NX.KICK", "$SYS.REQ.SERVER.NX.RELOAD", "$SYS.REQ.SERVER.NX.LDM", "orders", ">"],
)
def test_it_may_do_nothing_else(grid: House, subject: str) -> None:
    assert not allowed(minted(grid).nats.pub.allow, subject)


def test_a_commands_user_lives_two_minutes_and_answers_nothing(grid: House) -> None:
    claims = minted(grid, serving=False)
    assert claims.exp == grid.clock[0] + 120
    assert claims.nats.resp is None
    assert not allowed(claims.nats.sub.allow, lookup.SUBJECT)


def test_that_one_was_signed_is_an_event(grid: House) -> None:
    made = grid.do(issue_system_user, IssueSystemUser(PUSHER))
    assert made.seed.reveal() not in repr(made)
    with grid.authority.database.reading() as unit:
        newest = next(iter(read(unit, newest_first=True)))
    assert (newest.body.code, newest.body.target) == ("token.signed", made.seed.public)


def test_under_strict_usage_a_plain_signing_key_signs_and_never_a_role(grid: House) -> None:
    grid.do(edit_operator, EditOperator(add_signing_keys=("generate",)))
    grid.do(edit_role, EditRole("SYS", "viewer"))
    grid.do(edit_operator, EditOperator(require_signing_keys=True))
    with pytest.raises(NotFound):
        minted(grid)
    account = grid.claims(grid.do(edit_account, EditAccount("SYS", add_signing_keys=("generate",))))
    plain = next(key for key in account.nats.signing_keys if isinstance(key, str))
    claims = minted(grid)
    assert claims.iss == plain
    assert claims.nats.issuer_account == account.sub


def test_without_a_system_account_nobody_can_push(house: House) -> None:
    house.do(add_operator, AddOperator("O", system=False))
    with pytest.raises(NoSystemAccount) as caught:
        minted(house)
    assert "--system-account" in str(caught.value.hint)
