"""Files of events: whole or not there, gone on with where they were left, with proofs that hold."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from issuer.audit import log
from issuer.audit.catalogue import EventCode
from issuer.audit.checkpoint import parse_checkpoint
from issuer.audit.exporting import OtherExport, Wanted
from issuer.audit.log import Event
from issuer.audit.note import parse_note
from issuer.audit.tree import leaf_hash, verify_inclusion
from issuer.authority.desk import Actor, Authority
from issuer.authority.opening import create_store, open_authority
from issuer.authority.taking_out import ExportEvents, export_events
from issuer.errors import AlreadyExists, NotFound, PeerError
from issuer.settings import load
from issuer.store.unit import Log

NOW = 1_700_000_000
YEAR = 31_622_400
ADA = Actor("ada")


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    settings = load({"data_dir": str(tmp_path / "data")}, {})
    database = create_store(settings, {}, actor=ADA, now=NOW)
    clock = [NOW + 3 * YEAR]
    yield open_authority(settings, {}, clock=lambda: clock[0], database=database)
    database.close()


def write(authority: Authority, count: int, at: int = NOW, name: Log = Log.ADMIN) -> None:
    made = [
        Event(
            EventCode.LOGIN_REFUSED if each % 3 else EventCode.ACT_REFUSED,
            "cli:eve" if each % 2 else "callout",
            target=f"T{each % 5}",
            outcome="refused",
            detail={"message": f"{each}"},
        )
        for each in range(count)
    ]
    with authority.database.writing(name) as unit:
        log.append_many(unit, made, at)


def export(
    authority: Authority, path: Path, form: str = "jsonl", wanted: Wanted | None = None, **more: object
) -> list[str]:
    act = ExportEvents(wanted or Wanted(), form, path, **more)  # type: ignore[arg-type]
    export_events(authority, act, ADA)
    return path.read_text("utf-8").splitlines()


def test_every_event_is_there_byte_for_byte(authority: Authority, tmp_path: Path) -> None:
    write(authority, 5000)
    lines = export(authority, tmp_path / "all.jsonl")
    with authority.database.reading() as unit:
        texts = [entry.text for entry in log.read(unit)]
    assert lines == texts
    assert json.loads(lines[-1])["code"] == "audit.exported"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.jsonl", "data"]
    assert (tmp_path / "all.jsonl").stat().st_mode & 0o777 == 0o600


def test_proofs_hold_over_years(authority: Authority, tmp_path: Path) -> None:
    write(authority, 700)
    write(authority, 600, NOW + YEAR)
    lines = export(authority, tmp_path / "e.jsonl", proofs=tmp_path / "e.proofs")
    trees, count = {}, 0
    current = None
    for line in (tmp_path / "e.proofs").read_text().splitlines():
        row = json.loads(line)
        if "checkpoint" in row:
            current = parse_checkpoint(parse_note(row["checkpoint"]).text)
            trees[row["year"]] = current.size
            continue
        assert current is not None
        body = lines[count].encode()
        assert json.loads(body)["seq"] == row["seq"]
        path = [base64.b64decode(step) for step in row["path"]]
        verify_inclusion(leaf_hash(body), row["index"], current.size, path, current.root)
        count += 1
    assert count == len(lines)
    assert list(trees) == [2023, 2024, 2026]


@pytest.mark.parametrize(
    ("filters", "fits"),
    [
        ({"code": "act.refused"}, lambda event: event["code"] == "act.refused"),
        ({"target": "T3"}, lambda event: event.get("target") == "T3"),
        ({"outcome": "refused"}, lambda event: event["outcome"] == "refused"),
        ({"since": NOW + 10}, lambda event: event["at"] >= NOW + 10),
        ({"until": NOW + 10}, lambda event: event["at"] < NOW + 10),
        ({"since": NOW + 10, "until": NOW + 11, "code": "login.refused"},
         lambda event: event["at"] == NOW + 10 and event["code"] == "login.refused"),
    ],
    ids=["code", "target", "outcome", "since", "until", "all of it"],
)  # fmt: skip
def test_filters(authority: Authority, tmp_path: Path, filters: dict, fits) -> None:
    for second in (0, 10, 20):
        write(authority, 40, NOW + second)
    every = [json.loads(line) for line in export(authority, tmp_path / "all")]
    found = [json.loads(line) for line in export(authority, tmp_path / "some", wanted=Wanted(**filters))]
    # The second export is an event itself.
    assert [event for event in found if event["seq"] <= len(every)] == list(filter(fits, every))


def test_by_actor_in_clear(authority: Authority, tmp_path: Path) -> None:
    write(authority, 20)
    lines = export(authority, tmp_path / "e.csv", "csv", Wanted(actor="cli:eve"))
    assert len(lines) == 11
    assert all("cli:eve" in line for line in lines[1:])


def test_the_other_log(authority: Authority, tmp_path: Path) -> None:
    write(authority, 7, name=Log.SERVERS)
    lines = export(authority, tmp_path / "e.jsonl", wanted=Wanted(log=Log.SERVERS), proofs=tmp_path / "p")
    assert len(lines) == 7


def test_nothing_fits(authority: Authority, tmp_path: Path) -> None:
    assert export(authority, tmp_path / "e", wanted=Wanted(code="key.removed")) == []
    assert len(export(authority, tmp_path / "e.csv", "csv", Wanted(code="key.removed"))) == 1


def test_what_is_refused(authority: Authority, tmp_path: Path) -> None:
    export(authority, tmp_path / "e")
    with pytest.raises(AlreadyExists):
        export(authority, tmp_path / "e")
    export(authority, tmp_path / "e", force=True)
    with pytest.raises(NotFound, match="nothing of it was begun"):
        export(authority, tmp_path / "f", resume=True)
    with pytest.raises(PeerError, match="no format"):
        export(authority, tmp_path / "f", "xml")
    with pytest.raises(PeerError, match="they go with jsonl"):
        export(authority, tmp_path / "f", "csv", proofs=tmp_path / "p")
    assert not list(tmp_path.glob("f*"))


DRIVER = """
import sys, time
from pathlib import Path
from issuer.audit import exporting
from issuer.authority.desk import Actor
from issuer.authority.opening import open_authority
from issuer.authority.taking_out import ExportEvents, export_events
from issuer.settings import load
from issuer.store.unit import Database

