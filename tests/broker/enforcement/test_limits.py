from __future__ import annotations

from typing import Any

import pytest

from broker.enforcement.limits import UNLIMITED, Limits, full, least, limits_of
from issuer.claims.account import AccountClaims, AccountLimits, Scope
from issuer.claims.fields import with_body
from issuer.claims.user import UserClaims, UserTemplate, new_scoped_user
from issuer.keys.nkeys import Role, Seed

ACCOUNT, ROLE = (Seed.from_raw(Role.ACCOUNT, bytes([n]) * 32) for n in (3, 5))
USER = Seed.from_raw(Role.USER, bytes([6]) * 32)
SERVER = Limits(subscriptions=-1, payload=1_048_576)


def account(*keys: Scope, **limits: Any) -> AccountClaims:
    return with_body(
        AccountClaims(sub=ACCOUNT.public),
        limits=AccountLimits(**{"subs": -1, "payload": -1, **limits}),
        signing_keys=keys,
    )


def user(**body: int) -> UserClaims:
    return with_body(UserClaims(sub=USER.public, iss=ACCOUNT.public), **body)


@pytest.mark.parametrize(
    ("limits", "found"),
    [
        ((), -1),
        ((-1, -1), -1),
        ((-1, 5, 7), 5),
        ((0, -1), 0),
        ((-2, 4), 0),
        ((2**40, -1), 2**31 - 1),
        ((2**40, 9), 9),
    ],
)
def test_the_least_limit_holds_and_less_than_unlimited_is_none(limits: tuple[int, ...], found: int) -> None:
    assert least(*limits) == found


@pytest.mark.parametrize(
    ("count", "limit", "is_full"), [(0, 0, True), (1, 2, False), (2, 2, True), (9, -1, False)]
)
def test_at_the_limit_is_over_it(count: int, limit: int, *, is_full: bool) -> None:
    assert full(count, limit) is is_full


def test_an_absent_limit_of_a_user_is_none_at_all() -> None:
    assert limits_of(UserClaims(sub=USER.public), account(), SERVER) == Limits(0, 0)


def test_user_account_and_server_each_may_be_the_lowest() -> None:
    assert limits_of(user(subs=3, payload=-1), account(subs=5, payload=10), SERVER) == Limits(3, 10)
    assert limits_of(user(subs=-1, payload=2**30), account(), Limits(7, 100)) == Limits(7, 100)
    assert limits_of(None, account(subs=5), SERVER) == Limits(5, 1_048_576)
    assert limits_of(user(subs=-1, payload=-1), account(), UNLIMITED) == UNLIMITED


def test_absent_limits_of_a_role_are_unlimited() -> None:
    member = with_body(new_scoped_user(USER.public, "ann", account=ACCOUNT.public))
    member = UserClaims(sub=member.sub, iss=ROLE.public, nats=member.nats)
    scope = Scope(key=ROLE.public, role="r", template=UserTemplate(payload=8))
    assert limits_of(member, account(scope), SERVER) == Limits(-1, 8)
    # Placed elsewhere by a callout, where nobody knows its role, its own zeros hold.
    assert limits_of(member, account(), SERVER) == Limits(0, 0)
