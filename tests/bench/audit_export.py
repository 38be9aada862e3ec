"""A million events as a file: what was hashed with a proof of each, and as OCSF.

Held against copying the bodies to a file as they come from the database's own driver.
"""

from __future__ import annotations

import json
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.measure import Row, at_least, at_most, in_a_process

LINES, OCSF, MEMORY = 50_000, 15_000, 200.0


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        in_a_process("tests.bench.audit_export", "build", folder)
        bare = in_a_process("tests.bench.audit_export", "bare", folder)["rate"]
        found = in_a_process("tests.bench.audit_export", "export", folder, "jsonl")
        words = f"{found['events']:.0f} events; {found['rate'] / bare:.2f} of copying them ({bare:.0f}/s)"
        yield at_least("export: jsonl with proofs, events/s", found["rate"], LINES, words)
        yield at_most("export: peak memory of that, MB", found["memory"], MEMORY)
        found = in_a_process("tests.bench.audit_export", "export", folder, "ocsf")
        words = f"{found['rate'] / bare:.2f} of copying them"
        yield at_least("export: ocsf, events/s", found["rate"], OCSF, words)


def _build(folder: str) -> dict[str, float]:
    from tests.bench.audit_world import build

    build(Path(folder)).database.close()
    return {}


def _bare(folder: str) -> dict[str, float]:
    count = 0
    begun = time.perf_counter()
    with sqlite3.connect(f"{folder}/bench.db") as connection, (Path(folder) / "bare").open("wb") as file:
        for (body,) in connection.execute("SELECT body FROM events ORDER BY seq"):
            file.write(body.encode() + b"\n")
            count += 1
    rate = count / (time.perf_counter() - begun)
    connection.close()
    return {"rate": rate}


def _export(folder: str, form: str) -> dict[str, float]:
    from issuer.audit.exporting import Wanted
    from issuer.authority.desk import Authority
    from issuer.authority.taking_out import ExportEvents, export_events
    from issuer.custody.keyring import Keyring
    from issuer.custody.master import MasterKey
    from issuer.store.unit import Database
    from tests.bench.audit_world import ADA

    database = Database.open(f"sqlite:///{folder}/bench.db")
    authority = Authority(database, Keyring(MasterKey(bytes(32))), clock=lambda: int(time.time()))
    path = Path(folder) / form
    proofs = Path(folder) / "proofs" if form == "jsonl" else None
    begun = time.perf_counter()
    done = export_events(authority, ExportEvents(Wanted(), form, path, proofs), ADA)
    seconds = time.perf_counter() - begun
    database.close()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rate": done.written / seconds, "events": done.written, "memory": memory}


if __name__ == "__main__":
    step = {"build": _build, "bare": _bare, "export": _export}[sys.argv[1]]
    print(json.dumps(step(*sys.argv[2:])))
