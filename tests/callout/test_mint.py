"""Tokens of one role are scoped; tokens of several allow what each allows, and no more."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from callout.mint import Place, joined, mint, permitted
from callout.policy.decision import Grant
from callout.refusals import LoginRefusedError, Reason
from issuer.claims.account import AccountClaims, Scope, new_account
from issuer.claims.fields import Permission, ResponsePermission, TimeRange, with_body
from issuer.claims.user import UserClaims, UserTemplate
from issuer.grants import Identity
from issuer.keys.nkeys import Role, Seed
from issuer.subjects import Subject
from issuer.tokens.envelope import decode
from issuer.tokens.signer import SeedSigner

NOW = 1_800_000_000
ACCOUNT = Seed.generate(Role.ACCOUNT)
PLAIN = Seed.generate(Role.ACCOUNT)
KEYS = {name: Seed.generate(Role.ACCOUNT) for name in ("reader", "writer", "named")}
USER = Seed.generate(Role.USER).public
ANN = Identity(issuer="https://id.example", subject="ann", name="Ann Smith", directory="okta")


def allowing(*subjects: str, deny: tuple[str, ...] = ()) -> Permission:
    return Permission(allow=tuple(map(Subject, subjects)), deny=tuple(map(Subject, deny)))


TEMPLATES = {
    "reader": UserTemplate(pub=allowing(deny=(">",)), sub=allowing("grid.{{tag(site)}}.>"), subs=10),
    "writer": UserTemplate(
        pub=allowing("grid.{{tag(site)}}.set", deny=("grid.*.danger",)), sub=allowing("_INBOX.>"), subs=5
    ),
    "named": UserTemplate(pub=allowing("of.{{name()}}")),
}


def account() -> AccountClaims:
    scopes = tuple(
        Scope(key=KEYS[name].public, role=name, template=template) for name, template in TEMPLATES.items()
    )
    return with_body(new_account(ACCOUNT.public, "GRID"), signing_keys=(*scopes, PLAIN.public))


def place(**members: Any) -> Place:
    given = {
        "claims": account(),
        "roles": {name: SeedSigner(seed) for name, seed in KEYS.items()},
        "plain": SeedSigner(PLAIN),
    }
    return Place(**{**given, **members})


def grant(*roles: str, **members: Any) -> Grant:
    given = {"bindings": ("one",), "expires_at": NOW + 60, "values": {"site": ("north",)}}
    return Grant(account="GRID", roles=roles, **{**given, **members})


def minted(given: Grant, where: Place | None = None) -> UserClaims:
    return decode(mint(given, ANN, USER, where or place(), now=NOW).token, UserClaims, now=NOW).claims


def reason(given: Grant, where: Place | None = None) -> Reason:
    with pytest.raises(LoginRefusedError) as refused:
        mint(given, ANN, USER, where or place(), now=NOW)
    return refused.value.reason


def test_one_role_is_signed_by_its_key_and_says_nothing_of_its_own() -> None:
    claims = minted(grant("reader"))
    assert (claims.iss, claims.sub, claims.nats.issuer_account) == (
        KEYS["reader"].public,
        USER,
        ACCOUNT.public,
    )
    assert claims.nats.unrestricted_by_itself()
    assert (claims.name, claims.exp, claims.iat) == ("Ann Smith", NOW + 60, NOW)
    assert claims.nats.tags == ("site:north",)


def test_several_roles_are_filled_in_and_joined() -> None:
    claims = minted(grant("reader", "writer"))
    assert (claims.iss, claims.nats.issuer_account) == (PLAIN.public, ACCOUNT.public)
    assert claims.nats.sub.allow == ("grid.north.>", "_INBOX.>")
    # The reader may publish nothing, and a denial stands whoever else allows it.
    assert claims.nats.pub.deny == (">", "grid.*.danger")
    assert (claims.nats.subs, claims.nats.data, claims.exp) == (5, -1, NOW + 60)


@pytest.mark.parametrize(
    ("given", "where"),
    [
        (grant("unknown"), place()),
        (grant("reader", "unknown"), place()),
        (grant("reader"), place(roles={})),
        (grant("reader"), place(roles={"reader": SeedSigner(KEYS["writer"])})),
        (grant("reader", "writer"), place(plain=None)),
    ],
)
def test_what_the_account_has_not_cannot_be_given(given: Grant, where: Place) -> None:
    assert reason(given, where) is Reason.NO_ROLE


def test_what_is_permitted_is_told_before_there_is_a_token() -> None:
    both = grant("reader", "writer")
    told, token = permitted(both, ANN, USER, account(), TEMPLATES), minted(both).nats
    assert (told.pub, told.sub, told.subs) == (token.pub, token.sub, token.subs)
    # Of one role the token says nothing: this is what the server makes of it.
    assert permitted(grant("reader"), ANN, USER, account(), TEMPLATES).sub.allow == ("grid.north.>",)
    for given, why in ((grant("unknown"), Reason.NO_ROLE), (grant("named"), Reason.MISSING_VALUE)):
        with pytest.raises(LoginRefusedError) as refused:
            permitted(given, ANN, USER, account(), TEMPLATES)
        assert refused.value.reason is why


def test_a_role_that_names_its_users_needs_a_name_that_is_safe_there() -> None:
    assert reason(grant("named")) is Reason.MISSING_VALUE
    assert minted(grant("named", user_name="ann")).name == "ann"


def test_a_denial_that_cannot_be_filled_in_keeps_all_out() -> None:
    denying = Scope(
        key=KEYS["reader"].public,
        role="reader",
        template=UserTemplate(pub=allowing(deny=("a.{{tag(none)}}",))),
    )
    writer = Scope(key=KEYS["writer"].public, role="writer", template=TEMPLATES["writer"])
    where = place(claims=with_body(account(), signing_keys=(denying, writer, PLAIN.public)))
    assert reason(grant("reader", "writer"), where) is Reason.UNSAFE_VALUE


# --- joining -----------------------------------------------------------------------------------------


def test_who_may_do_everything_by_one_role_may_do_everything_but_what_is_denied() -> None:
    both = joined([UserTemplate(pub=allowing("a")), UserTemplate(pub=allowing(deny=("b",)))])
    assert both.pub == allowing(deny=("b",))


def test_a_role_that_only_answers_adds_nothing_to_publish() -> None:
    answers = UserTemplate(resp=ResponsePermission(max=3, ttl=10))
    assert joined([UserTemplate(pub=allowing("a")), answers]).pub == allowing("a")
    both = joined([UserTemplate(), answers])
    # Beside a response permission an empty list would allow nothing.
    assert both.pub == allowing(">")
    assert both.resp == ResponsePermission(max=3, ttl=10)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [((3, 10), (5, 7), (3, 7)), ((-1, -1), (2, 9), (2, 9)), ((0, 0), (-1, -1), (1, 120_000_000_000))],
)
def test_of_answers_the_fewest(one: tuple[int, int], other: tuple[int, int], both: tuple[int, int]) -> None:
    roles = [UserTemplate(resp=ResponsePermission(max=most, ttl=ttl)) for most, ttl in (one, other)]
    found = joined(roles).resp
    assert found is not None
    assert (found.max, found.ttl) == both


@pytest.mark.parametrize(
    "other",
    [
        {"src": ("10.0.0.0/8",)},
        {"times": (TimeRange(start="01:00:00", end="02:00:00"),)},
        {"allowed_connection_types": ("MQTT",)},
        {"proxy_required": True},
    ],
)
def test_roles_that_hold_at_different_times_or_places_are_not_joined(other: dict[str, Any]) -> None:
    role = UserTemplate(pub=allowing("a"))
    assert joined([role, role]) == replace(role, subs=-1, data=-1, payload=-1)
    with pytest.raises(LoginRefusedError) as refused:
        joined([role, replace(role, **other)])
    assert refused.value.reason is Reason.CONFLICT
