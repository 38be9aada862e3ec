"""`python -m tests.bench [--group NAME [--part NAME]]`: every group, one, or a part of one."""

from __future__ import annotations

import argparse
import importlib

from tests.bench.measure import report

# A later issue adds its group here: a module with `rows() -> Iterator[Row]`.
GROUPS = {
    "audit": "tests.bench.audit",
    "authority": "tests.bench.authority",
    "broker": "tests.bench.broker",
    "callout": "tests.bench.callout",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--group", choices=sorted(GROUPS), action="append")
    parser.add_argument("--part", action="append", help="of groups whose module has PARTS; all by default")
    given = parser.parse_args()
    for name in given.group or sorted(GROUPS):
        module = importlib.import_module(GROUPS[name])
        if given.part is None:
            report(list(module.rows()))
            continue
        parts = getattr(module, "PARTS", {})
        if unknown := set(given.part) - set(parts):
            parser.error(
                f"group {name} has no part {', '.join(unknown)}; it has: {', '.join(parts) or 'none'}"
            )
        report([row for part in given.part for row in parts[part]()])


if __name__ == "__main__":
    main()
