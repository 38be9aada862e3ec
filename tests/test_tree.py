"""What holds for the whole tree, whoever wrote the file."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib

import pytest

from tests.components import ROOT

# Files others made, or that are data.
NOT_OURS = {"LICENSE", "tests/peers/node/package-lock.json", "tests/peers/go/go.sum"}


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git clone")
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_the_lock_file_names_no_registry() -> None:
    # So that the registry a machine is configured with is the one that is asked.
    lock = json.loads((ROOT / "tests/peers/node/package-lock.json").read_text("utf-8"))
    assert [name for name, entry in lock["packages"].items() if "resolved" in entry] == []


# An auditor reads, and runs, one file.
LONG = {"issuer/audit/evidence/verify.py"}


def test_no_module_is_longer_than_500_lines() -> None:
    lengths = {
        name: len((ROOT / name).read_text("utf-8").splitlines())
        for name in tracked()
        if name.endswith(".py") and not name.startswith("migrations/") and name not in LONG
    }
    assert {name: length for name, length in lengths.items() if length > 500} == {}


def test_no_file_holds_a_private_key_outside_the_vectors() -> None:
    # A seed of a generated key; those of the vectors and the examples in tests are made from known bytes.
    seed = re.compile(r"\bS[OAUNCX][A-Z2-7]{56}\b")
    found = [
        name
        for name in tracked()
        if not name.startswith("tests/")
        and name not in NOT_OURS
        and seed.search((ROOT / name).read_text("utf-8", errors="replace"))
    ]
    assert found == []


def test_the_wheel_holds_our_four_packages_and_nothing_else() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["issuer", "callout", "broker", "web"]
    assert wheel["force-include"] == {"migrations": "issuer/migrations"}
