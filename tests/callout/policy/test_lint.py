from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given

from callout.policy.decision import Connection, Granted
from callout.policy.finding import Code, Finding, Level, pointer
from callout.policy.index import compiled
from callout.policy.lint import lint
from callout.policy.match import decide
from callout.policy.model import Holding, Policy
from callout.policy.reading import read_policy
from callout.policy.world import KnownDirectory, KnownRole, World
from callout.policy.writing import plain
from issuer.claims.fields import Permission
from issuer.claims.user import UserTemplate
from issuer.grants import Identity
from issuer.subjects import Subject
from tests.callout.policy.policies import NOW, binding, connections, identities, policies, policy_of


def found(policy: Policy, **known: Any) -> list[tuple[Code, str]]:
    return [(finding.code, finding.pointer) for finding in lint(policy, **known)]


def pair(earlier: Any, later: Any, **members: Any) -> list[tuple[Code, str]]:
    return found(policy_of(binding("a", match=earlier), binding("b", match=later, **members)))


@given(policies(), identities(), connections)
def test_a_binding_said_to_grant_never_never_does(
    data: dict[str, Any], identity: Identity, connection: Connection
) -> None:
    policy = read_policy(data)
    never = {Code.SHADOWED, Code.CONTRADICTION, Code.UNION_CONFLICT, Code.SEPARATION_ALWAYS}
    never |= {Code.SEPARATION_BROKEN, Code.NO_CRITERIA}
    idle = {
        policy.bindings[int(each.pointer.split("/")[2])].name
        for each in lint(policy, now=NOW)
        if each.code in never
    }
    decision = decide(identity, compiled(policy), now=NOW, connection=connection)
    if isinstance(decision, Granted):
        assert not idle & set(decision.grant.bindings)


@given(policies())
def test_every_finding_points_at_something_and_says_the_way_out(data: dict[str, Any]) -> None:
    policy = read_policy(data)
    world = World(
        accounts={"GRID": {"r": KnownRole(tags=frozenset({"site"}))}},
        directories={"okta": KnownDirectory(groups=frozenset({"ops"}), max_lifetime=3600)},
        wide_roles=frozenset({Holding("GRID", "r")}),
    )
    whole = plain(policy)
    for finding in lint(policy, world=world, now=NOW):
        assert finding.message
        assert finding.hint
        node: Any = whole
        for step in finding.pointer.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if finding.code in {Code.VALUE_MISSING, Code.UNION_VALUES} and name == "values":
                break
            node = node[int(name)] if isinstance(node, list) else node[name]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ({"groups": "ops"}, {"groups": "ops"}),
        ({"groups": "ops"}, {"groups": {"all-of": ["dev", "ops"]}}),
        ({"groups": {"any-of": ["ops", "dev"]}}, {"groups": "dev", "methods": "mfa"}),
        ({"groups": {"exists": True}}, {"groups": {"not": {"any-of": ["x"]}}}),
        ({"groups": {"glob": "ops-*"}}, {"groups": {"any-of": ["ops-eu", "ops-us"]}}),
        ({"groups": {"not": {"any-of": ["x"]}}}, {"groups": {"not": {"any-of": ["x", "y"]}}}),
        ({"directory": ["okta", "ad"]}, {"directory": "okta"}),
        ({"issuer": {"glob": "https://*"}}, {"issuer": {"glob": "https://*.test"}}),
        ({"issuer": {"glob": "https://*"}}, {"issuer": "https://a"}),
        ({"attributes": {"level": {"at-least": 3}}}, {"attributes": {"level": {"at-least": 5}}}),
        ({"attributes": {"level": {"at-least": 3}}}, {"attributes": {"level": 3}}),
        ({"attributes": {"level": {"at-most": 5}}}, {"attributes": {"level": {"one-of": [1, 5]}}}),
        ({"network": "10.0.0.0/8"}, {"network": ["10.1.0.0/16", "10.2.0.0/16"]}),
        ({"network": {"not": ["10.1.0.0/16"]}}, {"network": {"not": ["10.0.0.0/8"]}}),
        ({"authenticated": {"within": "1h"}}, {"authenticated": {"within": "15m"}}),
        ({"subject": {"exists": True}}, {"subject": "s1", "groups": "ops"}),
    ],
)
def test_a_binding_that_comes_too_late_is_found(earlier: Any, later: Any) -> None:
    assert (Code.SHADOWED, "/bindings/1") in pair(earlier, later)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ({"groups": "ops", "methods": "mfa"}, {"groups": "ops"}),
        ({"groups": {"all-of": ["ops", "dev"]}}, {"groups": "ops"}),
        ({"groups": {"any-of": ["ops"]}}, {"groups": {"any-of": ["ops", "dev"]}}),
        ({"groups": {"glob": "ops-*"}}, {"groups": {"any-of": ["ops-eu", "dev"]}}),
        ({"groups": {"not": {"any-of": ["x"]}}}, {"groups": "ops"}),
        ({"groups": {"not": {"any-of": ["x", "y"]}}}, {"groups": {"not": {"any-of": ["x"]}}}),
        ({"attributes": {"x": 1}}, {"attributes": {"x": True}}),
        ({"attributes": {"x": {"glob": "*"}}}, {"attributes": {"x": {"exists": True}}}),
        ({"network": "10.1.0.0/16"}, {"network": "10.0.0.0/8"}),
        ({"issuer": {"glob": "https://*.test"}}, {"issuer": {"glob": "https://*"}}),
        ({"authenticated": {"within": "15m"}}, {"authenticated": {"within": "1h"}}),
    ],
)
def test_a_binding_that_still_grants_is_not_accused(earlier: Any, later: Any) -> None:
    assert Code.SHADOWED not in [code for code, _ in pair(earlier, later)]


