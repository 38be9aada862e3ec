from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from callout.policy.criteria import passes
from callout.policy.decision import Connection
from callout.policy.implication import contradiction, implied, surely_wider
from callout.policy.model import Criterion, Operator
from callout.policy.place import Place
from callout.policy.reading_match import read_match
from issuer.grants import Identity
from tests.callout.policy.policies import FIELDS, NOW, binding, connections, identities, policy_of


@st.composite
def same_field(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    name = draw(
        st.sampled_from(["groups", "attributes", "network", "authenticated", "directory", "issuer", "time"])
    )
    return {name: draw(FIELDS[name])}, {name: draw(FIELDS[name])}


@settings(max_examples=200)
@given(same_field(), st.lists(st.tuples(identities(), connections), min_size=1, max_size=8))
def test_what_is_said_to_follow_follows_and_what_excludes_each_other_does(
    both: tuple[dict[str, Any], dict[str, Any]], logins: list[tuple[Identity, Connection]]
) -> None:
    first, second = (read_match(Place(match)) for match in both)
    for identity, connection in logins:
        held = {criterion: passes(criterion, identity, NOW, connection) for criterion in {*first, *second}}
        for wanted in first:
            for given_one in second:
                if wanted.field == given_one.field and implied(wanted, given_one) and held[given_one]:
                    assert held[wanted]
        for criteria in (first, second, (*first, *second)):
            if contradiction(criteria) is not None:
                assert not all(held[criterion] for criterion in criteria)


def test_one_and_true_do_not_follow_from_each_other() -> None:
    one, true = (
        Criterion(field="attributes.x", operator=Operator.EQUALS, operand=value) for value in (1, True)
    )
    assert one == true
    assert not implied(one, true)


def test_a_binding_without_criteria_is_wider_than_none() -> None:
    one = policy_of(binding()).bindings[0]
    assert surely_wider(one, one)
    assert not surely_wider(msgspec.structs.replace(one, criteria=()), one)
