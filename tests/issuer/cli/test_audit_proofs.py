"""Checkpoints, proofs and forgetting, from the command line."""

from __future__ import annotations

import base64
import json

from issuer.audit.checkpoint import parse_checkpoint
from issuer.audit.note import parse_note
from issuer.audit.tree import leaf_hash, verify_inclusion
from tests.issuer.cli.conftest import Run


def test_a_checkpoint_to_keep(acme: Run) -> None:
    ran = acme("audit", "checkpoint")
    checkpoint = parse_checkpoint(parse_note(ran.out).text)
    verified = acme("audit", "verify", "--json").json
    assert (verified["sound"], verified["events"]) == (True, checkpoint.size)
    assert verified["logs"]["servers"] == {"events": 0, "checkpoints": 0, "head": "0" * 64}
    (told,) = acme("audit", "checkpoint", "--json").json
    assert (told["log"], told["note"], told["root"]) == ("admin", ran.out, checkpoint.root.hex())
    assert acme("audit", "checkpoint", "--log", "servers").out == ""


def test_one_event_is_proved(acme: Run) -> None:
    acme("add", "account", "more")
    for seq in (1, 4, 9):
        lines = acme("audit", "prove", str(seq)).out.split("\n")
        assert lines[0] == "c2sp.org/tlog-proof@v1"
        body = base64.b64decode(lines[1].removeprefix("extra "))
        assert json.loads(body)["seq"] == seq
        index, gap = int(lines[2].removeprefix("index ")), lines.index("")
        path = [base64.b64decode(line) for line in lines[3:gap]]
        checkpoint = parse_checkpoint(parse_note("\n".join(lines[gap + 1 :])).text)
        verify_inclusion(leaf_hash(body), index, checkpoint.size, path, checkpoint.root)
    assert acme("audit", "prove", "999").code == 3
    told = acme("audit", "prove", "3", "--json").json
    assert (told["seq"], told["index"], json.loads(told["body"])["seq"]) == (3, 2, 3)


def test_a_person_is_forgotten(acme: Run) -> None:
    acme("add", "account", "more", "--reason", "asked for by grace hopper")
    assert "grace hopper" in str(acme("audit", "list", "--json").json)
    assert acme("audit", "erase", "asked for by grace hopper").code == 4
    assert acme("audit", "erase", "asked for by grace hopper", "-F").code == 0
    listed = acme("audit", "list", "--json").json
    assert "grace hopper" not in str(listed)
    assert listed[0]["code"] == "person.erased"
    assert acme("audit", "verify").code == 0
    assert acme("audit", "erase", "asked for by grace hopper", "-F").code == 3
