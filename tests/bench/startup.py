"""How long the command line takes to start, beside an empty Python."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.measure import Row, at_most

ACCREDIT = str(Path(sys.executable).with_name("accredit"))
ROUNDS = 15

# Runs the command line and ends with its first query: what comes after is the query's business.
UNTIL_FIRST_QUERY = """
import os, sqlite3
opened = sqlite3.connect
def connect(*words, **options):
    made = opened(*words, **options)
    made.set_trace_callback(lambda query: query.startswith("SELECT") and os._exit(0))
    return made
sqlite3.connect = connect
from issuer.cli.main import entry
entry()
"""


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "ACCREDIT_DATA_DIR": folder}
        # As on anybody's machine: modules are compiled once.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        subprocess.run([ACCREDIT, "init", "BENCH"], env=environment, check=True, capture_output=True)
        empty = [sys.executable, "-c", "pass"]
        verb = [sys.executable, "-c", UNTIL_FIRST_QUERY, "list", "users", "-a", "BENCH"]
        for name, command, target in (
            ("accredit --help / python -c pass", [ACCREDIT, "--help"], 5.0),
            ("a verb up to its first query / python -c pass", verb, 25.0),
        ):
            ratio, base, own = _ratio(empty, command, environment)
            yield at_most(name, ratio, target, f"{own * 1e3:.0f} ms beside {base * 1e3:.1f} ms")


def _ratio(
    baseline: list[str], command: list[str], environment: dict[str, str]
) -> tuple[float, float, float]:
    ratios, bases, mine = [], [], []
    for _ in range(2):
        _time(command, environment)
    for _ in range(ROUNDS):
        base, own = _time(baseline, environment), _time(command, environment)
        ratios.append(own / base)
        bases.append(base)
        mine.append(own)
    return statistics.median(ratios), statistics.median(bases), statistics.median(mine)


def _time(command: list[str], environment: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - start
