"""`python -m tests.fuzz protocol|connect [--runs 1000000] [--seed 1]`."""

from __future__ import annotations

import argparse
import resource
import sys
import time

from tests.fuzz import fuzz_connect, fuzz_protocol

_CHUNK = 50_000
_GROWTH = 20_000  # kilobytes that a million inputs may leave behind
_ROOM = 300_000  # the same for attempts: closed connections are looked for only now and then


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="?", choices=("protocol", "connect", "both"), default="both")
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--input", help="show the bytes of one attempt of `connect`, by its name")
    asked = parser.parse_args()
    if asked.input:
        say(repr(fuzz_connect.input_of(asked.input)))
        return 0
    bad = 0
    if asked.target in {"protocol", "both"}:
        _protocol(asked.runs, asked.seed)
    if asked.target in {"connect", "both"}:
        bad = _connect(asked.runs, asked.seed)
    return 1 if bad else 0


def _protocol(runs: int, seed: int) -> None:
    start, whole, first = time.monotonic(), 0, 0
    for number, done in enumerate(range(0, runs, _CHUNK)):
        whole += fuzz_protocol.run(min(_CHUNK, runs - done), seed * 1000 + number)
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        first = first or used
        if used - first > _GROWTH:
            raise AssertionError(f"memory grew by {used - first} kB")
    say(f"protocol: {runs} inputs in {time.monotonic() - start:.0f} s, {whole} read to their end")


def _connect(runs: int, seed: int) -> int:
    start = time.monotonic()
    found = fuzz_connect.run(runs, seed)
    say(
        f"connect: {found.runs} attempts in {time.monotonic() - start:.0f} s, {found.let_in} let in, {len(found.generous)} too generous"
    )
    say(f"  our server grew by {found.grown} kB and kept {found.left} connections")
    if found.grown > _ROOM or found.left:
        found.generous.append("memory or connections are kept")
    for line in found.generous[:20]:
        say(f"  {line}")
    for shape, count in found.different.most_common(20):
        say(f"  {count:6}  {shape}  for example {found.examples[shape]}")
    return len(found.generous)


if __name__ == "__main__":
    sys.exit(main())
