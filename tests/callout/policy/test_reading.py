from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callout.policy.model import DEFAULT_LIFETIME, Criterion, Operator, Priority
from callout.policy.place import PolicyError
from callout.policy.reading import read_policy
from callout.policy.writing import digest, plain
from tests.callout.policy.policies import binding, policies, policy_of


@given(policies())
def test_a_policy_written_out_is_read_as_the_same(data: dict[str, Any]) -> None:
    policy = read_policy(data)
    assert read_policy(plain(policy)) == policy
    assert plain(read_policy(plain(policy))) == plain(policy)
    assert digest(read_policy(plain(policy))) == digest(policy)


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.dates()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(st.text(), st.integers()), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(anything)
def test_whatever_stands_there_is_read_or_refused_with_a_place_and_a_way_out(data: Any) -> None:
    try:
        read_policy(data)
    except PolicyError as error:
        assert error.at
        assert error.hint
        assert error.message


@given(st.data())
def test_a_policy_with_anything_in_any_place_is_read_or_refused(data: st.DataObject) -> None:
    # Strategies hand out the same lists again and again.
    policy = copy.deepcopy(data.draw(policies(most=3)))
    places: list[tuple[Any, Any]] = [(policy, "version")]

    def walk(node: Any) -> None:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            places.append((node, key))
            if isinstance(value, dict | list):
                walk(value)

    walk(policy)
    node, key = data.draw(st.sampled_from(places))
    node[key] = data.draw(anything)
    try:
        read_policy(policy)
    except PolicyError as error:
        assert (error.at or "").startswith("/")
        assert error.hint


def refused(match: Any) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        policy_of(binding(match=match))
    return caught.value


@pytest.mark.parametrize(
    ("match", "at", "words", "hint"),
    [
        ({}, "", "no criteria", "exists"),
        ([], "", "must be a mapping", "name: value"),
        ({"group": "ops"}, "/group", "not known here", "'groups'"),
        ({"groups": {"any_of": ["a"]}}, "/groups/any_of", "not known here", "'any-of'"),
        ({"groups": ["a", "b"]}, "/groups", "any or all", "any-of"),
        ({"groups": {"any-of": []}}, "/groups/any-of", "is empty", "1 to"),
        ({"groups": {"any-of": ["a", 7]}}, "/groups/any-of/1", "must be a text, not the number 7", '"7"'),
        ({"groups": {"any-of": ["a", "a"]}}, "/groups/any-of/1", "twice", "leave it out"),
        ({"groups": ""}, "/groups", "is empty", "leave"),
        ({"groups": {}}, "/groups", "no criteria", "all-of"),
        ({"groups": {"not": {}}}, "/groups/not", "no criteria", "any-of"),
        ({"groups": {"exists": False}}, "/groups/exists", "absence", "earlier binding"),
        ({"groups": {"not": {"exists": True}}}, "/groups/not/exists", "absence", "earlier binding"),
        ({"groups": "o\u200bps"}, "/groups", "cannot be seen", "letters"),
        ({"directory": {"glob": "o*"}}, "/directory/glob", "not known here", "known are"),
        ({"kind": "Person"}, "/kind", "'Person' is not known", "'person'"),
        ({"connection-type": "nats"}, "/connection-type", "is not known", "known are standard"),
        ({"issuer": {"glob": "https://*.[ab].test"}}, "/issuer/glob", "'[' stands for nothing", "one-of"),
        ({"issuer": {"glob": "https://a?"}}, "/issuer/glob", "'?' stands for nothing", "only *"),
        ({"issuer": {"glob": "https://a"}}, "/issuer/glob", "no * in it", "equals"),
        ({"network": "10.0.0.1/8"}, "/network", "is not a network", "no bits set"),
        ({"network": "10.0.0.1"}, "/network", "lacks its prefix", "10.0.0.1/32"),
        ({"network": "::ffff:10.0.0.0/104"}, "/network", "IPv6 clothes", "IPv4"),
        ({"network": {"one-of": ["x"]}}, "/network/one-of/0", "is not a network", "as 10.0.0.0/8"),
        ({"authenticated": "15m"}, "/authenticated", "must say how", "within"),
        ({"authenticated": {"within": "15 minutes"}}, "/authenticated/within", "not a span", "15m"),
        ({"authenticated": {"within": 0}}, "/authenticated/within", "too short", "from 1"),
        ({"authenticated": {"within": True}}, "/authenticated/within", "true is not a span", "15m"),
        ({"time": {"before": "2026-11-23T16:00:00"}}, "/time/before", "not a moment", "zone"),
        ({"time": {"before": 1795449600}}, "/time/before", "not a moment", "quotes"),
        ({"time": {"during": ["8-18"]}}, "/time/during/0", "not a window", "mon-fri"),
        ({"time": {"during": ["08:00-08:00"]}}, "/time/during/0", "not a window", "mon-fri"),
        ({"time": {"during": "08:00-18:00", "zone": "Mars/Olympus"}}, "/time/zone", "no time zone", "Europe"),
        (
            {"time": {"during": "08:00-18:00", "zone": "../../etc/passwd"}},
            "/time/zone",
            "no time zone",
            "UTC",
        ),
        ({"time": {"before": "2026-11-23", "zone": "UTC"}}, "/time/zone", "during only", "leave it out"),
        ({"time": {"not": {"during": "08:00-18:00"}}}, "/time/not", "does not go with time", "windows"),
        ({"attributes": {}}, "/attributes", "no criteria", "attribute: value"),
        ({"attributes": {"a/b": ["x"]}}, "/attributes/a~1b", "must say how", "any-of"),
        ({"attributes": {"x": {"one-of": [1, True]}}}, "/attributes/x/one-of/1", "another kind", "all texts"),
        ({"attributes": {"x": 1.5}}, "/attributes/x", "must be a text, not float", '"1.5"'),
        ({"attributes": {"x": {"at-least": "5"}}}, "/attributes/x/at-least", "not a moment", "zone"),
        ({"attributes": {"x": {"regex": ".*"}}}, "/attributes/x/regex", "not known here", "known are"),
        ({"attributes": {7: "x"}}, "/attributes", "the number 7 is no text", '"7"'),
    ],
)
def test_criteria_that_cannot_be_read(match: Any, at: str, words: str, hint: str) -> None:
    error = refused(match)
    assert error.at == "/bindings/0/match" + at
    assert words in error.message
    assert hint in (error.hint or "")


