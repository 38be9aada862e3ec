"""Rows of the bench table, and fair ways to time two things beside each other."""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

REPORT = Path("build/bench.json")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `value` is None for a row that was skipped, with its reason in `note`."""

    name: str
    value: float | None
    target: str
    ok: bool | None
    note: str = ""


def at_least(name: str, value: float, target: float, note: str = "") -> Row:
    return Row(name, round(value, 3), f">= {target:g}", value >= target, note)


def at_most(name: str, value: float, target: float, note: str = "") -> Row:
    return Row(name, round(value, 3), f"<= {target:g}", value <= target, note)


def skipped(name: str, target: str, reason: str) -> Row:
    return Row(name, None, target, None, f"skipped: {reason}")


def speed_ratio(
    baseline: Callable[[], object], ours: Callable[[], object], *, loops: int = 2000, rounds: int = 15
) -> tuple[float, float, float]:
    """How fast `ours` is beside `baseline` (1.0 = as fast): ratio, µs of the baseline, µs of ours.

    The two take turns, so that a machine whose speed drifts slows both alike; the ratio is the
    median of the rounds' ratios.
    """
    ratios, bases, mine = [], [], []
    for _ in range(3):
        _time(baseline, loops // 10)
        _time(ours, loops // 10)
    for _ in range(rounds):
        base, own = _time(baseline, loops), _time(ours, loops)
        ratios.append(base / own)
        bases.append(base)
        mine.append(own)
    return (
        statistics.median(ratios),
        statistics.median(bases) * 1e6,
        statistics.median(mine) * 1e6,
    )


def _time(function: Callable[[], object], loops: int) -> float:
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        for _ in range(loops):
            function()
        return (time.perf_counter() - start) / loops
    finally:
        gc.enable()


def in_a_process(module: str, *words: str) -> dict[str, float]:
    """What a module says as its last line, run apart: its memory is its own, and it begins cold."""
    done = subprocess.run(
        [sys.executable, "-m", module, *words], check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(rows: list[Row]) -> None:
    """Print the table and merge it into `build/bench.json`."""
    width = max(len(row.name) for row in rows)
    for row in rows:
        value = "-" if row.value is None else f"{row.value:.3f}"
        state = {True: "ok", False: "SHORT", None: "skipped"}[row.ok]
        print(f"{row.name:<{width}}  {value:>10}  {row.target:>9}  {state:<7}  {row.note}")
    REPORT.parent.mkdir(exist_ok=True)
    kept = []
    if REPORT.exists():
        names = {row.name for row in rows}
        kept = [row for row in json.loads(REPORT.read_text()) if row["name"] not in names]
    REPORT.write_text(json.dumps([*kept, *map(asdict, rows)], indent=1) + "\n")
