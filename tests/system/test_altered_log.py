"""A service over a log that somebody has altered: it says so, reads on, and writes nothing."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.processes import wait_until

ACCREDIT = str(Path(sys.executable).with_name("accredit"))
SECONDS = 30


def accredit(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ACCREDIT, "-H", str(folder), *words], capture_output=True, text=True, check=False, timeout=SECONDS
    )


def get(url: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize("verb", ["serve", "up"])
def test_it_comes_up_for_reading_only(tmp_path: Path, verb: str) -> None:
    folder, ready = tmp_path / "data", tmp_path / "ready"
    assert accredit(folder, "init", "GRID").returncode == 0
    assert accredit(folder, "audit", "checkpoint").returncode == 0
    with sqlite3.connect(folder / "accredit.db") as connection:
        connection.execute("DROP TRIGGER events_no_update")
        connection.execute("UPDATE events SET body = replace(body, 'GRID', 'GRIT') WHERE body LIKE '%GRID%'")
    connection.close()
    before = json.loads(accredit(folder, "audit", "list", "--limit", "1", "--json").stdout)[0]["seq"]
    words = ("--nats", "nats://127.0.0.1:1") if verb == "serve" else ("--nats-port", "0")
    process = subprocess.Popen(
        [ACCREDIT, verb, "-H", str(folder), "--http-port", "0", "--ready-file", str(ready), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_until(ready.exists, seconds=SECONDS, what="the ready file")
        told = json.loads(ready.read_text())
        wait_until(lambda: get(f"{told['http']}/healthz")[0] == 503, seconds=SECONDS, what="health")
        status, health = get(f"{told['http']}/healthz")
        assert (status, json.loads(health)["audit"]) == (503, "down")
        assert get(f"{told['http']}/jwt/v1/accounts/{told['system_account']}")[0] == 200
    finally:
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=SECONDS)[0]
    assert process.returncode == 0, said
    assert "nothing is written any more" in said
    listed = json.loads(accredit(folder, "audit", "list", "--limit", "1", "--json").stdout)
    assert listed[0]["seq"] == before
    verified = accredit(folder, "audit", "verify", "--json")
    assert (verified.returncode, json.loads(verified.stdout)["sound"]) == (7, False)
