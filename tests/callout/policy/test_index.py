from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given

from callout.policy.decision import Connection, Granted, Refusal
from callout.policy.index import compiled
from callout.policy.match import decide
from callout.policy.reading import read_policy
from issuer.grants import Identity
from tests.callout.policy.policies import NOW, binding, connections, identities, policies, policy_of, someone


@given(policies(), identities(), connections)
def test_the_index_decides_as_a_look_at_every_binding_does(
    data: dict[str, Any], identity: Identity, connection: Connection
) -> None:
    policy = read_policy(data)
    slow = decide(identity, policy, now=NOW, connection=connection, chance=0.5)
    fast = decide(identity, compiled(policy), now=NOW, connection=connection, chance=0.5)
    # The steps of a fast decision are some of the slow one's, in the same order.
    every = iter(slow.steps)
    assert all(step in every for step in fast.steps)
    assert without_steps(fast) == without_steps(slow)


def without_steps(decision: Granted | Refusal) -> Any:
    if isinstance(decision, Granted):
        return msgspec.structs.replace(decision, grant=msgspec.structs.replace(decision.grant, steps=()))
    return msgspec.structs.replace(decision, steps=())


def test_a_thousand_bindings_are_not_asked_for_each_login() -> None:
    policy = policy_of(
        *(binding(f"b{n}", match={"directory": "okta", "groups": f"g{n}"}) for n in range(1000)),
        binding("last", match={"directory": "okta", "methods": "mfa", "groups": {"all-of": ["g1", "g2"]}}),
    )
    ready = compiled(policy)
    near = [each.name for each in ready.candidates(someone(groups=("g500", "g7", "other")))]
    assert near == ["b7", "b500"]


def test_a_binding_is_found_by_the_rarest_of_its_values() -> None:
    ready = compiled(
        policy_of(
            *(
                binding(f"b{n}", match={"directory": "okta", "groups": "staff", "subject": f"s{n}"})
                for n in range(50)
            ),
            binding("glob", match={"issuer": {"glob": "https://*"}}),
        )
    )
    near = [each.name for each in ready.candidates(someone(subject="s7", groups=("staff",)))]
    assert near == ["b7", "glob"]


def test_how_it_came_hides_no_binding_that_it_holds() -> None:
    # Anchored by its methods, the second would not be seen by the separation.
    rules = policy_of(
        binding("a", role="a", match={"groups": "ops"}),
        binding("b", role="b", match={"groups": {"glob": "o*"}, "methods": "mfa"}),
        separations=[{"name": "s", "never-both": ["GRID/a", "GRID/b"]}],
    )
    assert not decide(someone(methods=("pwd",)), rules, now=NOW)
    assert not decide(someone(methods=("pwd",)), compiled(rules), now=NOW)
