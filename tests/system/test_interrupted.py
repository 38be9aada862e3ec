"""A command killed at any point leaves nothing half done: fifty kills, each at a moment of its own."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from issuer.audit.checking import check_all, check_edge
from issuer.audit.log import read
from issuer.store import hierarchy, keys, outbox
from issuer.store.unit import Database, Log, Unit
from issuer.tokens.envelope import decode, token_hash

KILLS = 50
ROOT = Path(__file__).parents[2]


def run_until_killed(url: str, run: int, seconds: float) -> list[str]:
    """Start the driver, kill it that long after its first act; the public keys it acknowledged."""
    command = [sys.executable, "-m", "tests.system.interrupted_driver", url, str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as driver:
        assert driver.stdout is not None
        first = driver.stdout.readline()
        time.sleep(seconds)
        driver.send_signal(signal.SIGKILL)
        rest = driver.stdout.read()
    # The last line may have been cut by the kill itself.
    return [line for line in (first + rest).split("\n")[:-1] if line]


def check(unit: Unit, name: str, since: int) -> None:
    """Everything that must hold between acts, for one operator and the events after `since`."""
    told = {sha256 for event in read(unit, after_seq=since) for _, sha256 in event.body.artefacts}
    waiting = {due.account_id: due for due in outbox.pending(unit)}
    operator = hierarchy.find_operator(unit, name)
    assert operator is not None
    _check_head(unit, "operator", operator.id, operator.head, told)
    for account in hierarchy.accounts(unit, operator.id):
        _check_head(unit, "account", account.id, account.head, told)
        # Nobody delivered anything, so every account's newest version must be waiting.
        assert waiting[account.id].version == account.head
        for user in hierarchy.users(unit, account.id):
            _check_head(unit, "user", user.id, user.head, told)
            assert keys.has_seed(unit, user.public)


def _check_head(unit: Unit, kind: str, key_id: int, number: int, told: set[str]) -> None:
    version = hierarchy.head_token(unit, kind, key_id)
    assert version.version == number >= 1
    assert version.sha256 == token_hash(version.token)
    assert version.sha256 in told
    decode(version.token)


def test_a_kill_at_any_moment_leaves_the_store_whole(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'accredit.db'}"
    moments = random.Random(20261123)
    seen = 0
    for run in range(KILLS):
        acknowledged = run_until_killed(url, run, moments.uniform(0, 0.35))
        database = Database.open(url)
        with database.reading() as unit:
            for public in acknowledged:
                assert keys.find_key(unit, public) is not None, "signed, said so, and lost"
            check(unit, f"OP{run}", seen)
            seen = unit.log_head().seq
            assert check_edge(unit, Log.ADMIN) is None
            if run == KILLS - 1:
                walked = check_all(unit, Log.ADMIN)
                assert walked.fault is None
                assert walked.checkpoints > KILLS
        database.close()
