"""`python -m tests.conformance`: plays cases on the real server and on ours, and tells where they part.

    python -m tests.conformance [--cases 5000] [--seed 1|fresh] [--theme NAME …] [--self]
    python -m tests.conformance --case FILE.json …

`--self` plays the real server against itself: nothing may differ, or the comparison is at fault.
Every disagreement is made smaller and written below build/conformance, to be run with `--case`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

from tests.bench.broker_load_server import raise_file_limit
from tests.conformance.hosts import Which
from tests.conformance.model import Case
from tests.conformance.runner import Arena, Difference, fresh_seed, keep, rounds, smaller
from tests.conformance.themes import THEMES

FOLDER: Final = Path("build/conformance")


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--cases", type=int, default=5000, help="how many, over all themes asked for")
    parser.add_argument("--seed", default="1", help="a number, or `fresh`")
    parser.add_argument(
        "--theme", action="append", choices=sorted(THEMES), help="only this one; may be repeated"
    )
    parser.add_argument("--case", action="append", type=Path, help="play the case in this file")
    parser.add_argument("--self", action="store_true", dest="alike", help="the real server against itself")
    parser.add_argument(
        "--most", type=int, default=8, help="how many kinds of disagreement to make smaller, per theme"
    )
    asked = parser.parse_args()
    raise_file_limit()
    sides: tuple[Which, Which] = ("real", "real") if asked.alike else ("real", "ours")
    with Arena(sides) as arena:
        if asked.case:
            return _play_files(arena, asked.case)
        seed = fresh_seed() if asked.seed == "fresh" else int(asked.seed)
        say(f"seed {seed}")
        return _play_themes(arena, asked.theme or list(THEMES), asked.cases, seed, asked.most)


def _play_files(arena: Arena, files: list[Path]) -> int:
    parted = 0
    for file in files:
        difference = arena.compare(Case.read(file))
        say(f"{file}: {'agreed' if difference is None else 'parted'}")
        if difference is not None:
            say(difference.text())
            parted += 1
    return 1 if parted else 0


def _play_themes(arena: Arena, themes: list[str], total: int, seed: int, most: int) -> int:
    weights = sum(THEMES[name][1] for name in themes)
    bad = played = 0
    begun = time.monotonic()
    for name in themes:
        strategy, weight = THEMES[name]
        count = max(1, round(total * weight / weights))
        start = time.monotonic()
        differences: list[Difference] = []
        done = 0
        for among in rounds(strategy, seed, count):
            arena.renew()
            found = arena.compare_all(among.drawn)
            done += len(among.drawn)
            good = {case.key() for case in among.drawn} - {difference.case.key() for difference in found}
            fresh = {d.shape for d in differences}
            differences += found
            for difference in _first_of_each(found, fresh)[: max(0, most - len(fresh))]:
                others = good | {d.case.key() for d in found if d.shape != difference.shape}
                small = smaller(arena, among, difference, others)
                file = keep(small, FOLDER)
                say(
                    f"\n{name}: {difference.shape}\n{small.text()}\n  python -m tests.conformance --case {file}\n"
                )
        seconds = time.monotonic() - start
        steady = [d for d in differences if d.steady]
        say(
            f"{name:14} {done:5} cases {seconds:7.1f} s  {len(steady):4} in disagreement, {len(differences) - len(steady)} unsteady"
        )
        for shape, number in Counter(d.shape for d in differences).most_common():
            say(f"    {number:4}  {shape}")
        for unsteady in [d for d in differences if not d.steady][:3]:
            say(f"unsteady: {unsteady.text()}\n  {keep(unsteady, FOLDER)}\n")
        bad += len(differences)
        played += done
    say(f"{played} cases in {time.monotonic() - begun:.0f} s, {bad} in disagreement")
    return 1 if bad else 0


def _first_of_each(found: list[Difference], known: set[str]) -> list[Difference]:
    """One difference of every shape, those that came most often first; none of shapes known before."""
    counts = Counter(d.shape for d in found if d.steady)
    firsts = {d.shape: d for d in reversed(found) if d.steady}
    return [firsts[shape] for shape, _ in counts.most_common() if shape not in known]


if __name__ == "__main__":
    sys.exit(main())
