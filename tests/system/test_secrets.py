"""No seed shows anywhere but where it was asked for: plant them, use everything, and search."""

from __future__ import annotations

import base64
import io
import logging
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from issuer.authority.accounts import AddAccount, add_account
from issuer.authority.desk import Actor, Turn
from issuer.authority.opening import open_authority
from issuer.authority.operators import AddOperator, add_operator
from issuer.authority.users import AddUser, GenerateCreds, add_user, generate_creds
from issuer.errors import Defect
from issuer.keys.nkeys import Role, Seed
from issuer.settings import load
from issuer.store import keys
from issuer.store.unit import Database
from tests.processes import wait_until

ACCREDIT = str(Path(sys.executable).with_name("accredit"))
ADA = Actor("ada", "test")


def forms(seed: Seed) -> Iterator[bytes]:
    """Every way a seed would be recognised in a file."""
    raw = seed.raw
    yield raw
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    yield base64.b64encode(raw).rstrip(b"=")
    yield base64.urlsafe_b64encode(raw).rstrip(b"=")
    yield base64.b32encode(raw).rstrip(b"=")
    yield seed.reveal().encode()
    # The middle of the text, in case it was cut or wrapped.
    yield seed.reveal()[8:40].encode()


def leaks(seeds: list[Seed], haystack: bytes) -> list[str]:
    return [seed.public for seed in seeds if any(form in haystack for form in forms(seed))]


@pytest.fixture
def planted() -> dict[str, Seed]:
    return {
        "operator": Seed.from_raw(Role.OPERATOR, os.urandom(32)),
        "account": Seed.from_raw(Role.ACCOUNT, os.urandom(32)),
        "user": Seed.from_raw(Role.USER, os.urandom(32)),
    }


def test_planted_seeds_stay_out_of_logs_reprs_tracebacks_events_and_the_database(
    tmp_path: Path, planted: dict[str, Seed], database_url: str
) -> None:
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.DEBUG)
    seen = io.StringIO()
    master = base64.b64encode(bytes(range(32))).decode()
    settings = load({"data_dir": str(tmp_path), "database": database_url}, {})
    try:
        database = Database.open(database_url, create=True)
        authority = open_authority(
            settings, {"ACCREDIT_MASTER_KEY": master}, clock=lambda: 1_700_000_000, database=database
        )
        acts = [
            (add_operator, AddOperator("OP", seed=planted["operator"])),
            (add_account, AddAccount("A", seed=planted["account"])),
            (add_user, AddUser("u", "A", seed=planted["user"])),
        ]
        for function, act in acts:
            print(act, authority.perform(function, act, ADA), file=seen)  # type: ignore[arg-type]
        print(authority, authority.keyring, settings, planted, file=seen)
        creds = authority.perform(generate_creds, GenerateCreds("u", "A"), ADA)
        print(creds, file=seen)

        def breaks(turn: Turn, act: AddUser) -> None:
            add_user(turn, act)
            local = turn.keyring.seed(turn.unit, planted["user"].public)
            signer = turn.keyring.signer(turn.unit, planted["account"].public)
            raise Defect(f"with {local} and {signer} at hand")

        try:
            authority.perform(breaks, AddUser("v", "A"), ADA)
        except Defect as error:
            # From the product's first frame on: this test's own locals hold the key it gave.
            frames = error.__traceback__.tb_next if error.__traceback__ else None
            lines = traceback.TracebackException(Defect, error, frames, capture_locals=True).format()
            print(*lines, file=seen)
        with database.reading() as unit:
            for table in ("keys", "operators", "accounts", "users", "tokens", "events", "custody", "outbox"):
                from sqlalchemy import text

                print(unit.fetch_all(text(f"SELECT * FROM {table}")), file=seen)
        database.close()
    finally:
        logging.getLogger().removeHandler(handler)
        logging.getLogger().setLevel(logging.WARNING)
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    everything = (seen.getvalue() + log.getvalue()).encode() + files
    assert leaks(list(planted.values()), everything) == []
    assert master.encode() not in everything


def test_a_whole_life_by_command_line_leaves_seeds_in_creds_files_alone(tmp_path: Path) -> None:
    home = tmp_path / "data"
    said = bytearray()

    def shell(*words: str, given: str = "") -> None:
        done = subprocess.run(
            [ACCREDIT, "-H", str(home), *words],
            capture_output=True,
            check=False,
            timeout=60,
            input=given.encode(),
            env={**os.environ, "ACCREDIT_DEBUG": "1"},
        )
        said.extend(done.stdout + done.stderr)

    ready = tmp_path / "ready"
    running = subprocess.Popen(
        [ACCREDIT, "up", "-H", str(home), "--http-port", "0", "--nats-port", "0", "--ready-file", str(ready)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "ACCREDIT_DEBUG": "1"},
    )
    try:
        wait_until(ready.exists, seconds=30, what="the ready file")
        said.extend(ready.read_bytes())
        seed_file = tmp_path / "given.nk"
        seed_file.write_text(Seed.generate(Role.USER).reveal())
        for words in (
            ("add", "user", "m1", "-a", "APP"),
            ("add", "user", "m1", "-a", "APP"),  # exists: refused
            ("add", "user", "m2", "-a", "APP", "-k", str(seed_file)),
            ("add", "user", "m3", "-a", "APP", "-k", seed_file.read_text()),  # wrong: a seed as an argument
            ("edit", "signing-key", "-a", "APP", "--role", "r", "--sk", "generate"),
            ("add", "user", "m4", "-a", "APP", "-K", "r"),
            ("describe", "user", "m1", "-a", "APP", "--json"),
            ("list", "keys", "--json"),
            ("revoke", "m1", "-a", "APP"),
            ("push", "--all"),
            ("validate", "-A"),
            ("audit", "list", "--json"),
            ("audit", "verify"),
            ("describe", "jwt", "-f", str(seed_file)),  # wrong: a seed where a token belongs
            ("env",),
            ("doctor",),
        ):
            shell(*words)
    finally:
        running.send_signal(signal.SIGTERM)
        said.extend(running.communicate(timeout=60)[0])
    settings = load({"data_dir": str(home)}, {})
    database = Database.open(settings.database)
    authority = open_authority(settings, {}, clock=lambda: 1_700_000_000, database=database)
    with database.reading() as unit:
        seeds = [
            authority.keyring.seed(unit, row.public) for row in keys.all_keys(unit) if row.sealed is not None
        ]
    database.close()
    assert len(seeds) >= 8
    seeds.append(Seed.parse(seed_file.read_text()))
    assert leaks(seeds, bytes(said)) == []
    for path in home.rglob("*"):
        if path.is_file() and path.suffix != ".creds":
            assert leaks(seeds, path.read_bytes()) == [], path
