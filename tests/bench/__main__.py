"""`python -m tests.bench [--group NAME]`: every group, or one."""

from __future__ import annotations

import argparse
import importlib

from tests.bench.measure import report

# A later issue adds its group here: a module with `rows() -> Iterator[Row]`.
GROUPS = {
    "authority": "tests.bench.authority",
    "broker": "tests.bench.broker",
    "callout": "tests.bench.callout",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--group", choices=sorted(GROUPS), action="append")
    chosen = parser.parse_args().group or sorted(GROUPS)
    for name in chosen:
        report(list(importlib.import_module(GROUPS[name]).rows()))


if __name__ == "__main__":
    main()
