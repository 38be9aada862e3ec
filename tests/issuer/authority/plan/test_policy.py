"""A policy in a declarative file: read by whoever is handed in, shown by name, in force with the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.audit.catalogue import EventCode
from issuer.audit.log import read
from issuer.authority.desk import Turn
from issuer.authority.plan import (
    ApplyDocument,
    AskPlan,
    DeclaredPolicy,
    Plan,
    PolicyDoor,
    apply_document,
    export_document,
    plan,
    read_document,
)
from issuer.authority.plan.document import Document, PolicyPart
from issuer.authority.plan.drafts import PolicyDraft
from issuer.authority.plan.plain_values import at_pointer, plain_value
from issuer.authority.plan.policy import policy_changes
from issuer.authority.plan.source import BadDocument, open_source
from issuer.authority.policies import SetPolicy, policy_history, set_policy, the_policy
from issuer.errors import Conflict, NotFound, PeerError
from issuer.store.grants import PolicyVersion
from tests.issuer.authority.conftest import House

ORG = "operator: {name: ACME}\naccounts: {LAB: {}}\n"
FILES = {"policy.yaml": "version: 1\nbindings:\n- name: staff\n  account: LAB\n"}


def canonical(data: Any) -> DeclaredPolicy:
    """A reader that knows little: every binding needs an account."""
    for index, binding in enumerate(data["bindings"]):
        if "account" not in binding:
            raise PeerError("lacks 'account'", at=f"/bindings/{index}", hint="add account:")
    return DeclaredPolicy(json.dumps(data, sort_keys=True), len(data["bindings"]))


def beside(name: str) -> str:
    if name not in FILES:
        raise NotFound("there is no such file", at=name)
    return FILES[name]


DOOR = PolicyDoor(canonical, beside)


def document(policy: str) -> Document:
    return read_document(ORG + policy, policies=DOOR)


def bound(*names: str, **more: Any) -> str:
    bindings = [{"name": name, "account": "LAB", **more} for name in names]
    return "policy: " + json.dumps({"version": 1, "bindings": bindings}) + "\n"


def ask(house: House, policy: str) -> Plan:
    return house.authority.ask(plan, AskPlan(document(policy), house.clock[0]))


def apply(house: House, policy: str, **how: Any) -> Any:
    return house.do(apply_document, ApplyDocument(document(policy), **how))


def versions(house: House) -> list[int]:
    with house.authority.database.reading() as unit:
        return [each.version for each in policy_history(unit, None)]


def test_it_is_in_force_with_the_accounts_it_names(house: House) -> None:
    paths = [change.path for change in ask(house, bound("staff")).changes]
    assert paths == ["operator", "accounts.LAB", "policy", "policy.bindings.staff"]
    applied = apply(house, bound("staff"))
    assert [change.path for change in applied.changes] == paths
    with house.authority.database.reading() as unit:
        found = the_policy(unit, (None, None))
        (event,) = read(unit, code=EventCode.POLICY_CHANGED)
    assert json.loads(found.body)["bindings"][0]["name"] == "staff"
    assert event.body.detail["sha256"] == found.sha256


def test_a_second_time_nothing_changes(house: House) -> None:
    apply(house, bound("staff"))
    house.wait(10)
    assert not ask(house, bound("staff"))
    assert apply(house, bound("staff")).changes == ()
    assert versions(house) == [1]


def test_a_file_that_is_silent_leaves_it(house: House) -> None:
    apply(house, bound("staff"))
    house.wait(10)
    assert not ask(house, "")
    apply(house, "")
    assert versions(house) == [1]


def test_a_file_beside_is_the_same(house: House) -> None:
    apply(house, bound("staff"))
    house.wait(10)
    assert not ask(house, "policy-file: policy.yaml\n")


def test_what_fails_after_it_takes_it_back(house: House) -> None:
    apply(house, bound("staff"))
    house.wait(10)

    def applied_and_failed(turn: Turn, act: ApplyDocument) -> None:
        assert apply_document(turn, act).changes
        raise Conflict("somebody was first")

    with pytest.raises(Conflict, match="somebody was first"):
        house.do(applied_and_failed, ApplyDocument(document(bound("other"))))
    assert versions(house) == [1]


def test_a_plan_that_was_looked_at_does_not_stand_on_another_policy(house: House) -> None:
    apply(house, bound("staff"))
    house.wait(10)
    made = ask(house, bound("lab"))
    house.do(set_policy, SetPolicy(json.dumps({"bindings": []}), bindings=0))
    with pytest.raises(Conflict, match="moved"):
        apply(house, bound("lab"), expected=made.digest)


def test_a_plan_does_not_stand_on_a_policy_file_that_was_written_anew(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ask(house, "policy-file: policy.yaml\n")
    monkeypatch.setitem(FILES, "policy.yaml", FILES["policy.yaml"].replace("staff", "lab"))
    with pytest.raises(Conflict, match="moved"):
        apply(house, "policy-file: policy.yaml\n", expected=made.digest)


def test_what_goes_out_comes_in_and_changes_nothing(house: House) -> None:
    policy = bound("staff", texts=["007", "true", "2027-01-31", "12:30", "null", "1e3", "", "10%"], number=7)
    apply(house, policy)
    house.wait(10)
    with house.authority.database.reading() as unit:
        text = export_document(unit, None)
    out = read_document(text, policies=DOOR)
    assert out.policy is not None
    assert not house.authority.ask(plan, AskPlan(out, house.clock[0]))


@pytest.mark.parametrize(
    ("policy", "place", "words"),
    [
        ("policy: {version: 1, bindings: [{name: a, account: b}, {name: c}]}\n", "org.yaml:3:56", "lacks"),
        ("policy:\n  version: 1\n  bindings:\n  - name: a\n", "org.yaml:6:5", "lacks 'account'"),
        ("policy: {}\npolicy-file: policy.yaml\n", "org.yaml:4:14", "says the same"),
        ("policy-file: broken.yaml\n", "broken.yaml:3:3", "lacks 'account'"),
        ("policy-file: seed.yaml\n", "seed.yaml:1", "holds a seed"),
        ("policy-file: [one]\n", "org.yaml:3:14", "must be a text"),
        ("policy: {version: 1, version: 2}\n", "org.yaml:3:22", "written twice"),
    ],
)
def test_a_fault_has_its_place(policy: str, place: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FILES, "broken.yaml", "version: 1\nbindings:\n- name: a\n")
    monkeypatch.setitem(FILES, "seed.yaml", "x: SU" + "A" * 56)
    with pytest.raises(BadDocument, match=words) as fault:
        document(policy)
    assert fault.value.at == place


def test_what_cannot_be_read_is_refused_and_not_skipped() -> None:
    with pytest.raises(BadDocument, match="policy: cannot be read here"):
        read_document(ORG + bound("staff"))


def test_a_file_that_is_not_there(house: House) -> None:
    with pytest.raises(NotFound, match="no such file"):
        document("policy-file: none.yaml\n")


# How it is shown


def changes(before: Any, after: Any) -> list[tuple[str, str]]:
    was = PolicyVersion(1, "", json.dumps(before, sort_keys=True), 0) if before is not None else None
    part = PolicyPart(json.dumps(after, sort_keys=True), 0)
    return [(change.kind, change.path) for change in policy_changes(PolicyDraft(part, was))]


def one(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "account": "LAB", **more}


def test_bindings_are_shown_by_name() -> None:
    before = {"version": 1, "bindings": [one("a"), one("b", role="x"), one("c")]}
    after = {"version": 1, "max-lifetime": "1h", "bindings": [one("b", role="y"), one("c"), one("d.e")]}
    assert changes(before, after) == [
        ("change", "policy.max-lifetime"),
        ("change", "policy.bindings.b.role"),
        ("create", 'policy.bindings."d.e"'),
        ("delete", "policy.bindings.a"),
    ]


@pytest.mark.parametrize("after", [["b", "a"], ["c", "a", "b"], ["a", "c", "b"]])
def test_their_order_decides_and_so_it_is_shown(after: list[str]) -> None:
    found = changes({"bindings": [one("a"), one("b")]}, {"bindings": [one(name) for name in after]})
    assert ("change", "policy.bindings.order") in found


def test_one_at_the_end_moves_nothing() -> None:
    assert changes({"bindings": [one("a")]}, {"bindings": [one("a"), one("b")]}) == [
        ("create", "policy.bindings.b")
    ]


_BINDINGS = st.lists(
    st.builds(one, st.sampled_from("abcd"), role=st.sampled_from("xy")), unique_by=lambda each: each["name"]
)
_POLICIES = st.fixed_dictionaries(
    {"bindings": _BINDINGS},
    optional={"separations": _BINDINGS, "max-lifetime": st.sampled_from(["1h", "2h"])},
)


@given(_POLICIES, _POLICIES)
def test_policies_that_differ_show_it_and_equal_ones_show_nothing(before: Any, after: Any) -> None:
    empty: dict[str, Any] = {"separations": []}
    # No separations and an empty list of them are one and the same to whoever reads policies.
    assert bool(changes(before, after)) >= ({**empty, **before} != {**empty, **after})
    assert changes(before, before) == []


# The way there and back

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=5), _VALUES, min_size=1))
def test_plain_values_are_those_of_the_json_that_was_written(data: Any) -> None:
    assert plain_value(open_source(json.dumps(data), "x")) == data


@given(st.text(alphabet="/~01ab", max_size=12))
def test_a_pointer_leads_somewhere_whatever_it_says(pointer: str) -> None:
    top = open_source('{"a": [{"b/~": 1}], "b": {"": 2}}', "x")
    assert at_pointer(top, pointer).where.at.startswith("x:")


def test_a_pointer_leads_to_its_place() -> None:
    top = open_source('{"a": [{"b/~": 1}]}', "x")
    assert at_pointer(top, "/a/0/b~1~0").path == 'a[0]."b/~"'
