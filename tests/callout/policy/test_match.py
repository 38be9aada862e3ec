from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given

from callout.policy.decision import UNKNOWN, Connection, Granted, Part, Refusal
from callout.policy.index import compiled
from callout.policy.match import decide
from callout.policy.model import Policy, Priority, live
from callout.policy.reading import read_policy
from callout.refusals import Reason
from issuer.grants import Identity, Kind
from tests.callout.policy.policies import NOW, binding, connections, identities, policies, policy_of, someone


def grant_of(policy: Policy, identity: Identity, connection: Connection = UNKNOWN) -> Any:
    decision = decide(identity, policy, now=NOW, connection=connection)
    assert isinstance(decision, Granted), decision
    return decision.grant


def refusal_of(policy: Policy, identity: Identity, connection: Connection = UNKNOWN) -> Refusal:
    decision = decide(identity, policy, now=NOW, connection=connection)
    assert isinstance(decision, Refusal), decision
    return decision


def fits(match: Any, identity: Identity, connection: Connection = UNKNOWN) -> bool:
    policy = policy_of(binding(match=match))
    return bool(decide(identity, policy, now=NOW, connection=connection))


@given(policies(strict=True), identities(), connections)
def test_whoever_is_granted_fulfils_every_criterion_of_every_binding_that_grants(
    data: dict[str, Any], identity: Identity, connection: Connection
) -> None:
    policy = read_policy(data)
    decision = decide(identity, policy, now=NOW, connection=connection)
    if not isinstance(decision, Granted):
        return
    names = {each.name: each for each in policy.bindings}
    for name in decision.grant.bindings:
        steps = [s for s in decision.steps if s.part is Part.CRITERION and s.binding == name]
        assert len(steps) == len(names[name].criteria) > 0
        assert all(step.passed for step in steps)
        assert not names[name].shadow
    assert {names[name].account for name in decision.grant.bindings} == {decision.grant.account}
    given_roles = {role for name in decision.grant.bindings for role in names[name].roles}
    assert set(decision.grant.roles) == given_roles


# All criteria, never a part


def test_a_binding_with_two_of_three_criteria_fulfilled_grants_nothing() -> None:
    policy = policy_of(binding(match={"directory": "okta", "groups": "ops", "methods": "mfa"}))
    refusal = refusal_of(policy, someone(methods=("pwd",)))
    assert refusal.reason is Reason.NO_BINDING
    failed = [step for step in refusal.steps if not step.passed]
    assert [(s.binding, s.criterion, s.wanted, s.value) for s in failed] == [
        ("ops", "methods any-of", ("mfa",), ("pwd",))
    ]


def test_a_policy_without_bindings_lets_nobody_in() -> None:
    assert refusal_of(policy_of(), someone()).reason is Reason.NO_BINDING


def test_a_binding_without_criteria_lets_nobody_in() -> None:
    policy = policy_of(binding())
    open_door = msgspec.structs.replace(policy.bindings[0], criteria=())
    policy = msgspec.structs.replace(policy, bindings=(open_door,))
    assert refusal_of(policy, someone()).reason is Reason.NO_BINDING
    assert not decide(someone(), compiled(policy), now=NOW)


# Operators

PRESENT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"issuer": "https://a"}, {"issuer": "https://a"}),
    ({"issuer": {"glob": "https://*.okta.test"}}, {"issuer": "https://x.okta.test"}),
    ({"subject": ["a", "b"]}, {"subject": "b"}),
    ({"directory": "okta"}, {"directory": "okta"}),
    ({"kind": "device"}, {"kind": Kind.DEVICE}),
    ({"groups": {"all-of": ["a", "b"]}}, {"groups": ("a", "b", "c")}),
    ({"groups": {"any-of": ["a", "x"]}}, {"groups": ("a",)}),
    ({"groups": {"glob": "grid-*"}}, {"groups": ("a", "grid-ops")}),
    ({"groups": {"not": {"any-of": ["x"]}}}, {"groups": ("a",)}),
    ({"groups": {"exists": True}}, {"groups": ("a",)}),
    ({"methods": {"all-of": ["mfa"]}}, {"methods": ("mfa", "pwd")}),
    ({"assurance": ["high", "low"]}, {"assurance": "high"}),
    ({"authenticated": {"within": "15m"}}, {"authenticated_at": NOW - 900}),
    ({"authenticated": {"not": {"within": "15m"}}}, {"authenticated_at": NOW - 901}),
    ({"authenticated": {"before": "2026-11-23T16:00:00Z"}}, {"authenticated_at": NOW - 1}),
    ({"attributes": {"x": "a"}}, {"attributes": {"x": "a"}}),
    ({"attributes": {"x": 7}}, {"attributes": {"x": 7}}),
    ({"attributes": {"x": True}}, {"attributes": {"x": True}}),
    ({"attributes": {"x": {"one-of": [7, 8]}}}, {"attributes": {"x": 8}}),
    ({"attributes": {"x": {"any-of": ["a", "b"]}}}, {"attributes": {"x": ("b", "c")}}),
    ({"attributes": {"x": {"any-of": ["a", "b"]}}}, {"attributes": {"x": "b"}}),
    ({"attributes": {"x": {"all-of": ["a", "b"]}}}, {"attributes": {"x": ("a", "b")}}),
    ({"attributes": {"x": {"at-least": 3, "at-most": 5}}}, {"attributes": {"x": 5}}),
    ({"attributes": {"x": {"before": "2027-01-01"}}}, {"attributes": {"x": NOW}}),
    ({"attributes": {"x": {"within": "30d"}}}, {"attributes": {"x": NOW - 86_400}}),
    ({"attributes": {"x": {"not": {"glob": "test-*", "one-of": ["a", "b"]}}}}, {"attributes": {"x": "c"}}),
    ({"attributes": {"x": {"not": "a"}}}, {"attributes": {"x": "c"}}),
]