def test_bindings_that_grant_together_do_not_shadow_each_other() -> None:
    rules = policy_of(binding("a", union=True), binding("b", union=True, role="other"))
    assert found(rules) == []


def test_a_shadow_neither_hides_nor_is_hidden() -> None:
    assert found(policy_of(binding("a", shadow=True), binding("b"))) == []
    assert found(policy_of(binding("a"), binding("b", shadow=True))) == []


def test_a_binding_without_criteria_hides_nothing() -> None:
    rules = policy_of(binding("a"), binding("b"))
    empty = msgspec.structs.replace(rules.bindings[0], criteria=())
    rules = msgspec.structs.replace(rules, bindings=(empty, rules.bindings[1]))
    assert found(rules) == [(Code.NO_CRITERIA, "/bindings/0/match")]


@pytest.mark.parametrize(
    ("match", "at"),
    [
        ({"groups": {"any-of": ["a"], "not": {"any-of": ["a", "b"]}}}, "/groups/not"),
        ({"groups": {"all-of": ["a", "b"], "not": {"any-of": ["b"]}}}, "/groups/not"),
        ({"attributes": {"x/y": {"equals": "a", "one-of": ["b", "c"]}}}, "/attributes/x~1y"),
        ({"attributes": {"x": {"equals": "a", "glob": "b*"}}}, "/attributes/x"),
        ({"attributes": {"x": {"equals": "a", "all-of": ["a", "b"]}}}, "/attributes/x"),
        ({"attributes": {"x": {"at-least": 5, "at-most": 4}}}, "/attributes/x"),
        ({"attributes": {"x": {"at-least": 5, "equals": True}}}, "/attributes/x"),
        ({"network": {"one-of": ["10.1.0.0/16"], "not": {"one-of": ["10.0.0.0/8"]}}}, "/network/not"),
        ({"time": {"at-least": "2027-01-01", "before": "2026-12-31"}}, "/time"),
    ],
)
def test_criteria_that_exclude_each_other_are_found(match: Any, at: str) -> None:
    assert (Code.CONTRADICTION, "/bindings/0/match" + at) in found(policy_of(binding(match=match)))


@pytest.mark.parametrize(
    ("match", "code", "at"),
    [
        ({"subject": {"exists": True}}, Code.WIDE, ""),
        ({"subject": {"exists": True}, "groups": {"not": {"any-of": ["x"]}}}, Code.WIDE, ""),
        ({"groups": {"glob": "*"}}, Code.WIDE, ""),
        ({"groups": {"glob": "*"}, "directory": "okta"}, Code.WIDE_GLOB, "/groups"),
        ({"groups": "ops", "network": ["0.0.0.0/0"]}, Code.WIDE_NETWORK, "/network"),
        ({"groups": "ops", "time": {"before": "2020-01-01"}}, Code.OVER, "/time"),
    ],
)
def test_bindings_for_anybody_or_nobody_are_found(match: Any, code: Code, at: str) -> None:
    assert (code, "/bindings/0/match" + at) in found(policy_of(binding(match=match)), now=NOW)


def test_unions_that_can_only_conflict_are_found() -> None:
    rules = policy_of(binding("a", union=True), binding("b", union=True, account="METERS"))
    assert found(rules) == [(Code.UNION_CONFLICT, "/bindings/1")]
    rules = policy_of(binding("a", union=True), binding("b", union=True, values={"site": "subject"}))
    assert found(rules) == [(Code.UNION_VALUES, "/bindings/1/values")]


