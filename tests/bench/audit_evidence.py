"""Evidence of a million events: how fast it is made, and how fast the auditor's program checks it.

The program is run as an auditor runs it, in a process of its own. It is held against hashing the bundle once and
verifying its tokens' signatures once, both with nothing around them.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.bench.measure import Row, at_most, in_a_process

MEMORY, CHECK = 200.0, 4.0
_VERIFY: Final = Path(__file__).parents[2] / "issuer/audit/evidence/verify.py"


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        for step in ("build", "make"):
            found = in_a_process("tests.bench.audit_evidence", step, folder)
        words = (
            f"{found['events']} events, {found['tokens']} tokens, {found['megabytes']:.0f} MB zipped, "
            f"{found['rate']:.0f} events/s"
        )
        yield at_most("evidence: a bundle made: peak memory, MB", found["memory"], MEMORY, words)
        bundle = Path(folder) / "evidence.zip"
        for name, flags in (("as installed", ()), ("bare Python", ("-I", "-S"))):
            if flags:
                found = in_a_process("tests.bench.audit_evidence", "small", folder)
                bundle = Path(folder) / "small.zip"
            yield _checked(name, bundle, flags)


def _checked(name: str, bundle: Path, flags: tuple[str, ...]) -> Row:
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *flags, str(_VERIFY), str(bundle), "--json"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    whole = time.perf_counter() - begun
    report = json.loads(done.stdout)
    by = next(step["found"] for step in report["steps"] if step["step"] == "tokens").rpartition(" ")[2]
    bare = in_a_process("tests.bench.audit_evidence", "bare", str(bundle), by)
    words = (
        f"{whole:.1f} s, verified by {by}; hashing {bare['hashing']:.2f} s, "
        f"{bare['signatures']} signatures {bare['verifying']:.1f} s"
    )
    return at_most(
        f"evidence: checked, {name} / bare", whole / (bare["hashing"] + bare["verifying"]), CHECK, words
    )


def _build(folder: str) -> dict[str, float]:
    from tests.bench.audit_world import build

    build(Path(folder)).database.close()
    return {}


def _make(folder: str, name: str = "evidence.zip") -> dict[str, float]:
    from issuer.authority.desk import Authority
    from issuer.authority.evidencing import MakeEvidence, make_evidence
    from issuer.custody.keyring import Keyring
    from issuer.custody.master import MasterKey
    from issuer.store.unit import Database
    from tests.bench.audit_world import ADA

    database = Database.open(f"sqlite:///{folder}/bench.db")
    authority = Authority(database, Keyring(MasterKey(bytes(32))), clock=lambda: int(time.time()))
    path = Path(folder) / name
    begun = time.perf_counter()
    evidence = make_evidence(authority, MakeEvidence(path, 0, int(time.time()) + 10, "soc2"), ADA)
    seconds = time.perf_counter() - begun
    database.close()
    return {
        "rate": evidence.events / seconds,
        "events": evidence.events,
        "tokens": len(evidence.last.heads),
        "megabytes": path.stat().st_size / 1e6,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _small(folder: str) -> dict[str, float]:
    """A tenth of it, for who has no library: a signature takes two milliseconds there."""
    import os

    os.environ["BENCH_EVENTS"] = str(int(os.environ.get("BENCH_EVENTS", "1000000")) // 10)
    small = Path(folder) / "small"
    small.mkdir()
    _build(str(small))
    found = _make(str(small), "small.zip")
    (small / "small.zip").rename(Path(folder) / "small.zip")
    return found


def _bare(bundle: str, by: str) -> dict[str, float]:
    """Hashing the file once, and verifying the signature of each token once by the same verifier."""
    import base64
    import hashlib

    from issuer.audit.evidence import verify

    verify._CHOSEN[:] = [by]
    begun = time.perf_counter()
    with Path(bundle).open("rb") as file:
        hashlib.file_digest(file, "sha256")
    hashing = time.perf_counter() - begun
    signed = []
    with zipfile.ZipFile(bundle) as archive, archive.open("tokens.jsonl") as rows:
        for row in rows:
            message, _, signature = json.loads(row)["token"].rpartition(".")
            payload = json.loads(base64.urlsafe_b64decode(message.partition(".")[2] + "=="))
            key = base64.b32decode(payload["iss"])[1:33]
            signed.append((key, message.encode(), base64.urlsafe_b64decode(signature + "==")))
    begun = time.perf_counter()
    if not all(verify.ed25519(*each) for each in signed):
        raise SystemExit("a signature does not verify")
    verifying = time.perf_counter() - begun
    return {"hashing": hashing, "verifying": verifying, "signatures": len(signed)}


if __name__ == "__main__":
    step = {"build": _build, "make": _make, "small": _small, "bare": _bare}[sys.argv[1]]
    print(json.dumps(step(*sys.argv[2:])))
