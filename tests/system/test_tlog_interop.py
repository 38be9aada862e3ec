"""Somebody else's reader of transparency logs accepts ours: golang.org/x/mod/sumdb, unmodified."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from issuer.audit import log
from issuer.audit.catalogue import EventCode
from issuer.audit.checkpoint import parse_checkpoint
from issuer.audit.checkpoints import verifier
from issuer.audit.log import Event
from issuer.audit.note import parse_note
from issuer.audit.proof import Proof, prove
from issuer.audit.tiles import StoredTree
from issuer.audit.tree import consistency_path
from issuer.authority.desk import Actor, Authority
from issuer.authority.logkeeping import sign_logs
from issuer.authority.opening import create_store, open_authority
from issuer.settings import load
from issuer.store import checkpoints
from issuer.store.unit import Database, Log
from tests.components import require

NOW = 1_700_000_000
ADA = Actor("ada")


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    settings = load({"data_dir": str(tmp_path / "data"), "log_origin": "log.example.com/grid"}, {})
    database = create_store(settings, {}, actor=ADA, now=NOW)
    yield open_authority(settings, {}, clock=lambda: NOW, database=database)
    database.close()


def write(database: Database, count: int) -> None:
    events = [Event(EventCode.ACT_REFUSED, "test", detail={"message": f"ö {each}"}) for each in range(count)]
    with database.writing() as unit:
        log.append_many(unit, events, NOW)


def encoded(steps: Any) -> list[str]:
    return [base64.b64encode(step).decode() for step in steps]


def record(proof: Proof) -> dict[str, Any]:
    body = base64.b64encode(proof.body.encode()).decode()
    return {"body": body, "index": proof.index, "path": encoded(proof.path)}


def ask(question: dict[str, Any]) -> tuple[int, str]:
    reader = require("go") / "tlogreader"
    done = subprocess.run(
        [reader], input=json.dumps(question), capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout.strip()


@pytest.fixture
def question(authority: Authority) -> dict[str, Any]:
    """Two checkpoints of a log, some of its events, and the proofs of it all."""
    database = authority.database
    write(database, 300)
    (old,) = sign_logs(authority, ADA)
    write(database, 700)
    (new,) = sign_logs(authority, ADA)
    with database.reading() as unit:
        tree = StoredTree(unit, Log.ADMIN, 2023)
        (key,) = checkpoints.log_keys(unit)
        sizes = [parse_checkpoint(parse_note(each.note).text).size for each in (old, new)]
        proofs = [prove(unit, Log.ADMIN, seq) for seq in (sizes[0] + 1, 777, sizes[1] - 1, sizes[1])]
        return {
            "vkey": str(verifier(key, Log.ADMIN, 2023)),
            "note": new.note,
            "old_note": old.note,
            "consistency": encoded(consistency_path(*sizes, tree.node)),
            "records": [record(each) for each in proofs],
        }


def test_it_accepts_our_notes_and_proofs(question: dict[str, Any]) -> None:
    assert ask(question) == (0, "accepted")


def test_and_it_refuses_what_is_not_ours(question: dict[str, Any]) -> None:
    other = base64.b64encode(b"{}").decode()
    wrong_body = [{**question["records"][0], "body": other}]
    wrong_place = [{**question["records"][0], "index": 5}]
    for changed in (
        {"records": wrong_body},
        {"records": wrong_place},
        {"consistency": question["consistency"][:-1]},
        {"note": question["note"].replace("\n1003\n", "\n1002\n")},
        {"old_note": question["old_note"].replace("\n303\n", "\n302\n")},
    ):
        status, words = ask({**question, **changed})
        assert (status, words == "accepted") == (1, False), changed