@pytest.mark.parametrize(
    ("members", "at", "words"),
    [
        ({"rolle": "x"}, "/bindings/0/rolle", "not known here"),
        ({"roles": []}, "/bindings/0/roles", "is empty"),
        ({"roles": ["a", "a"]}, "/bindings/0/roles/1", "twice"),
        ({"roles": ["a"], "role": "b"}, "/bindings/0", "either role or roles"),
        ({"account": "A/B"}, "/bindings/0/account", "cannot be a name"),
        ({"max_lifetime": "4s"}, "/bindings/0/max-lifetime", "too short"),
        ({"max_lifetime": "1m1h"}, "/bindings/0/max-lifetime", "not a span"),
        ({"jitter": "51%"}, "/bindings/0/jitter", "no share"),
        ({"jitter": 0.1}, "/bindings/0/jitter", "no share"),
        ({"priority": "urgent"}, "/bindings/0/priority", "is not known"),
        ({"grace": "8d"}, "/bindings/0/grace", "too long"),
        ({"grace": "1h", "single-use": True}, "/bindings/0/grace", "only once"),
        ({"union": "yes"}, "/bindings/0/union", "must be true or false"),
        ({"shadow": 1}, "/bindings/0/shadow", "must be true or false"),
        ({"values": {"Site": "subject"}}, "/bindings/0/values/Site", "no key of a tag"),
        ({"values": {"a:b": "subject"}}, "/bindings/0/values/a:b", "no key of a tag"),
        ({"values": {"site": "name"}}, "/bindings/0/values/site", "somebody else's"),
        ({"values": {"site": "site"}}, "/bindings/0/values/site", "nothing that can be passed on"),
        ({"values": {"site": "attributes."}}, "/bindings/0/values/site", "nothing that can be passed on"),
        ({"values": {"site": "groups"}}, "/bindings/0/values/site", "groups are several"),
        ({"values": {"site": {"text": "a.>"}}}, "/bindings/0/values/site/text", "holds '.'"),
        (
            {"values": {"site": {"text": "a", "several": True}}},
            "/bindings/0/values/site/several",
            "not go with",
        ),
        ({"values": {"site": {}}}, "/bindings/0/values/site", "either from or text"),
        ({"user_name": {"from": "groups", "several": True}}, "/bindings/0/user-name", "several values"),
    ],
)
def test_bindings_that_cannot_be_read(members: dict[str, Any], at: str, words: str) -> None:
    with pytest.raises(PolicyError) as caught:
        policy_of(binding(**members) if "role" not in members else binding(**members) | {"role": "b"})
    assert caught.value.at == at
    assert words in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("data", "at", "words"),
    [
        ({"bindings": []}, "/", "lacks 'version'"),
        ({"version": 1}, "/", "lacks 'bindings'"),
        ({"version": 2, "bindings": []}, "/version", "no format"),
        ({"version": True, "bindings": []}, "/version", "must be a whole number"),
        ({"version": 1, "binding": []}, "/binding", "not known here"),
        ({"version": 1, "bindings": {}}, "/bindings", "must be a list"),
        (
            {"version": 1, "bindings": [binding(), binding()]},
            "/bindings/1/name",
            "also the name of /bindings/0",
        ),
        ({"version": 1, "bindings": [], "role-lifetimes": {"GRID": "1h"}}, "/role-lifetimes/GRID", "no role"),
        (
            {"version": 1, "bindings": [], "role-lifetimes": {"GRID/a/b": "1h"}},
            "/role-lifetimes/GRID~1a~1b",
            "is no role",
        ),
        (
            {"version": 1, "bindings": [], "separations": [{"name": "x", "never-both": ["GRID/a"]}]},
            "/separations/0/never-both",
            "only one",
        ),
        (
            {"version": 1, "bindings": [], "separations": [{"name": "x", "never-both": ["GRID", "GRID/a"]}]},
            "/separations/0/never-both",
            "takes in",
        ),
    ],
)
def test_policies_that_cannot_be_read(data: Any, at: str, words: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read_policy(data)
    assert caught.value.at == at
    assert words in caught.value.message


def test_a_binding_without_a_role_is_refused() -> None:
    data = binding()
    del data["role"]
    with pytest.raises(PolicyError, match="either role or roles"):
        policy_of(data)


def test_what_is_not_said_has_the_safe_default() -> None:
    policy = policy_of(binding())
    one = policy.bindings[0]
    assert policy.max_lifetime == DEFAULT_LIFETIME
    assert (one.max_lifetime, one.grace, one.shadow, one.union) == (None, 0, False, False)
    assert (one.priority, one.jitter, one.values, one.user_name) == (Priority.NORMAL, 10, (), None)


def test_the_short_forms_say_what_the_long_ones_do() -> None:
    short = {"directory": "a", "issuer": ["b", "c"], "groups": "ops", "network": "10.0.0.0/8"}
    assert policy_of(binding(match=short)).bindings[0].criteria == (
        Criterion(field="directory", operator=Operator.EQUALS, operand="a"),
        Criterion(field="issuer", operator=Operator.ONE_OF, operand=("b", "c")),
        Criterion(field="groups", operator=Operator.ANY_OF, operand=("ops",)),
        Criterion(field="network", operator=Operator.ONE_OF, operand=("10.0.0.0/8",)),
    )


def test_the_data_is_left_as_it_was() -> None:
    data = {
        "version": 1,
        "bindings": [binding(match={"groups": {"not": {"any-of": ["a"]}, "any-of": ["b"]}})],
    }
    before = repr(data)
    read_policy(data)
    assert repr(data) == before


def test_policies_that_differ_in_anything_differ_in_their_digest() -> None:
    one, other = (policy_of(binding(match={"attributes": {"x": value}})) for value in (1, True))
    assert digest(one) != digest(other)


def test_an_operator_that_is_nearly_one_is_named_as_it_is_written() -> None:
    match = {"groups": {"any-off": ["staff"]}}
    with pytest.raises(PolicyError) as caught:
        read_policy({"version": 1, "bindings": [{"name": "x", "match": match, "account": "A", "role": "r"}]})
    assert caught.value.hint == "did you mean 'any-of'?"