exporting._BATCH = 50
folder, resume = Path(sys.argv[1]), sys.argv[2] == "resume"
settings = load({"data_dir": str(folder / "data")}, {})
authority = open_authority(settings, {}, clock=lambda: %d, database=Database.open(settings.database))
act = ExportEvents(exporting.Wanted(until=%d), "jsonl", folder / "e.jsonl", folder / "e.proofs", resume=resume)

def slowly(seq):
    print(seq, flush=True)
    time.sleep(0.005)

export_events(authority, act, Actor("ada"), progress=slowly)
"""


def test_killed_at_any_moment_it_is_gone_on_with_to_the_same_end(
    authority: Authority, tmp_path: Path
) -> None:
    write(authority, 900)
    write(authority, 900, NOW + YEAR)
    until = NOW + YEAR + 5
    whole = ExportEvents(Wanted(until=until), "jsonl", tmp_path / "whole", tmp_path / "whole.proofs")
    export_events(authority, whole, ADA)
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER % (NOW + 3 * YEAR, until))
    kills, how = 0, "begin"
    while not (tmp_path / "e.jsonl").exists():
        process = subprocess.Popen(
            [sys.executable, str(driver), str(tmp_path), how],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.004 * (kills % 5))
        process.send_signal(signal.SIGKILL)
        process.stdout.close()
        process.wait()
        kills, how = kills + 1, "resume"
        assert kills < 200
    assert kills > 3
    assert (tmp_path / "e.jsonl").read_bytes() == (tmp_path / "whole").read_bytes()
    assert (tmp_path / "e.proofs").read_bytes() == (tmp_path / "whole.proofs").read_bytes()
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob("*.state"))


def test_what_was_begun_otherwise_is_not_gone_on_with(authority: Authority, tmp_path: Path) -> None:
    write(authority, 10)
    (tmp_path / "e.state").write_bytes(b'{"asked":"other","last":5}')
    with pytest.raises(AlreadyExists, match="was interrupted"):
        export(authority, tmp_path / "e")
    with pytest.raises(OtherExport, match="asked for otherwise"):
        export(authority, tmp_path / "e", resume=True)
    (tmp_path / "e.state").write_bytes(b"nonsense")
    with pytest.raises(OtherExport, match="cannot be read"):
        export(authority, tmp_path / "e", resume=True)
    assert len(export(authority, tmp_path / "e", force=True)) > 10