@pytest.mark.parametrize(("match", "members"), PRESENT)
def test_what_a_criterion_asks_for_matches(match: Any, members: Any) -> None:
    assert fits(match, someone(**members))


EMPTY = Identity(issuer="i", subject="s", name="n", directory="d")


@pytest.mark.parametrize(
    "match", [case for case, _ in PRESENT if not {"kind", "subject", "issuer"} & case.keys()]
)
def test_what_is_absent_matches_nothing_not_even_under_not(match: Any) -> None:
    assert not fits(match, EMPTY)
    assert not fits(match, msgspec.structs.replace(EMPTY, attributes={"x": ""}))
    assert not fits(match, msgspec.structs.replace(EMPTY, attributes={"x": ()}))


@pytest.mark.parametrize(
    ("match", "members"),
    [
        # Letter case counts, and nothing is part of a text that is not asked for.
        ({"groups": "Ops"}, {"groups": ("ops",)}),
        ({"groups": "op"}, {"groups": ("ops",)}),
        ({"issuer": {"glob": "https://*.okta.test"}}, {"issuer": "https://x.okta.test.evil.test"}),
        # Kinds are not mixed.
        ({"attributes": {"x": 1}}, {"attributes": {"x": True}}),
        ({"attributes": {"x": True}}, {"attributes": {"x": 1}}),
        ({"attributes": {"x": "1"}}, {"attributes": {"x": 1}}),
        ({"attributes": {"x": {"one-of": [1, 2]}}}, {"attributes": {"x": True}}),
        ({"attributes": {"x": {"at-least": 0}}}, {"attributes": {"x": True}}),
        ({"attributes": {"x": {"at-least": 0}}}, {"attributes": {"x": "7"}}),
        ({"attributes": {"x": "a"}}, {"attributes": {"x": ("a", "b")}}),
        ({"attributes": {"x": {"any-of": ["7"]}}}, {"attributes": {"x": 7}}),
        # Nor under not: another kind is no proof of the contrary.
        ({"attributes": {"x": {"not": {"equals": 1}}}}, {"attributes": {"x": "1"}}),
        ({"attributes": {"x": {"not": {"glob": "a*"}}}}, {"attributes": {"x": 7}}),
        ({"attributes": {"x": {"not": {"equals": "a"}}}}, {"attributes": {"x": ("a", "b")}}),
        # Every operator of a field, and each of those under not.
        ({"attributes": {"x": {"at-least": 3, "at-most": 5}}}, {"attributes": {"x": 6}}),
        (
            {"attributes": {"x": {"not": {"glob": "test-*", "one-of": ["a", "b"]}}}},
            {"attributes": {"x": "test-1"}},
        ),
        ({"groups": {"any-of": ["a"], "not": {"any-of": ["b"]}}}, {"groups": ("a", "b")}),
        # Of the future nothing is known.
        ({"authenticated": {"within": "15m"}}, {"authenticated_at": NOW + 61}),
        ({"authenticated": {"not": {"within": "15m"}}}, {"authenticated_at": NOW + 61}),
        ({"authenticated": {"within": "15m"}}, {"authenticated_at": NOW - 901}),
    ],
)
def test_what_no_criterion_asks_for_does_not_match(match: Any, members: Any) -> None:
    assert not fits(match, someone(**members))


def test_a_proof_a_moment_ahead_of_our_clock_is_fresh() -> None:
    assert fits({"authenticated": {"within": "15m"}}, someone(authenticated_at=NOW + 60))


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("11.1.2.3", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("", None),
        ("localhost", None),
        ("010.1.2.3", None),
        ("fe80::1%eth0", None),
    ],
)
def test_networks(address: str, inside: bool | None) -> None:
    networks = ["10.0.0.0/8", "2001:db8::/32"]
    there = Connection(address=address)
    assert fits({"network": networks}, someone(), there) is (inside is True)
    # An address nobody can read is not outside of anything.
    assert fits({"network": {"not": networks}}, someone(), there) is (inside is False)


def test_connection_types_are_those_of_roles_and_the_servers_word_is_known() -> None:
    assert fits({"connection-type": "standard"}, someone(), Connection(type="nats"))
    assert fits({"connection-type": ["mqtt"]}, someone(), Connection(type="mqtt"))
    assert not fits({"connection-type": {"not": "mqtt"}}, someone())
    assert not fits({"connection-type": "standard"}, someone(), Connection(type="websocket"))