def test_separations_that_bindings_break_by_themselves_are_found() -> None:
    apart = [{"name": "x", "never-both": ["GRID/a", "GRID/b"]}]
    rules = policy_of(binding("both", roles=["a", "b"]), separations=apart)
    assert found(rules) == [(Code.SEPARATION_BROKEN, "/bindings/0/roles")]
    everybody = binding("everybody", role="b", match={"directory": "okta"})
    few = binding("few", role="a", match={"directory": "okta", "groups": "ops"})
    assert found(policy_of(few, everybody, separations=apart)) == [(Code.SEPARATION_ALWAYS, "/bindings/0")]
    assert found(policy_of(few, separations=apart)) == [(Code.SEPARATION_IDLE, "/separations/0/never-both")]


WORLD = World(
    accounts={
        "GRID": {
            "operator": KnownRole.of(UserTemplate()),
            "site": KnownRole.of(
                UserTemplate(pub=Permission(allow=(Subject("r.{{tag(site)}}.{{name()}}"),)))
            ),
        }
    },
    directories={
        "okta": KnownDirectory(groups=frozenset({"ops"}), max_lifetime=3600),
        "corp-ad": KnownDirectory(),
    },
    wide_roles=frozenset({Holding("GRID", "operator")}),
)


def in_world(*bindings: dict[str, Any], **members: Any) -> list[Finding]:
    return lint(policy_of(*bindings, **members), world=WORLD)


def test_names_that_nothing_answers_to_are_found_with_the_nearest_one() -> None:
    match = {"directory": "otka", "groups": "ops"}
    findings = in_world(
        binding("a", account="GRIT", match={"groups": "dev"}),
        binding("b", role="sight", match=match),
        role_lifetimes={"GRID/sit": "1h"},
    )
    said = [(each.code, each.pointer, each.level) for each in findings]
    assert said == [
        (Code.ACCOUNT_UNKNOWN, "/bindings/0/account", Level.ERROR),
        (Code.DIRECTORY_UNKNOWN, "/bindings/1/match/directory", Level.ERROR),
        (Code.ROLE_UNKNOWN, "/bindings/1/role", Level.ERROR),
        (Code.ROLE_UNKNOWN, "/role-lifetimes/GRID~1sit", Level.ERROR),
    ]
    assert ["GRID" in findings[0].hint, "okta" in findings[1].hint, "site" in findings[2].hint] == [True] * 3


def test_a_group_is_unknown_only_where_all_groups_are_known() -> None:
    for directory, codes in (("okta", [Code.GROUP_UNKNOWN]), ("corp-ad", []), (["okta", "corp-ad"], [])):
        match = {"directory": directory, "groups": "opps"}
        findings = in_world(binding(match=match))
        assert [each.code for each in findings if each.code is not Code.WIDE_ROLE] == codes
    assert not [each for each in in_world(binding(match={"groups": "x"})) if each.code is Code.GROUP_UNKNOWN]


def test_wide_roles_are_pointed_out() -> None:
    assert [(each.code, each.pointer) for each in in_world(binding())] == [
        (Code.WIDE_ROLE, "/bindings/0/role")
    ]


def test_values_that_a_role_lacks_or_never_asks_for_are_found() -> None:
    findings = in_world(
        binding("a", role="site", match={"groups": "a"}),
        binding(
            "b", role="site", match={"groups": "b"}, values={"site": "attributes.site"}, user_name="subject"
        ),
        binding(
            "c", role="site", match={"groups": "c"}, values={"site": "attributes.site", "unit": "subject"}
        ),
    )
    assert [(each.code, each.pointer, each.level) for each in findings] == [
        (Code.VALUE_MISSING, "/bindings/0", Level.ERROR),
        (Code.VALUE_MISSING, "/bindings/0/values", Level.WARNING),
        (Code.VALUE_MISSING, "/bindings/2", Level.ERROR),
        (Code.VALUE_UNUSED, "/bindings/2/values/unit", Level.NOTE),
    ]


def test_caps_that_never_count_are_found() -> None:
    match = {"directory": "okta", "groups": "ops"}
    assert (Code.CAP_IDLE, "/bindings/0/max-lifetime") in [
        (each.code, each.pointer) for each in in_world(binding(match=match, max_lifetime="2h"))
    ]
    assert found(policy_of(binding(max_lifetime="25h"))) == [
        (Code.CAP_BEYOND_POLICY, "/bindings/0/max-lifetime")
    ]


def test_pointers_escape_what_json_pointers_escape() -> None:
    assert pointer("a/b", 3, "c~d") == "/a~1b/3/c~0d"
