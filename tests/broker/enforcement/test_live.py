from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec.structs import replace

from broker.enforcement.limits import Limits, limits_of
from broker.enforcement.live import (
    Close,
    Effect,
    Rebind,
    Unsubscribe,
    account_changed,
    account_deleted,
    account_expired,
    user_expired,
)
from broker.enforcement.permissions import Permissions, permissions_of
from broker.protocol import texts
from broker.protocol.texts import Closed
from issuer.claims.account import AccountClaims, Scope, new_account
from issuer.claims.fields import Permission, ResponsePermission, with_body
from issuer.claims.fields import Permissions as Spoken
from issuer.claims.user import UserClaims, new_scoped_user, new_template, new_user
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.subjects import Subject

ACCOUNT, SIGNING, ROLE = (Seed.from_raw(Role.ACCOUNT, bytes([n]) * 32).public for n in (3, 4, 5))
USERS = [Seed.from_raw(Role.USER, bytes([n]) * 32).public for n in (60, 61, 62, 63)]
SERVER = Limits(subscriptions=-1, payload=1_048_576)
NOW = 1_700_000_000
REVOKED = (Closed.CREDENTIALS_REVOKED, "User Authentication Revoked")


@dataclass(frozen=True)
class Sub:
    subject: str
    queue: str = ""


@dataclass
class Session:
    """A connection of a user of an account."""

    account: AccountClaims
    user: UserClaims | None
    cid: int = 1
    subscriptions: dict[str, Sub] = field(default_factory=dict)
    placed_by: UserClaims | None = None

    def __post_init__(self) -> None:
        self.effective = self.user
        self.issuer = self.user.iss if self.user else PublicKey("")
        self.permissions: Any = permissions_of(self.user, self.account) if self.user else None
        self.limits: Limits = limits_of(self.placed_by or self.user, self.account, SERVER)

    def __repr__(self) -> str:
        return f"#{self.cid}"


def account(**body: Any) -> AccountClaims:
    claims = replace(new_account(ACCOUNT, "APP"), iat=NOW)
    limits = {
        name: body.pop(name) for name in list(body) if name in {"conn", "subs", "payload", "disallow_bearer"}
    }
    return with_body(claims, limits=replace(claims.nats.limits, **limits), **body)


def user(number: int = 0, *, iss: PublicKey = ACCOUNT, iat: int = NOW, **body: Any) -> UserClaims:
    named = {} if iss == ACCOUNT else {"issuer_account": ACCOUNT}
    claims = replace(new_user(USERS[number], f"user {number}"), iss=iss, iat=iat)
    return with_body(claims, **{**named, **body})


def sessions(*users: UserClaims, before: AccountClaims | None = None) -> list[Session]:
    return [Session(before or account(), each, cid) for cid, each in enumerate(users, 1)]


def pushed(
    old: AccountClaims, new: AccountClaims, live: Sequence[Session], **how: Any
) -> list[Effect[Session]]:
    return account_changed(old, new, live, server_limits=SERVER, **how)


def closes(effects: list[Effect[Session]]) -> dict[int, tuple[Closed, str | None]]:
    found = {each.session.cid: (each.closed, each.text) for each in effects if isinstance(each, Close)}
    assert len(found) == sum(isinstance(each, Close) for each in effects)
    return found


@pytest.mark.parametrize(
    "changed",
    [
        account(),
        replace(account(), name="OTHER"),
        account(tags=("a:b",), description="new"),
        account(signing_keys=(SIGNING,)),
    ],
)
def test_what_concerns_no_connection_does_nothing(changed: AccountClaims) -> None:
    live = sessions(user(), user(1, pub=Permission(allow=(Subject("a"),))))
    assert pushed(account(), changed, live) == []


def test_a_revoked_user_goes_and_the_others_stay() -> None:
    live = sessions(user(), user(1))
    assert closes(pushed(account(), account(revocations={USERS[0]: NOW}), live)) == {1: REVOKED}


@pytest.mark.parametrize(("at", "gone"), [(NOW - 1, {}), (NOW, {1: REVOKED, 2: REVOKED})])
def test_everybody_may_be_revoked(at: int, gone: dict[int, tuple[Closed, str]]) -> None:
    assert closes(pushed(account(), account(revocations={"*": at}), sessions(user(), user(1)))) == gone


def test_who_has_no_time_of_issue_counts_as_revoked_by_any_list() -> None:
    live = sessions(user(iat=0), user(1))
    assert closes(pushed(account(), account(revocations={USERS[3]: 1}), live)) == {1: REVOKED}
    assert closes(pushed(account(), account(disallow_bearer=True), live)) == {1: REVOKED}
    assert pushed(account(), account(tags=("x",)), live) == []