# Order and union


def test_the_first_binding_that_matches_grants_alone() -> None:
    policy = policy_of(
        binding("a", match={"groups": "other"}),
        binding("b", role="b"),
        binding("c", role="c"),
    )
    grant = grant_of(policy, someone())
    assert (grant.roles, grant.bindings) == (("b",), ("b",))
    choice = [step for step in grant.steps if step.part is Part.CHOICE]
    assert [(step.binding, step.why) for step in choice] == [("b", "the first that matches grants alone")]


@pytest.mark.parametrize(
    ("unions", "granting"),
    [((True, True), ("a", "b")), ((True, False), ("a",)), ((False, True), ("a",)), ((False, False), ("a",))],
)
def test_bindings_grant_together_only_if_all_that_match_say_so(
    unions: tuple[bool, bool], granting: tuple[str, ...]
) -> None:
    policy = policy_of(*(binding(name, role=name, union=u) for name, u in zip("ab", unions, strict=True)))
    grant = grant_of(policy, someone())
    assert grant.bindings == grant.roles == granting


def test_bindings_that_grant_together_into_two_accounts_are_a_conflict() -> None:
    policy = policy_of(binding("a", union=True), binding("b", account="METERS", union=True))
    refusal = refusal_of(policy, someone())
    assert (refusal.reason, refusal.bindings) == (Reason.CONFLICT, ("a", "b"))
    assert "GRID and METERS" in refusal.message


def test_a_role_is_not_filled_with_what_another_binding_passed_on() -> None:
    policy = policy_of(
        binding("a", role="a", union=True, values={"site": "attributes.site"}),
        binding("b", role="b", union=True, values={"site": {"text": "south"}}),
    )
    assert refusal_of(policy, someone()).reason is Reason.CONFLICT
    policy = policy_of(
        binding("a", role="a", union=True, values={"site": "attributes.site"}),
        binding("b", role="b", union=True),
    )
    assert refusal_of(policy, someone()).reason is Reason.CONFLICT


def test_a_union_is_as_strict_as_the_strictest_of_it() -> None:
    policy = policy_of(
        binding("a", role="a", union=True, max_lifetime="1h", grace="2h", jitter="0%"),
        binding("b", role="b", union=True, max_lifetime="2h", priority="high", grace="1h"),
    )
    grant = grant_of(policy, someone())
    assert (grant.expires_at, grant.grace, grant.priority) == (NOW + 3600, 3600, Priority.HIGH)


# Shadows


def test_a_shadow_binding_tells_and_grants_nothing() -> None:
    policy = policy_of(binding("new", role="new", shadow=True), binding("old", role="old"))
    decision = decide(someone(), policy, now=NOW)
    assert isinstance(decision, Granted)
    assert (decision.grant.bindings, decision.shadowed) == (("old",), ("new",))
    assert grant_of(live(policy), someone()).bindings == ("new",)


def test_who_matches_shadows_only_is_refused() -> None:
    refusal = refusal_of(policy_of(binding("new", shadow=True)), someone())
    assert (refusal.reason, refusal.shadowed) == (Reason.NO_BINDING, ("new",))


def test_shadows_do_not_break_a_union() -> None:
    policy = policy_of(
        binding("a", role="a", union=True), binding("s", shadow=True), binding("b", role="b", union=True)
    )
    assert grant_of(policy, someone()).bindings == ("a", "b")


# Time


def test_a_grant_ends_with_the_window_that_let_it_in() -> None:
    match = {"groups": "ops", "time": {"during": ["mon 08:00-18:00"], "zone": "Europe/Berlin"}}
    assert grant_of(policy_of(binding(match=match)), someone()).expires_at == NOW + 3600


def test_a_grant_ends_with_the_time_of_its_binding() -> None:
    match = {"groups": "ops", "time": {"before": "2026-11-23T16:10:00Z"}}
    assert grant_of(policy_of(binding(match=match)), someone()).expires_at == NOW + 600


def test_a_window_about_to_close_lets_nobody_in() -> None:
    match = {"groups": "ops", "time": {"before": "2026-11-23T16:00:04Z"}}
    assert refusal_of(policy_of(binding(match=match)), someone()).reason is Reason.TOO_SHORT


# Refusals as errors


def test_a_refusal_becomes_an_error_that_says_the_way_out() -> None:
    error = refusal_of(policy_of(), someone(subject="x\n\u202ey")).error()
    assert error.reason is Reason.NO_BINDING
    assert error.hint
    assert error.message.isascii()
    assert error.message.isprintable()


def test_a_decision_can_be_written_down() -> None:
    match = {"groups": "ops", "time": {"during": "00:00-24:00"}, "network": {"not": "10.0.0.0/8"}}
    for rules in (policy_of(binding(match=match), binding("b")), policy_of()):
        decision = decide(someone(), rules, now=NOW, connection=Connection(address="192.0.2.1"))
        written = msgspec.json.decode(msgspec.json.encode(decision.steps))
        assert len(written) == len(decision.steps)
