from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from callout.policy.decision import Connection
from callout.policy.model import live
from callout.policy.reading import read_policy
from callout.policy.what_if import Change, Login, compare
from issuer.grants import Identity
from tests.callout.policy.policies import NOW, binding, identities, policies, policy_of, someone


def change(old: list[dict[str, Any]], new: list[dict[str, Any]], **members: Any) -> dict[Change, int]:
    found = compare([Login(someone(**members), NOW)], policy_of(*old), policy_of(*new))
    return {name: changed.count for name, changed in found.changes.items()}


def test_what_a_change_would_have_done() -> None:
    assert change([binding()], [binding()]) == {}
    assert change([binding()], []) == {Change.LOST: 1}
    assert change([], [binding()]) == {Change.GAINED: 1}
    assert change([binding()], [binding(account="METERS")]) == {Change.ACCOUNT: 1}
    assert change([binding()], [binding(role="r", max_lifetime="1h")]) == {Change.ROLES: 1, Change.SHORTER: 1}
    assert change([binding(max_lifetime="1h")], [binding(max_lifetime="2h")]) == {Change.LONGER: 1}
    assert change([binding()], [binding(values={"site": "attributes.site"})]) == {Change.VALUES: 1}
    assert change([], [binding(values={"x": "attributes.x"})]) == {Change.REASON: 1}
    # The order of roles means nothing.
    assert change([binding(roles=["a", "b"])], [binding(roles=["b", "a"])]) == {}


def test_a_sample_says_who_and_what() -> None:
    alice = someone()
    found = compare([Login(alice, NOW)] * 3, policy_of(binding()), policy_of())
    lost = found.changes[Change.LOST]
    assert (found.logins, found.same, lost.count, len(lost.samples)) == (3, 0, 3, 1)
    sample = lost.samples[0]
    assert (sample.issuer, sample.subject, sample.name) == (alice.issuer, alice.subject, "Alice Example")
    assert (sample.before, sample.after) == ("GRID operator for 86400 s by ops", "policy.no-binding")


def test_samples_are_few_and_counts_are_whole() -> None:
    logins = [Login(someone(subject=f"s{n}"), NOW + n) for n in range(100)]
    found = compare(logins, policy_of(binding()), policy_of(), samples=4)
    assert (found.changes[Change.LOST].count, len(found.changes[Change.LOST].samples)) == (100, 4)


def test_from_where_a_login_came_counts_where_it_is_recorded() -> None:
    new = policy_of(binding(match={"groups": "ops", "network": "10.0.0.0/8"}))
    logins = [Login(someone(), NOW), Login(someone(), NOW, Connection(address="10.1.1.1"))]
    found = compare(logins, policy_of(binding()), new)
    assert (found.same, found.changes[Change.LOST].count) == (1, 1)


def test_shadow_bindings_can_be_tried_on_what_was() -> None:
    rules = policy_of(binding("new", role="reader", shadow=True), binding("old"))
    found = compare([Login(someone(), NOW)], rules, live(rules))
    assert list(found.changes) == [Change.ROLES]


@given(policies(), policies(), st.lists(identities(), max_size=3))
def test_every_login_is_the_same_or_counted(old: Any, new: Any, who: list[Identity]) -> None:
    logins = [Login(identity, NOW) for identity in who]
    found = compare(logins, read_policy(old), read_policy(new))
    assert found.logins == len(who)
    assert found.logins - found.same <= sum(each.count for each in found.changes.values())
    assert (found.same == found.logins) is (found.changes == {})
    back = compare(logins, read_policy(new), read_policy(old))
    turned = {Change.LOST: Change.GAINED, Change.LONGER: Change.SHORTER}
    for there, here in turned.items():
        counts = [
            side.changes[name].count if name in side.changes else 0
            for side, name in ((found, there), (back, here))
        ]
        assert counts[0] == counts[1]