def test_the_oldest_connections_keep_their_place() -> None:
    live = sessions(*(user(number) for number in range(4)))
    too_many = (Closed.MAX_ACCOUNT_CONNECTIONS, "maximum account active connections exceeded")
    assert closes(pushed(account(), account(conn=2), live)) == {3: too_many, 4: too_many}
    assert len(closes(pushed(account(), account(conn=0), live))) == 4
    assert closes(pushed(account(), account(conn=4), live)) == {}


def test_who_is_too_many_is_asked_nothing_else() -> None:
    live = sessions(user(), user(1))
    new = account(conn=1, revocations={"*": NOW})
    assert closes(pushed(account(), new, live)) == {
        1: REVOKED,
        2: (Closed.MAX_ACCOUNT_CONNECTIONS, texts.TOO_MANY_ACCOUNT_CONNECTIONS),
    }


@pytest.mark.parametrize(("limit", "goes"), [(3, False), (2, True), (1, True), (0, True), (-1, False)])
def test_at_the_limit_of_subscriptions_a_connection_goes(limit: int, *, goes: bool) -> None:
    live = sessions(user())
    live[0].subscriptions = {"1": Sub("a"), "2": Sub("b")}
    effects = pushed(account(), account(subs=limit), live)
    gone = {1: (Closed.MAX_SUBSCRIPTIONS, "maximum subscriptions exceeded")} if goes else {}
    assert closes(effects) == gone
    rebinds = [each.limits for each in effects if isinstance(each, Rebind)]
    assert rebinds == ([] if limit == -1 else [Limits(limit, 1_048_576)])


def test_a_lower_payload_holds_from_the_next_message() -> None:
    live = sessions(user(), user(1, payload=5))
    effects = pushed(account(), account(payload=10), live)
    assert effects == [Rebind(live[0], Limits(-1, 10))]


def test_bearers_go_where_none_are_allowed_any_more() -> None:
    live = sessions(user(), user(1, bearer_token=True))
    effects = pushed(account(), account(disallow_bearer=True), live)
    assert closes(effects) == {2: (Closed.AUTHENTICATION_FAILURE, "Authorization Violation")}


def scope(**template: Any) -> Scope:
    return Scope(key=ROLE, role="web", template=replace(new_template(), **template))


def member() -> UserClaims:
    return replace(new_scoped_user(USERS[3], "dan", account=ACCOUNT), iss=ROLE, iat=NOW)


def test_bearers_by_their_role_stay() -> None:
    # Only what the token itself says is looked at.
    before = account(signing_keys=(scope(bearer_token=True),))
    live = [Session(before, member())]
    assert pushed(before, account(signing_keys=(scope(bearer_token=True),), disallow_bearer=True), live) == []


SILENT = (Closed.AUTHENTICATION_FAILURE, None)


@pytest.mark.parametrize(
    ("keys", "gone"),
    [
        ((SIGNING, scope(subs=10)), {}),
        ((scope(subs=10), SIGNING), {}),
        ((SIGNING, scope(subs=11)), {3: SILENT}),
        ((SIGNING, replace(scope(subs=10), role="other")), {3: SILENT}),
        ((scope(subs=10),), {2: SILENT}),
        ((SIGNING,), {3: SILENT}),
        ((), {2: SILENT, 3: SILENT}),
        ((SIGNING, ROLE), {3: SILENT}),
        ((SIGNING, scope(subs=10), USERS[0]), {}),
    ],
)
def test_a_signing_key_takes_its_users_along_without_a_word(
    keys: tuple[Any, ...], gone: dict[int, tuple[Closed, None]]
) -> None:
    before = account(signing_keys=(SIGNING, scope(subs=10)))
    live = sessions(user(), user(1, iss=SIGNING), before=before)
    live.append(Session(before, member(), 3))
    assert closes(pushed(before, account(signing_keys=keys), live)) == gone


def test_under_strict_usage_the_identity_key_is_no_signer() -> None:
    live = sessions(user(), user(1, issuer_account=ACCOUNT))
    new = account(signing_keys=(SIGNING,))
    effects = pushed(account(), new, live, strict=lambda claims: claims is new)
    # Only users that name their account are asked who signed them.
    assert closes(effects) == {2: SILENT}


def test_signing_keys_are_looked_at_last() -> None:
    before = account(signing_keys=(SIGNING,))
    live = sessions(user(iss=SIGNING), user(1), before=before)
    effects = pushed(before, account(revocations={USERS[1]: NOW}), live)
    assert [each.session.cid for each in effects if isinstance(each, Close)] == [2, 1]
    both = pushed(before, account(revocations={USERS[0]: NOW}), live)
    assert closes(both) == {1: REVOKED}


