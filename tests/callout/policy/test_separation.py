from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from callout.policy.decision import Connection, Granted, Part
from callout.policy.match import decide
from callout.policy.model import Holding, Policy
from callout.policy.reading import read_policy
from callout.policy.separation import broken_by, sides_of
from callout.refusals import Reason
from issuer.grants import Identity
from tests.callout.policy.policies import NOW, binding, connections, identities, policies, policy_of, someone

FOUR_EYES = [{"name": "four-eyes", "never-both": ["GRID/switch", "GRID/approve"]}]


def four_eyes(*bindings: dict[str, Any]) -> Policy:
    return policy_of(*bindings, separations=FOUR_EYES)


SWITCH = binding("switch", role="switch", match={"groups": "switchers"})
APPROVE = binding("approve", role="approve", match={"groups": "approvers"})


def test_nobody_in_both_groups_gets_either_role() -> None:
    decision = decide(someone(groups=("approvers", "switchers")), four_eyes(SWITCH, APPROVE), now=NOW)
    assert not isinstance(decision, Granted)
    assert (decision.reason, decision.bindings) == (Reason.SEPARATION, ("switch", "approve"))
    assert "GRID/switch and GRID/approve" in decision.message
    assert "four-eyes" in decision.message


def test_who_holds_one_of_them_gets_it() -> None:
    for group, role in (("switchers", "switch"), ("approvers", "approve")):
        decision = decide(someone(groups=(group,)), four_eyes(SWITCH, APPROVE), now=NOW)
        assert isinstance(decision, Granted)
        assert decision.grant.roles == (role,)
        assert [step.passed for step in decision.steps if step.part is Part.SEPARATION] == [True]


@pytest.mark.parametrize(
    "how",
    [
        {"network": "10.0.0.0/8"},
        {"connection-type": "mqtt"},
        {"methods": "hwk"},
        {"assurance": "high"},
        {"authenticated": {"within": "5m"}},
        {"time": {"during": "mon 02:00-03:00"}},
        {"attributes": {"trained": {"within": "1d"}}},
    ],
)
def test_coming_from_elsewhere_is_no_way_around_a_separation(how: dict[str, Any]) -> None:
    elsewhere = binding("approve", role="approve", match={"groups": "approvers"} | how)
    decision = decide(
        someone(groups=("approvers", "switchers")),
        four_eyes(SWITCH, elsewhere),
        now=NOW,
        connection=Connection(address="192.0.2.1", type="nats"),
    )
    assert not isinstance(decision, Granted)
    assert decision.reason is Reason.SEPARATION


def test_a_shadow_holds_nothing() -> None:
    decision = decide(
        someone(groups=("approvers", "switchers")), four_eyes(SWITCH, APPROVE | {"shadow": True}), now=NOW
    )
    assert isinstance(decision, Granted)


def test_a_whole_account_can_be_kept_apart() -> None:
    rules = policy_of(
        SWITCH,
        binding("audit", account="AUDIT", role="reader", match={"groups": "auditors"}),
        separations=[{"name": "audit", "never-both": ["AUDIT", "GRID"]}],
    )
    assert not decide(someone(groups=("auditors", "switchers")), rules, now=NOW)
    assert decide(someone(groups=("auditors",)), rules, now=NOW)


def test_one_binding_with_both_roles_lets_nobody_in() -> None:
    both = binding("both", roles=["switch", "approve"])
    assert not decide(someone(), four_eyes(both), now=NOW)


def test_the_standing_report_names_who_breaks_what() -> None:
    rules = four_eyes(SWITCH, APPROVE)
    broken = broken_by(rules, someone(groups=("approvers", "switchers")), now=NOW)
    assert [(step.criterion, step.binding) for step in broken] == [("four-eyes", "switch, approve")]
    assert broken_by(rules, someone(groups=("switchers",)), now=NOW) == []


@given(policies(), identities(), connections)
def test_what_is_granted_together_or_one_after_the_other_breaks_no_separation(
    data: dict[str, Any], identity: Identity, connection: Connection
) -> None:
    policy = read_policy(data)
    decision = decide(identity, policy, now=NOW, connection=connection)
    if not isinstance(decision, Granted):
        return
    for separation in policy.separations:
        granted = [each for each in policy.bindings if each.name in decision.grant.bindings]
        assert len(sides_of(separation, granted)) < 2
        # Nor with what another login of the same identity would be given at this time.
        for other in (
            Connection(address="10.1.2.3", type="nats"),
            Connection(address="192.0.2.1", type="mqtt"),
        ):
            again = decide(identity, policy, now=NOW, connection=other)
            if isinstance(again, Granted):
                later = [each for each in policy.bindings if each.name in again.grant.bindings]
                assert len(sides_of(separation, [*granted, *later])) < 2


def test_what_a_holding_takes_in() -> None:
    assert Holding("GRID").covers(Holding("GRID", "a"))
    assert not Holding("GRID", "a").covers(Holding("GRID"))
    assert not Holding("GRID", "a").covers(Holding("METERS", "a"))
    assert str(Holding("GRID", "a")) == "GRID/a"
