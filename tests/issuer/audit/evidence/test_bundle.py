"""A bundle holds, by the program that is in it, on Python alone; whatever period and scope it is of."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from issuer.audit.evidence import verify
from issuer.authority.accounts import AddAccount, add_account
from issuer.authority.evidencing import MakeEvidence, make_evidence
from issuer.errors import AlreadyExists, NotFound, PeerError
from issuer.store import persons
from issuer.store.unit import Log
from tests.issuer.audit.evidence.conftest import ADA, BEGIN, DAY, House, Parts, checked, log_key
from tests.issuer.audit.evidence.history import found, go_on

YEAR = 366 * DAY


def lines(path: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in Parts.of(path).files[name].splitlines()]


def events(path: Path) -> list[dict]:
    names = sorted(
        name for name in Parts.of(path).files if name.endswith("events.jsonl") and "/admin/" in name
    )
    return [event for name in names for event in lines(path, name)]


def holds(path: Path, **options: object) -> dict:
    report = checked(path, **options)
    assert (report["status"], report["fault"]) == (0, ""), report
    return report


def test_a_bundle_verifies_on_bare_python(house: House) -> None:
    found(house)
    go_on(house)
    path = house.bundle()
    with zipfile.ZipFile(path) as file:
        file.extract("verify.py", house.folder)
    # -I and -S: no environment, no user's and no installed packages.
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "verify.py", str(path)],
        cwd=house.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[-1] == "all of it holds"
    assert "verified by here" in ran.stdout


def test_the_program_is_of_python_3_9_and_its_standard_library() -> None:
    source = Path(str(verify.__file__)).read_text("utf-8")
    tree = ast.parse(source, feature_version=(3, 9))
    used = {
        alias.name.partition(".")[0]
        for each in ast.walk(tree)
        if isinstance(each, ast.Import)
        for alias in each.names
    }
    used |= {
        str(each.module).partition(".")[0] for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)
    }
    assert used <= {*sys.stdlib_module_names, "nacl", "cryptography"}
    # Annotations are not run; aliases and defaults are, so no `|` between types outside of them.
    assert "match " not in source


def test_what_is_in_it(house: House) -> None:
    found(house)
    go_on(house)
    path = house.bundle()
    assert path.stat().st_mode & 0o777 == 0o600
    report = holds(path, log_key=log_key(house.log_seed()))
    assert report["steps"][3]["found"] == f"{len(events(path))} events, each in its place"
    assert [event["seq"] for event in events(path)] == list(range(1, len(events(path)) + 1))
    tokens = {row["key"]: row for row in lines(path, "tokens.jsonl")}
    with house.database.reading() as unit:
        names = {
            line["target"]: line["detail"]["name"] for line in events(path) if line["code"] == "user.issued"
        }
        assert unit.log_head(Log.SERVERS).seq == 0
    state = {names.get(row["key"], row["key"][0]): row for row in lines(path, "state.last.jsonl")}
    assert {"pump", "door", "clerk", "gone-role", "m1"} <= state.keys()
    assert not {"m2", "guest"} & state.keys()
    by_name = {names.get(key, key): row for key, row in tokens.items()}
    assert by_name["door"]["token"] is None
    assert by_name["gone-role"]["counts"] is False
    assert by_name["pump"]["counts"] is True
    assert report["notes"] == [
        "the operator's key is the bundle's own, too",
        "1 bearer tokens are left out: they would let their finder in",
        "1 tokens count no longer: the key that signed them was taken away",
    ]
    told = {row["value"] for row in lines(path, "people.jsonl")}
    assert {"ada", "linus", "192.0.2.1", "wanted by grace"} <= told
    controls = json.loads(Parts.of(path).files["controls.json"])
    assert {name for control in controls["controls"] for name in control["files"]} <= {
        *Parts.of(path).files,
        "log/admin",
        "log/servers",
    }


def test_reports_are_read_by_people(house: House) -> None:
    found(house)
    go_on(house)
    files = Parts.of(house.bundle()).files
    taken = files["reports/taken.html"].decode()
    assert "lost &lt;b&gt;&amp;" in taken
    assert "cli:ada" in taken
    assert "not proved in this period" in taken
    assert "linus" in files["reports/refused.html"].decode()
    for name, data in files.items():
        if name.endswith(".html"):
            assert b"<script" not in data
            assert data.startswith(b"<!doctype html>")
            assert data.endswith(b"</html>\n")


def test_a_period_within(house: House) -> None:
    found(house)
    house.clock[0] = BEGIN + DAY
    go_on(house)
    house.clock[0] = BEGIN + 2 * DAY
    house.do(add_account, AddAccount("LATER"))
    path = house.bundle(since=BEGIN + DAY, until=BEGIN + 2 * DAY)
    holds(path)
    parts = Parts.of(path).files
    assert {"log/admin/2023/checkpoint.first", "log/admin/2023/consistency.txt"} <= parts.keys()
    manifest = json.loads(parts["manifest.json"])["logs"]["admin"]
    within = [event for event in events(path) if event["seq"] >= manifest["first_seq"]]
    assert len(within) == manifest["last_seq"] - manifest["first_seq"] + 1
    assert {BEGIN + DAY <= event["at"] < BEGIN + 2 * DAY for event in within} == {True}
    # Those before it prove where the first state has its tokens from.
    assert len(events(path)) > len(within)
    assert "LATER" not in str(events(path))
    assert lines(path, "state.first.jsonl") != lines(path, "state.last.jsonl")


def test_nothing_happened_in_it(house: House) -> None:
    found(house)
    path = house.bundle(since=BEGIN - 2 * DAY, until=BEGIN - DAY)
    holds(path)
    assert lines(path, "state.last.jsonl") == []
    path = house.bundle(since=BEGIN + 20 * DAY, until=BEGIN + 21 * DAY)
    holds(path)
    assert lines(path, "state.first.jsonl") == lines(path, "state.last.jsonl") != []


def test_of_one_account_only(house: House) -> None:
    found(house)
    house.clock[0] = BEGIN + DAY
    go_on(house)
    path = house.bundle(since=BEGIN + DAY, account="BILLING")
    holds(path)
    text = b"".join(Parts.of(path).files.values()).decode()
    assert "pump" not in text
    assert "clerk" in text
    kinds = {row["key"][0] for row in lines(path, "state.last.jsonl")}
    assert kinds == {"O", "A", "U"}
    assert len(Parts.of(path).files["log/admin/2023/proof.txt"].splitlines()) > 3


def test_over_the_turn_of_years(house: House) -> None:
    found(house)
    house.clock[0] = BEGIN + YEAR
    house.do(add_account, AddAccount("NEXT"))
    house.clock[0] = BEGIN + 2 * YEAR
    go_on(house)
    for since in (0, BEGIN + YEAR - DAY, BEGIN + 2 * YEAR - DAY):
        path = house.bundle(since=since)
        holds(path)
        years = {name.split("/")[2] for name in Parts.of(path).files if name.startswith("log/")}
        assert years == {"2023", "2024", "2025"}


def test_without_people(house: House) -> None:
    found(house)
    go_on(house)
    path = house.bundle(people=False)
    holds(path)
    told = b"".join(data for name, data in Parts.of(path).files.items() if name != "verify.py")
    for word in (b"cli:ada", b"linus", b"192.0.2.1", b"wanted by grace"):
        assert word not in told


def test_who_was_erased_is_not_told_and_the_bundle_holds(house: House) -> None:
    found(house)
    go_on(house)
    with house.database.writing() as unit:
        stood = persons.erase(unit, "linus")
        from issuer.audit.catalogue import EventCode
        from issuer.audit.log import Event, append

        append(
            unit, Event(EventCode.PERSON_ERASED, "test", detail={"commitment": stood or ""}), house.clock[0]
        )
    path = house.bundle()
    holds(path)
    assert b"linus" not in b"".join(Parts.of(path).files.values())
    assert stood in {event["detail"].get("subject") for event in events(path) if "detail" in event}


def test_the_same_evidence_is_the_same_file(house: House) -> None:
    found(house)
    until = BEGIN + DAY
    house.clock[0] = until
    one, other = house.bundle("1.zip", until=until), house.bundle("2.zip", until=until)
    parts, others = Parts.of(one).files, Parts.of(other).files
    different = {name for name in parts if parts[name] != others[name]}
    assert different <= {"manifest.json", "manifest.note", "reports/index.html"}


def test_what_is_refused(house: House) -> None:
    found(house)
    path = house.bundle()
    with pytest.raises(AlreadyExists):
        make_evidence(house.authority, MakeEvidence(path, 0, 1, "soc2"), ADA)
    with pytest.raises(PeerError, match="before it begins"):
        make_evidence(house.authority, MakeEvidence(house.folder / "x.zip", 1, 1, "soc2"), ADA)
    for more in ({"framework": "none"}, {"account": "NOBODY", "framework": "soc2"}):
        with pytest.raises(NotFound):
            make_evidence(house.authority, MakeEvidence(house.folder / "x.zip", 0, 1, **more), ADA)
    assert [each.name for each in house.folder.glob("*x.zip*")] == []


def test_making_it_is_itself_recorded(house: House) -> None:
    found(house)
    house.bundle(account="METERS")
    path = house.bundle()
    (made, again) = [event for event in events(path) if event["code"] == "evidence.made"]
    assert made["detail"]["scope"].startswith("account:A")
    assert again["detail"]["scope"] == "all"
