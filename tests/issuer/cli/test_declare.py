"""A file that says what shall be: shown, made so, made so again, taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.issuer.cli.conftest import Run

TEXT = """\
version: 1
operator: {name: acme}
accounts:
  TEAM:
    users:
      ann: {allow-pub: [a.>]}
      bob: {}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "org.yaml"
    path.write_text(TEXT)
    return path


def names(run: Run) -> list[str]:
    return [row["name"] for row in run("list", "users", "-a", "TEAM", "--json").json]


def test_a_plan_changes_nothing_and_apply_does_what_it_said(acme: Run, file: Path) -> None:
    planned = acme("plan", "-f", str(file))
    assert planned.code == 0
    assert "+ accounts.TEAM.users.ann" in planned.out
    assert planned.out.splitlines()[-1] == "3 to create"
    assert acme("plan", str(file), "--check").code == 7
    assert acme("describe", "account", "TEAM").code == 3
    applied = acme("apply", str(file))
    assert (applied.code, applied.out) == (0, planned.out)
    assert "2 new users" in applied.err
    assert names(acme) == ["ann", "bob"]
    again = acme("apply", "-f", str(file), "--json")
    assert again.json["changes"] == []
    assert acme("plan", str(file), "--check").code == 0


def test_apply_founds_what_is_not_there(run: Run, file: Path) -> None:
    assert run("plan", str(file)).code == 3
    assert run("apply", str(file)).code == 0
    assert run("describe", "operator", "--json").json["name"] == "acme"


def test_deleting_asks_first(acme: Run, file: Path) -> None:
    acme("apply", str(file))
    file.write_text(TEXT.replace("      bob: {}\n", ""))
    assert acme("apply", str(file)).code == 0
    refused = acme("apply", str(file), "--prune", "users")
    assert refused.code == 4
    assert "accounts.TEAM.users.bob" in refused.err
    assert names(acme) == ["ann", "bob"]
    assert acme("apply", str(file), "--prune", "users", "--force").code == 0
    assert names(acme) == ["ann"]
    assert acme("apply", str(file), "--prune", "cats").code == 2


def test_a_plan_that_was_looked_at_is_the_one_applied(acme: Run, file: Path) -> None:
    digest = acme("plan", str(file), "--json").json["digest"]
    acme("add", "account", "TEAM")
    ran = acme("apply", str(file), "--expect", digest)
    assert ran.code == 4
    assert names(acme) == []


def test_the_file_says_which_operator_and_not_what_is_selected(acme: Run, file: Path) -> None:
    acme("add", "operator", "other")
    assert acme("apply", str(file)).code == 0
    assert [row["name"] for row in acme("list", "accounts", "--operator", "other", "--json").json] == []
    assert "TEAM" in [row["name"] for row in acme("list", "accounts", "--operator", "acme", "--json").json]
    assert acme("apply", str(file), "--operator", "other").code == 0
    assert "TEAM" in [row["name"] for row in acme("list", "accounts", "--operator", "other", "--json").json]


def test_what_is_there_goes_out_as_a_file_that_plans_nothing(acme: Run, file: Path, tmp_path: Path) -> None:
    acme("apply", str(file))
    path = tmp_path / "out.yaml"
    assert acme("export", "org", "-o", str(path)).code == 0
    assert acme("plan", str(path), "--check").code == 0
    assert acme("export", "org").out == path.read_text()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("version: 1\nacounts: {}\n", "stdin:2:1"),
        ("version: 1\noperator: {name: acme}\naccounts: [1\n", "stdin:"),
        ("", "stdin"),
        ("version: 1\noperator: {name: acme}\naccounts: {T: {limits: {conns: many}}}\n", "stdin:3:"),
    ],
)
def test_a_fault_has_its_line_and_changes_nothing(acme: Run, text: str, place: str) -> None:
    for verb in ("plan", "apply"):
        ran = acme(verb, "-", stdin=text)
        assert (ran.code, ran.out) == (5, "")
        assert place in ran.err
    assert len(acme("list", "accounts", "--json").json) == 2
