"""Policies from the command line: put in force, taken back, looked at, asked about, and in a declarative file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from issuer.cli.output import Screen
from issuer.cli.workspace import Workspace
from issuer.grants import Identity
from issuer.store import hierarchy
from issuer.store.grants import add_sessions
from issuer.store.identities import keep_identities
from tests.issuer.cli.conftest import Run
from tests.issuer.store.test_grants import session

ISSUER = "https://id.example"
WHO = (ISSUER, "ann")


def write(path: Path, *groups: str, role: str = "reader", **more: Any) -> str:
    binding = {"name": "staff", "match": {"directory": "okta"}, "account": "ACCT", "role": role, **more}
    if groups:
        binding["match"]["groups"] = {"any-of": list(groups)}
    path.write_text(json.dumps({"version": 1, "bindings": [binding]}))
    return str(path)


@pytest.fixture
def desk(acme: Run) -> Run:
    """Account ACCT has a role `reader`."""
    acme(
        "edit", "signing-key", "-a", "ACCT", "--sk", "generate", "--role", "reader",
        "--allow-sub", "grid.>", "--allow-pub", "own.{{tag(site)}}",
    )  # fmt: skip
    return acme


@pytest.fixture
def policy(tmp_path: Path) -> str:
    return write(tmp_path / "policy.yaml", "staff", values={"site": "attributes.site"})


def remembered(desk: Run, data_dir: Path) -> Identity:
    """Somebody who is connected."""
    who = Identity(
        issuer=ISSUER,
        subject="ann",
        name="Ann",
        directory="okta",
        groups=("staff",),
        attributes={"site": "north"},
    )
    workspace = Workspace({"data_dir": str(data_dir)}, Screen(quiet=True))
    with workspace.database.noting() as unit:
        (operator,) = hierarchy.operators(unit)
        keep_identities(unit, operator.id, [who], workspace.now)
        add_sessions(
            unit,
            operator.id,
            [session(1, identity=who.digest(), issuer=ISSUER, subject="ann", started_at=workspace.now)],
        )
    workspace.close()
    return who


def test_set_show_history_rollback(desk: Run, policy: str, tmp_path: Path) -> None:
    assert desk("callout", "policy", "show").code == 3
    tried = desk("callout", "policy", "set", policy, "--dry-run", "--json")
    assert (tried.code, tried.json["changed"]) == (0, False)
    assert desk("callout", "policy", "show").code == 3
    assert desk("callout", "policy", "set", policy, "--json").json["version"] == 1
    assert desk("callout", "policy", "set", policy, "--json").json["changed"] is False
    other = write(tmp_path / "other.yaml", "lab")
    assert desk("callout", "policy", "set", other, "--expect", "0").code == 4
    assert desk("callout", "policy", "set", other, "--expect", "1", "--json").json["version"] == 2
    assert [row["version"] for row in desk("callout", "policy", "history", "--json").json] == [2, 1]
    assert desk("callout", "policy", "rollback", "1", "--json").json["version"] == 3
    assert desk("callout", "policy", "rollback", "9").code == 3
    # What is shown is a file that changes nothing.
    shown = tmp_path / "shown.yaml"
    shown.write_text(desk("callout", "policy", "show").out)
    assert desk("callout", "policy", "set", str(shown), "--json").json["changed"] is False
    events = desk("audit", "list", "--code", "policy.changed", "--json").json
    assert [event["detail"].get("restores") for event in events if event["detail"]["version"] == 3] == [1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version: 1\nversion: 1\nbindings: []\n", "written twice"),
        ("version: 1\nbindings: []\nx: SU" + "A" * 56, "holds a seed"),
        ("version: 1\nbindings: [{}]\n", "/bindings/0"),
        ("[", ""),
    ],
)
def test_a_file_that_is_none_is_refused(desk: Run, tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    for verb in (("policy", "set"), ("lint",), ("what-if",)):
        ran = desk("callout", *verb, str(path))
        assert ran.code == 5
        assert words in ran.err
        assert "SUAAAA" not in ran.err
    assert desk("callout", "policy", "show").code == 3


def test_lint(desk: Run, policy: str, tmp_path: Path) -> None:
    assert desk("callout", "lint", policy).code == 0
    bad = write(tmp_path / "bad.yaml", "staff", role="writer")
    ran = desk("callout", "lint", bad, "--json")
    assert ran.code == 7
    assert [each["code"] for each in ran.json if each["level"] == "error"] == ["unknown.role"]
    callout = tmp_path / "callout.yaml"
    callout.write_text("directories:\n- {name: devices, kind: nkeys, entries: []}\n")
    ran = desk("callout", "lint", policy, "--callout", str(callout), "--json")
    assert "unknown.directory" in [each["code"] for each in ran.json]


def test_explain_somebody_described(desk: Run, policy: str) -> None:
    desk("callout", "policy", "set", policy)
    described = (*WHO, "--directory", "okta", "-g", "staff", "--attribute", "site=north")
    ran = desk("callout", "explain", *described)
    assert ran.code == 0
    assert "own.north" in ran.out
    assert "granted: ACCT reader by staff" in ran.err
    told = desk("callout", "explain", *described, "--json").json
    assert (told["let_in"], told["account"], told["roles"]) == (True, "ACCT", ["reader"])
    assert told["permissions"]["pub"]["allow"] == ["own.north"]
    assert desk("callout", "explain", *WHO, "--directory", "okta", "--json").json["let_in"] is False
    # The binding passes the site on, and who has none is given nothing.
    ran = desk("callout", "explain", *WHO, "--directory", "okta", "-g", "staff")
    assert ran.code == 7
    assert "attributes.site" in ran.err


def test_explain_somebody_recorded(desk: Run, policy: str, data_dir: Path, tmp_path: Path) -> None:
    desk("callout", "policy", "set", policy)
    who = remembered(desk, data_dir)
    (row,) = desk("sessions", "--json").json
    for way in (WHO, ("--session", str(row["id"])), ("--identity", who.digest())):
        told = desk("callout", "explain", *way, "--json")
        assert (told.code, told.json["subject"]) == (0, "ann")
    other = write(tmp_path / "other.yaml", "lab")
    assert desk("callout", "explain", *WHO, "--policy", other).code == 7
    assert desk("callout", "explain", ISSUER, "ben").code == 3
    assert desk("callout", "explain", "--session", "99").code == 3


@pytest.mark.parametrize(
    "words",
    [
        (),
        (ISSUER,),
        (*WHO, "--session", "1"),
        ("--session", "1", "--identity", "x"),
        ("--session", "1", "--directory", "okta"),
        (*WHO, "-g", "staff"),
        (*WHO, "--directory", "okta", "--attribute", "site"),
        (*WHO, "--directory", "okta", "--attribute", "a=1", "--attribute", "a=2"),
        (*WHO, "--directory", "okta", "--authenticated", "yesterday"),
    ],
)
def test_explain_says_what_it_was_not_told(desk: Run, words: tuple[str, ...]) -> None:
    assert desk("callout", "explain", *words).code == 2


def test_what_if(desk: Run, policy: str, data_dir: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other.yaml", "lab")
    assert desk("callout", "what-if", other).code == 3
    desk("callout", "policy", "set", policy)
    remembered(desk, data_dir)
    assert desk("callout", "what-if", policy).code == 0
    ran = desk("callout", "what-if", other, "--json")
    assert (ran.code, ran.json["logins"]) == (7, 1)
    assert ran.json["changes"]["granted-to-refused"]["count"] == 1
    assert "granted-to-refused" in desk("callout", "what-if", other, "--since", "1h").out
    assert desk("callout", "what-if", other, "--since", "soon").code == 2


# In the declarative file

ORG = """\
operator: {name: acme}
accounts: {ACCT: {}}
"""


def test_a_policy_goes_in_force_by_apply(desk: Run, policy: str, tmp_path: Path) -> None:
    org = tmp_path / "org.yaml"
    org.write_text(f"{ORG}policy-file: policy.yaml\n")
    planned = desk("plan", str(org))
    assert planned.code == 0
    assert planned.out.splitlines() == [
        "+ policy",
        "    version: 1",
        "+ policy.bindings.staff",
        "    account: ACCT",
        "    match.directory.equals: okta",
        "    match.groups.any-of: [staff]",
        "    role: reader",
        "    values.site: attributes.site",
        "2 to create",
    ]
    assert desk("apply", str(org)).out == planned.out
    assert desk("plan", str(org), "--check").code == 0
    # The same, as `set` has it: nothing changes.
    assert desk("callout", "policy", "set", policy, "--json").json["changed"] is False
    inline = tmp_path / "inline.yaml"
    inline.write_text(f"{ORG}policy: {Path(policy).read_text()}\n")
    assert desk("plan", str(inline), "--check").code == 0
    out = tmp_path / "out.yaml"
    assert desk("export", "org", "-o", str(out)).code == 0
    assert desk("plan", str(out), "--check").code == 0


def test_a_binding_that_goes_is_asked_about(desk: Run, policy: str, tmp_path: Path) -> None:
    desk("callout", "policy", "set", policy)
    org = tmp_path / "org.yaml"
    org.write_text(f"{ORG}policy: {{version: 1, bindings: []}}\n")
    refused = desk("apply", str(org))
    assert refused.code == 4
    assert "delete policy.bindings.staff" in refused.err
    assert desk("apply", str(org), "--force").code == 0
    assert desk("callout", "policy", "show", "--json").json["policy"]["bindings"] == []


def test_a_fault_of_a_policy_has_its_place_in_the_file(desk: Run, tmp_path: Path) -> None:
    org = tmp_path / "org.yaml"
    org.write_text(
        ORG
        + "policy:\n  version: 1\n  bindings:\n  - name: staff\n    match: {}\n    account: A\n    role: r\n"
    )
    ran = desk("apply", str(org))
    assert ran.code == 5
    assert "org.yaml:7:12: policy.bindings[0].match" in ran.err
    org.write_text(f"{ORG}policy-file: none.yaml\n")
    assert desk("apply", str(org)).code == 3
