"""Where a callout's user comes in, and on which terms (enforcement spec §6.3)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from broker.enforcement.admission import AccountFacts
from broker.enforcement.limits import Limits
from broker.enforcement.placement import (
    Answered,
    Denied,
    Gate,
    Placement,
    Question,
    earlier,
    place,
)
from broker.protocol import texts
from broker.protocol.texts import Closed
from issuer.claims.fields import Permission, Permissions, ResponsePermission, TimeRange
from issuer.claims.user import UserClaims, UserTemplate
from issuer.keys.nkeys import PublicKey, Seed
from issuer.subjects import Subject
from issuer.tokens.envelope import HEADER
from tests.broker.enforcement.callout_answers import (
    AT_C,
    CALLOUT,
    NOON_ONLY,
    NOW,
    OTHER,
    PLAIN,
    SERVER,
    STRANGER,
    TARGET,
    USER,
    callout,
    denied,
    placed,
    read,
    response,
    role_user,
    settle,
    user,
)

# --- the user's place ------------------------------------------------------------------------------


def test_a_good_user_is_in_with_what_the_account_allows() -> None:
    defaults = Permissions(pub=Permission(deny=(Subject("no.>"),)))
    base = TARGET.claims(default_permissions=defaults)
    target = replace(base, nats=replace(base.nats, limits=replace(base.nats.limits, payload=5, subs=7)))
    found = placed(user(name="bob"), target, server=Limits(subscriptions=3, payload=1024))
    assert found.issued.name == "bob"
    assert found.limits == Limits(subscriptions=3, payload=5)
    assert not found.permissions.can_publish("no.way")
    assert found.permissions.can_publish("$SYS.REQ.USER.AUTH")
    assert found.expires_at is None


def test_its_own_limits_and_ways_do_not_hold() -> None:
    found = placed(
        user(
            subs=1,
            payload=4,
            data=1,
            src=("10.0.0.0/8",),
            allowed_connection_types=("foo", "WebSocket"),
            bearer_token=True,
            pub=Permission(allow=(Subject("ok.>"),)),
        )
    )
    assert found.limits == Limits()
    assert (found.user.nats.subs, found.user.nats.payload, found.user.nats.data) == (-1, -1, -1)
    assert not found.user.nats.bearer_token
    assert found.permissions.can_publish("ok.x")
    assert not found.permissions.can_publish("x")


def test_its_time_and_hours_hold() -> None:
    assert placed(user(exp=NOW + 50)).expires_at == NOW + 50
    # 22:13:20 UTC
    hours = (TimeRange(start="22:00:00", end="22:14:00"),)
    assert placed(user(times=hours, times_location="UTC")).expires_at == NOW + 40
    assert placed(user(times=hours, times_location="UTC", exp=NOW + 30)).expires_at == NOW + 30
    assert placed(user(exp=NOW)).expires_at == NOW


def test_revocations_are_not_asked() -> None:
    target = replace(TARGET.claims(), nats=replace(TARGET.claims().nats, revocations={"*": NOW + 100}))
    assert placed(user(), target).issued.sub == USER


def test_bearers_are_not_asked() -> None:
    base = TARGET.claims()
    target = replace(base, nats=replace(base.nats, limits=replace(base.nats.limits, disallow_bearer=True)))
    assert placed(user(bearer_token=True), target).issued.sub == USER


@pytest.mark.parametrize(
    ("by", "named", "strict", "fits"),
    [
        (TARGET.seed, False, False, True),
        (TARGET.seed, True, False, True),
        (TARGET.signing, True, False, True),
        (TARGET.signing, True, True, True),
        (TARGET.seed, False, True, False),
        (TARGET.seed, True, True, False),
        (OTHER.seed, True, False, False),
        (STRANGER, True, False, False),
        (CALLOUT.seed, True, False, False),
    ],
)
def test_who_may_sign_the_user(by: Seed, named: bool, strict: bool, fits: bool) -> None:
    members = {"issuer_account": TARGET.seed.public} if named else {}
    found = settle(user(by=by, **members), strict=strict)
    if fits:
        assert isinstance(found, Placement)
    else:
        assert denied(found) == (Gate.ISSUER, f'User JWT issuer "{by.public}" is not known')


def test_an_account_unknown_or_over() -> None:
    answered = read(response(user()))
    assert isinstance(answered, Answered)
    over = AccountFacts(claims=TARGET.claims(), expired=True)
    words = f'No valid account "{TARGET.seed.public}" for auth callout response {AT_C}: '
    for facts, fault in ((None, "account missing"), (over, "account validation failed")):
        found = place(answered, PLAIN, facts, strict=False, server=Limits(), now=NOW)
        assert denied(found) == (Gate.ACCOUNT, words + fault)


def test_no_room() -> None:
    base = TARGET.claims()
    target = replace(base, nats=replace(base.nats, limits=replace(base.nats.limits, conn=2)))
    assert placed(user(), target, connections=1)
    found = settle(user(), target, connections=2)
    assert found == Denied(
        Gate.ROOM,
        "Could not register auth callout user: maximum account active connections exceeded",
        Closed.MAX_ACCOUNT_CONNECTIONS,
        texts.TOO_MANY_ACCOUNT_CONNECTIONS,
    )


def test_a_proxy_is_enough_where_one_is_wanted() -> None:
    proxied = Question(CALLOUT.seed.public, SERVER, USER, proxied=True)
    assert placed(user(proxy_required=True), question=proxied)
    template = UserTemplate(proxy_required=True)
    assert placed(role_user(), TARGET.claims(template), question=proxied)


# --- roles -----------------------------------------------------------------------------------------


def test_a_role_gives_permissions_and_nothing_else() -> None:
    template = UserTemplate(
        pub=Permission(allow=(Subject("u.{{name()}}.>"),)),
        resp=ResponsePermission(max=1, ttl=0),
        subs=1,
        payload=4,
        src=("10.0.0.0/8",),
        times=NOON_ONLY,
        times_location="UTC",
        allowed_connection_types=("FOO",),
        bearer_token=True,
    )
    found = placed(role_user(), TARGET.claims(template))
    assert found.scope is not None
    assert found.permissions.can_publish("u.bob.x")
    assert not found.permissions.can_publish("u.eve.x")
    assert found.permissions.response is not None
    assert found.limits == Limits()
    assert found.expires_at is None
    assert "role r" in found.permissions.source


@pytest.mark.parametrize(
    ("jwt", "template", "gate", "words"),
    [
        (
            lambda: user(by=TARGET.role, issuer_account=TARGET.seed.public),
            UserTemplate(),
            Gate.ROLE,
            "User JWT is not valid: scoped users require no permissions or limits set",
        ),
        (
            role_user,
            UserTemplate(proxy_required=True, pub=Permission(allow=(Subject("u.{{nope()}}.x"),))),
            Gate.ROLE,
            'User JWT generated invalid permissions: template operation in "u.{{nope()}}.x": '
            '"nope()" is not defined',
        ),
        (role_user, UserTemplate(proxy_required=True), Gate.ROLE_PROXY, "Proxy connection required"),
    ],
    ids=["with permissions of its own", "template that cannot be filled in", "through a proxy only"],
)
def test_a_role_that_does_not_fit(
    jwt: Callable[[], str], template: UserTemplate, gate: Gate, words: str
) -> None:
    found = settle(jwt(), TARGET.claims(template))
    assert denied(found) == (gate, words)
    assert isinstance(found, Denied)
    assert (found.closed is Closed.PROXY_REQUIRED) == (gate is Gate.ROLE_PROXY)


@pytest.mark.parametrize(
    ("pub", "allowed"),
    [
        ({"allow": [], "deny": ["x"]}, False),
        ({"allow": []}, True),
        ({"allow": None, "deny": ["x"]}, True),
        ({"deny": ["x"]}, True),
    ],
    ids=str,
)
def test_an_allow_list_with_nothing_in_it(pub: dict[str, Any], allowed: bool) -> None:
    """The server takes it for one that allows nothing, if there is a deny list beside it."""
    nats = {"pub": pub, "sub": {}, "subs": -1, "data": -1, "payload": -1, "type": "user", "version": 2}
    payload = json.dumps({"iat": NOW, "iss": TARGET.seed.public, "sub": USER, "nats": nats}).encode()
    message = HEADER + b"." + base64.urlsafe_b64encode(payload).rstrip(b"=")
    signature = base64.urlsafe_b64encode(TARGET.seed.sign(message)).rstrip(b"=")
    found = placed((message + b"." + signature).decode())
    assert found.permissions.can_publish("y") == allowed


# --- in the callout's own account ------------------------------------------------------------------


def test_who_is_placed_in_the_callout_account_may_not_pretend_to_be_the_server() -> None:
    found = placed(user(by=CALLOUT.seed), callout(), account=callout())
    assert not found.permissions.can_publish("$SYS.REQ.USER.AUTH")
    assert found.permissions.can_publish("$SYS.REQ.USER.INFO")
    assert found.permissions.can_subscribe("$SYS.REQ.USER.AUTH")


def test_the_earlier_of_two_times_that_may_be_missing() -> None:
    assert earlier(None, None) is None
    assert earlier(1.0, None) == earlier(None, 1.0) == earlier(1.0, 2.0) == earlier(2.0, 1.0) == 1.0


def test_a_claims_object_is_what_holds_not_what_was_issued() -> None:
    found = placed(user(subs=1))
    assert isinstance(found.issued, UserClaims)
    assert found.issued.nats.subs == 1
    assert PublicKey(found.issued.iss) == TARGET.seed.public
