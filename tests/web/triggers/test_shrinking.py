"""Who has more than they would be given now, and who has not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from issuer.claims.fields import Permission, ResponsePermission
from issuer.claims.user import UserTemplate
from issuer.grants import Denial, Identity, Target
from issuer.store.sessions import Wanted
from issuer.subjects import Subject
from tests.web.triggers.office import POLICY, Office, person
from web.triggers.policy_watch import PolicyWatch
from web.triggers.reevaluating import Reevaluator, without_groups
from web.triggers.shrinking import as_much

ANN = person("00uann", "readers", "writers")
BOB = person("00ubob", "readers")


def shrunk(office: Office, becomes: Any) -> dict[int, str]:
    async def story() -> dict[int, str]:
        looker = Reevaluator(office.authority, office.id, office, office)
        held = await looker.sessions_of(Wanted())
        found = await looker.shrunk(held, becomes)
        return {session.client_id: found[session.id] for session, _ in held if session.id in found}

    return asyncio.run(story())


def same(was: Identity) -> Identity:
    return was


@pytest.mark.parametrize(
    ("groups", "why"),
    [
        (("readers", "writers"), ""),
        (("writers", "readers", "choir"), ""),
        (("writers",), ""),
        (("readers",), "fewer permissions"),
        ((), "policy.no-binding"),
    ],
)
def test_who_has_lost_groups(office: Office, groups: tuple[str, ...], why: str) -> None:
    office.let_in(ANN, 1)
    found = shrunk(office, lambda was: replace(was, groups=groups))
    assert found == ({1: why} if why else {})


def test_who_only_gains_stays(office: Office) -> None:
    office.let_in(BOB, 1)
    assert shrunk(office, lambda was: replace(was, groups=("readers", "writers"))) == {}


def test_time_that_has_passed_takes_nothing_from_anybody(office: Office) -> None:
    fresh = {
        "version": 1,
        "bindings": [
            {"name": "readers", "match": {"groups": {"any-of": ["readers"]}, "authenticated": {"within": "15m"}},
             "account": "GRID", "roles": ["reader"]},
        ],
    }  # fmt: skip
    office.put_policy(fresh)
    office.let_in(BOB, 1)
    office.now += 3000
    assert shrunk(office, same) == {}


def test_who_came_into_a_group_that_is_denied_is_to_go(office: Office) -> None:
    office.let_in(ANN, 1)
    office.let_in(BOB, 2)
    # Those about a person have their own way of ending sessions.
    about = (
        Denial(target=Target.GROUP, value="lent"),
        Denial(target=Target.IDENTITY, value="00ubob", before=10**11),
    )
    office.denials = lambda: about  # type: ignore[method-assign]
    assert shrunk(office, lambda was: replace(was, groups=(*was.groups, "lent"))) == {
        1: "denied",
        2: "denied",
    }
    assert shrunk(office, same) == {}


def test_what_cannot_be_worked_out_again_counts_as_less_unless_the_roles_tell_it_all(office: Office) -> None:
    # Let in by a policy nobody has any more.
    office.let_in(ANN, 1, policy_version=99)
    office.let_in(BOB, 2, policy_version=99)
    assert shrunk(office, same) == {}
    assert shrunk(office, without_groups(("writers",))) == {1: "other permissions"}


def test_another_account_is_another(office: Office) -> None:
    office.let_in(BOB, 1)
    elsewhere = {
        "version": 1,
        "bindings": [{"name": "r", "match": {"directory": "okta"}, "account": "OTHER", "roles": ["reader"]}],
    }
    office.put_policy(elsewhere)
    assert shrunk(office, same) == {1: "another account"}


def watch(office: Office) -> bool:
    looker = Reevaluator(office.authority, office.id, office, office)
    made = PolicyWatch(office.authority, office.id, office, looker, now=lambda: office.now, settle=0)
    return asyncio.run(made.look())


def test_another_policy_ends_only_what_it_takes_something_from(office: Office) -> None:
    office.let_in(ANN, 1)
    office.let_in(BOB, 2)
    assert watch(office)
    assert not watch(office)
    stricter = POLICY | {"bindings": [POLICY["bindings"][1]]}  # type: ignore[index]
    office.put_policy(stricter)
    assert watch(office)
    assert (office.open(), office.kicked) == ([2], [((1,), "policy 2")])
    assert not watch(office)


def test_a_policy_whose_sessions_could_not_be_ended_is_looked_at_again(office: Office) -> None:
    office.let_in(ANN, 1)
    office.put_policy(POLICY | {"bindings": [POLICY["bindings"][1]]})  # type: ignore[index]
    office.unclean = True
    assert watch(office)
    office.unclean = False
    assert not watch(office)  # a turn lasts its time
    office.now += 30
    assert watch(office)
    assert office.open() == []


# Permissions


def may(*allow: str, deny: tuple[str, ...] = ()) -> Permission:
    return Permission(allow=tuple(map(Subject, allow)), deny=tuple(map(Subject, deny)))


def role(**members: Any) -> UserTemplate:
    return UserTemplate(**members)


@pytest.mark.parametrize(
    ("new", "old", "enough"),
    [
        (role(), role(), True),
        (role(), role(pub=may("a")), True),
        (role(pub=may("a")), role(), False),
        (role(pub=may("a.>")), role(pub=may("a.b", "a.*.c")), True),
        (role(pub=may("a.*")), role(pub=may("a.>")), False),
        (role(pub=may("a")), role(pub=may("a", "b")), False),
        (role(pub=may("a", deny=("a.b",))), role(pub=may("a")), False),
        (role(pub=may("a", deny=("a.b",))), role(pub=may("a", deny=("a.>",))), True),
        (role(sub=may("a q")), role(sub=may("a q")), True),
        (role(sub=may("a q")), role(sub=may("a r")), False),
        (role(sub=may(">")), role(sub=may("a q")), False),
        # Beside a response permission an empty list allows nothing.
        (role(resp=ResponsePermission(max=1)), role(), False),
        (role(), role(resp=ResponsePermission(max=1)), False),
        (role(subs=5), role(subs=5), True),
        (role(subs=4), role(subs=5), False),
        (role(subs=4), role(), False),
        (role(), role(subs=4), True),
        (role(subs=-1), role(subs=4), True),
        (role(src=("10.0.0.0/8",)), role(), False),
        (role(), role(src=("10.0.0.0/8",)), True),
        (role(proxy_required=True), role(), False),
        (role(allowed_connection_types=("MQTT",)), role(allowed_connection_types=("STANDARD",)), False),
    ],
)
def test_whether_one_surely_allows_all_that_another_does(
    new: UserTemplate, old: UserTemplate, enough: bool
) -> None:
    assert as_much(new, old) is enough
