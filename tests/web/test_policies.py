"""What a policy is asked: by whom it would be fulfilled, why, and what another one would have done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from callout.policy.decision import Connection, Granted
from callout.policy.finding import Code
from callout.policy.lint import lint
from callout.policy.model import Holding, Policy
from callout.policy.place import PolicyError
from callout.policy.reading import read_policy
from callout.policy.what_if import Change
from issuer.authority.accounts import AddAccount, add_account
from issuer.authority.changes import PermissionChange
from issuer.authority.logins import Granted as Login
from issuer.authority.logins import Refused, write_granted, write_refused
from issuer.authority.policies import set_policy
from issuer.authority.roles import EditRole, edit_role
from issuer.errors import NotFound
from issuer.grants import Denial, Identity, Target
from issuer.store import grants
from issuer.store.unit import Unit
from tests.issuer.store.test_grants import session
from tests.web.test_rulebook import ADA, Office
from web import policies

ANN = Identity(issuer="https://id.example", subject="ann", name="Ann", directory="okta", groups=("staff",))
BEN = replace(ANN, subject="ben", name="Ben", groups=())


def policy(*groups: str, role: str = "reader") -> Policy:
    match: dict[str, Any] = {"directory": "okta"}
    if groups:
        match["groups"] = {"any-of": list(groups)}
    binding = {"name": "staff", "match": match, "account": "GRID", "role": role}
    return read_policy({"version": 1, "bindings": [binding]})


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    made = Office(database_url)
    yield made
    made.database.close()


def put(office: Office, wanted: Policy, **more: Any) -> None:
    office.authority.perform(set_policy, policies.as_act(wanted, None, **more), ADA)


def logged_in(office: Office, unit: Unit, *people: Identity) -> None:
    given = [
        Login(
            session(number, identity=who.digest(), subject=who.subject, started_at=office.now),
            who,
            f"J{number}",
            "0" * 64,
        )
        for number, who in enumerate(people)
    ]
    write_granted(unit, office.operator_id, given, office.now)


def test_what_is_stored_is_what_was_read(office: Office, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(json.dumps(json.loads(policies.body_of(policy("staff", "lab")))))
    put(office, policies.policy_file(path))
    with office.database.reading() as unit:
        assert policies.stored_policy(unit, None) == (1, policy("staff", "lab"))


def test_a_file_that_is_no_policy_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("version: 1\nbindings:\n- name: x\n  match: {}\n  account: GRID\n  role: reader\n")
    with pytest.raises(PolicyError, match="/bindings/0/match"):
        policies.policy_file(path)


def test_the_linter_knows_the_accounts_the_roles_and_how_wide_they_are(office: Office) -> None:
    office.authority.perform(add_account, AddAccount("LAB"), ADA)
    for role, change in (
        ("reader", PermissionChange(allow_pub=("grid.{{tag(site)}}",), allow_sub=("grid.>",))),
        ("all", PermissionChange()),
    ):
        office.now += 5
        office.authority.perform(edit_role, EditRole("GRID", role, "generate", permissions=change), ADA)
    with office.database.reading() as unit:
        world = policies.known_world(unit, None)
    assert world.accounts is not None
    assert set(world.accounts) == {"GRID", "LAB", "SYS"}
    assert world.accounts["GRID"]["reader"].tags == {"site"}
    assert world.wide_roles == {Holding("GRID", "all")}
    codes = {finding.code for finding in lint(policy("staff", role="writer"), world=world)}
    assert Code.ROLE_UNKNOWN in codes


def test_why_somebody_is_let_in_and_kept_out_all_the_same(office: Office) -> None:
    office.authority.perform(edit_role, EditRole("GRID", "reader", "generate"), ADA)
    put(office, policy("staff"))
    denial = Denial(target=Target.IDENTITY, issuer=ANN.issuer, value="ann", reason="left")
    with office.database.reading() as unit:
        found = policies.explain(unit, None, ANN, now=office.now, connection=Connection())
        assert (found.let_in, found.version) == (True, 1)
        assert isinstance(found.decision, Granted)
        refused = policies.explain(unit, None, BEN, now=office.now, connection=Connection())
        assert not refused.let_in
    with office.database.writing() as unit:
        grants.add_denial(unit, office.operator_id, denial, office.now)
        office.told(unit)
    with office.database.reading() as unit:
        found = policies.explain(unit, None, ANN, now=office.now, connection=Connection())
    assert not found.let_in
    assert [each.reason for each in found.denials] == ["left"]
    plain = policies.plain_explanation(found)
    assert json.loads(json.dumps(plain))["denials"] == [found.denials[0].id]


def test_what_the_token_would_allow_with_the_values_in_it(office: Office) -> None:
    reader = EditRole(
        "GRID",
        "reader",
        "generate",
        permissions=PermissionChange(allow_pub=("grid.{{tag(site)}}",), allow_sub=("own.{{subject()}}",)),
    )
    office.authority.perform(edit_role, reader, ADA)
    binding = {
        "name": "staff",
        "match": {"directory": "okta"},
        "account": "GRID",
        "role": "reader",
        "values": {"site": {"text": "north"}},
    }
    put(office, read_policy({"version": 1, "bindings": [binding]}))
    with office.database.reading() as unit:
        found = policies.explain(unit, None, ANN, now=office.now, connection=Connection())
    assert found.permissions is not None
    assert (found.permissions.pub.allow, found.permissions.sub.allow) == (("grid.north",), ("own.U…",))


@pytest.mark.parametrize(
    ("account", "role", "words"), [("GRID", "gone", "no role 'gone'"), ("ELSEWHERE", "reader", "no account")]
)
def test_a_policy_may_grant_what_there_is_not(office: Office, account: str, role: str, words: str) -> None:
    binding = {"name": "staff", "match": {"directory": "okta"}, "account": account, "role": role}
    put(office, read_policy({"version": 1, "bindings": [binding]}))
    with office.database.reading() as unit:
        found = policies.explain(unit, None, ANN, now=office.now, connection=Connection())
    assert isinstance(found.decision, Granted)
    assert not found.let_in
    assert found.obstacle is not None
    assert words in str(found.obstacle)
    assert policies.plain_explanation(found)["code"] == "policy.no-role"


def test_the_newest_login_counts_an_open_one_before_one_that_is_over(office: Office) -> None:
    lab = replace(ANN, groups=("lab",))
    with office.database.writing() as unit:
        logged_in(office, unit, ANN, lab)
    with office.database.reading() as unit:
        assert policies.recorded_identity(unit, None, ANN.issuer, "ann").identity == lab
        first, second = (each.id for each in grants.open_sessions(unit, office.operator_id))
        assert policies.session_identity(unit, None, first).identity == ANN
        assert policies.remembered_identity(unit, None, lab.digest()) == lab
        for missing in (
            lambda: policies.session_identity(unit, None, 999),
            lambda: policies.remembered_identity(unit, None, "0" * 32),
        ):
            with pytest.raises(NotFound):
                missing()
    for ended, found in ((second, ANN), (first, lab)):
        with office.database.noting() as unit:
            grants.end_sessions(unit, [ended], now=office.now, reason="Client Closed")
        with office.database.reading() as unit:
            assert policies.recorded_identity(unit, None, ANN.issuer, "ann").identity == found


def test_who_is_connected_is_known_as_he_came(office: Office) -> None:
    with office.database.writing() as unit:
        logged_in(office, unit, ANN)
    with office.database.reading() as unit:
        login = policies.recorded_identity(unit, None, ANN.issuer, "ann")
        assert login.identity == ANN
        with pytest.raises(NotFound, match="no session of ben"):
            policies.recorded_identity(unit, None, ANN.issuer, "ben")


def test_what_another_policy_would_have_done_to_those_who_came(office: Office) -> None:
    put(office, policy("staff"))
    away = Refused("policy.no-binding", "no", "N1", 1, "192.0.2.1", identity=BEN)
    with office.database.writing() as unit:
        logged_in(office, unit, *[ANN] * 3)
        write_refused(unit, office.operator_id, [away] * 2, office.now)
    with office.database.reading() as unit:
        same = policies.what_if(unit, None, policy("staff"), since=0)
        assert (same.logins, same.same) == (5, 5)
        wider = policies.what_if(unit, None, policy(), since=0)
        assert wider.changes[Change.GAINED].count == 2
        narrower = policies.what_if(unit, None, policy("lab"), since=0)
        assert narrower.changes[Change.LOST].count == 3
        assert [sample.name for sample in narrower.changes[Change.LOST].samples] == ["Ann"]
        assert policies.what_if(unit, None, policy("lab"), since=office.now + 1).logins == 0


def test_more_logins_than_are_looked_at_at_once(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "_AT_ONCE", 4)
    put(office, policy("staff"))
    with office.database.writing() as unit:
        logged_in(office, unit, *[ANN, BEN] * 9)
    with office.database.reading() as unit:
        found = policies.what_if(unit, None, policy(), since=0)
    assert (found.logins, found.changes[Change.GAINED].count) == (18, 9)