# --- default permissions ---------------------------------------------------------------------------


def defaults(*allow: str, deny: tuple[str, ...] = ()) -> AccountClaims:
    subjects = tuple(map(Subject, allow))
    spoken = Spoken(
        sub=Permission(allow=subjects, deny=tuple(map(Subject, deny))), pub=Permission(allow=subjects)
    )
    return account(default_permissions=spoken)


def test_changed_defaults_take_subscriptions_away() -> None:
    before = defaults("d.>")
    live = sessions(user(), user(1, sub=Permission(allow=(Subject("x"),))), before=before)
    live[0].subscriptions = {"1": Sub("d.a"), "2": Sub("f.a"), "3": Sub("d.a", "workers")}
    effects = pushed(before, defaults("f.>"), live)
    rebind, *others = effects
    assert isinstance(rebind, Rebind)
    assert isinstance(rebind.permissions, Permissions)
    assert rebind.permissions.can_publish("f.a")
    assert not rebind.permissions.can_publish("d.a")
    assert others == [
        Unsubscribe(live[0], "1", 'Permissions Violation for Subscription to "d.a" (sid "1")'),
        Unsubscribe(
            live[0], "3", 'Permissions Violation for Subscription to "d.a" using queue "workers" (sid "3")'
        ),
    ]


def test_without_defaults_everything_is_allowed_at_once() -> None:
    before = defaults("d.>")
    live = sessions(user(), before=before)
    live[0].subscriptions = {"1": Sub("d.a")}
    (rebind,) = pushed(before, account(), live)
    assert isinstance(rebind, Rebind)
    assert rebind.permissions is not None
    assert rebind.permissions.empty()


def test_defaults_that_mean_the_same_change_nothing() -> None:
    def answering(most: int) -> AccountClaims:
        return account(default_permissions=Spoken(resp=ResponsePermission(max=most, ttl=0)))

    live = sessions(user(), before=answering(0))
    assert pushed(answering(0), answering(1), live) == []
    assert pushed(answering(0), answering(2), live) != []


def test_the_limit_is_looked_at_before_subscriptions_are_taken_away() -> None:
    before = defaults("d.>")
    live = sessions(user(), before=before)
    live[0].subscriptions = {"1": Sub("d.a")}
    after = replace(defaults("f.>"), iat=NOW)
    after = with_body(after, limits=replace(after.nats.limits, subs=1))
    effects = pushed(before, after, live)
    assert [type(each) for each in effects] == [Rebind, Unsubscribe, Close]


# --- placed by a callout ---------------------------------------------------------------------------


def test_who_a_callout_placed_is_asked_about_both_tokens() -> None:
    sentinel = user(1, bearer_token=True, payload=7, iat=NOW - 100)
    live = [Session(account(), user(), placed_by=sentinel)]

    def push(**changed: Any) -> dict[int, tuple[Closed, str | None]]:
        return closes(pushed(account(), account(**changed), live, shown=lambda each: each.placed_by))

    assert push(revocations={USERS[0]: NOW}) == {1: REVOKED}
    assert push(revocations={USERS[1]: NOW}) == {1: REVOKED}
    assert push(revocations={"*": NOW - 100}) == {1: REVOKED}
    assert push(revocations={"*": NOW - 101}) == {}
    assert push(disallow_bearer=True) == {1: (Closed.AUTHENTICATION_FAILURE, texts.AUTHORIZATION_VIOLATION)}


def test_who_came_without_a_token_is_bound_by_the_account_alone() -> None:
    session = Session(account(), None)
    effects = pushed(account(), account(payload=3, revocations={"*": NOW}), [session])
    assert effects == [Rebind(session, Limits(-1, 3))]


# --- the end ---------------------------------------------------------------------------------------


def test_the_end_of_an_account_or_a_user() -> None:
    live = sessions(user(), user(1))
    over = (Closed.AUTHENTICATION_EXPIRED, "Account Authentication Expired")
    assert closes(account_expired(live)) == closes(account_deleted(live)) == {1: over, 2: over}
    assert closes(user_expired(live[0])) == {
        1: (Closed.AUTHENTICATION_EXPIRED, "User Authentication Expired")
    }


def test_the_first_token_of_an_account_touches_nobody() -> None:
    live = sessions(user(), user(1, iss=SIGNING))
    first = account(signing_keys=(SIGNING,))
    assert account_changed(None, first, live, server_limits=SERVER) == []
