"""A store with a history, and bundles of it that can be taken apart and put together again."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from issuer.audit.evidence import verify
from issuer.audit.note import Kind, VerifierKey, sign_note
from issuer.authority.desk import Actor, Authority
from issuer.authority.evidencing import MakeEvidence, make_evidence
from issuer.authority.opening import create_store, open_authority
from issuer.keys.nkeys import Seed, raw_public
from issuer.settings import load
from issuer.store import checkpoints
from issuer.store.unit import Database

BEGIN = 1_700_000_000
DAY = 86_400
ADA = Actor("ada")


@dataclass
class House:
    """An authority whose clock goes on by a minute an act."""

    database: Database
    authority: Authority
    folder: Path
    clock: list[int]

    def do(self, function: Callable[..., Any], act: Any, *, reason: str = "", actor: Actor = ADA) -> Any:
        self.clock[0] += 60
        return self.authority.perform(function, act, actor, reason=reason)

    def bundle(self, name: str = "e.zip", since: int = 0, until: int = 4_000_000_000, **more: Any) -> Path:
        self.clock[0] += 60
        path = self.folder / name
        act = MakeEvidence(path, since, until, "soc2", force=True, **more)
        make_evidence(self.authority, act, ADA)
        return path

    def log_seed(self) -> Seed:
        with self.database.reading() as unit:
            return self.authority.keyring.seed(unit, checkpoints.log_keys(unit)[0].public)


@pytest.fixture
def house(tmp_path: Path) -> Any:
    clock = [BEGIN]
    settings = load({"data_dir": str(tmp_path / "data")}, {})
    database = create_store(settings, {}, actor=ADA, now=BEGIN)
    authority = open_authority(settings, {}, clock=lambda: clock[0], database=database)
    yield House(database, authority, tmp_path, clock)
    database.close()


@dataclass
class Parts:
    """The files of a bundle, to be altered."""

    files: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path) -> Parts:
        with zipfile.ZipFile(path) as file:
            return cls({name: file.read(name) for name in file.namelist()})

    def copy(self) -> Parts:
        return Parts(dict(self.files))

    def packed(self) -> io.BytesIO:
        raw = io.BytesIO()
        with zipfile.ZipFile(raw, "w") as file:
            for name, data in self.files.items():
                file.writestr(name, data)
        return raw

    def signed(self, seed: Seed) -> Parts:
        """As the holder of a key would make it: a manifest that fits, and is signed."""
        manifest = json.loads(self.files["manifest.json"])
        manifest["files"] = {
            name: [len(data), hashlib.sha256(data).hexdigest()]
            for name, data in self.files.items()
            if not name.startswith("manifest.")
        }
        raw = json.dumps(manifest).encode() + b"\n"
        origin = json.loads(self.files["keys.json"])["origin"]
        text = f"accredit-evidence/1\n{hashlib.sha256(raw).hexdigest()}\n"
        note = sign_note(text, origin, raw_public(seed.public), seed.sign)
        return Parts({**self.files, "manifest.json": raw, "manifest.note": str(note).encode()})


def log_key(seed: Seed) -> str:
    return str(VerifierKey("log", Kind.ED25519, raw_public(seed.public)))


def checked(bundle: Path | Parts, **options: Any) -> dict[str, Any]:
    """The report of the auditor's program."""
    given = {"log_key": None, "operator": None, "witness": None, "quorum": None, "kept": [], **options}
    source: Any = bundle.packed() if isinstance(bundle, Parts) else str(bundle)
    return verify.verify(source, Namespace(**given))
