"""What an event costs beside the change it records: one user made in one transaction, on PostgreSQL.

The cost is everything that would not be there without the log: taking its head, the event, the tree, the
tile every 256 events, the checkpoint every second, the new head. The change is the rest of the act. Both by the clock, as the processor of
PostgreSQL counts, too; without a disk to wait for, which would make the change dearer and the share smaller.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from issuer.audit.checkpoints import create_log_key
from issuer.authority import desk, issuing
from issuer.authority.accounts import AddAccount, add_account
from issuer.authority.desk import Actor, Authority
from issuer.authority.issuing import IssueUsers, issue_users
from issuer.authority.operators import AddOperator, add_operator
from issuer.authority.users import AddUser, add_user
from issuer.custody.keyring import Keyring
from issuer.custody.master import MasterKey
from issuer.store.unit import Database, Unit
from tests import components
from tests.bench.measure import Row, at_most, skipped
from tests.servers import Postgres

ACTS: Final = 600
BATCHES, BATCH = 5, 4000
SHARE: Final = 0.15
ADA: Final = Actor("ada", "bench")


class Meter:
    """Seconds spent in what is measured."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            begun = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds += time.perf_counter() - begun

        return timed


@contextmanager
def metered() -> Iterator[Meter]:
    """The parts of a transaction that are the log's, timed."""
    meter = Meter()
    places: list[tuple[Any, str]] = [
        (desk, "append"), (issuing, "append_many"), (desk, "seal"), (Unit, "_settle"), (Unit, "_read_head"),
    ]  # fmt: skip
    kept = [(place, name, getattr(place, name)) for place, name in places]
    for place, name, function in kept:
        setattr(place, name, meter.around(function))
    try:
        yield meter
    finally:
        for place, name, function in kept:
            setattr(place, name, function)


def rows() -> Iterator[Row]:
    names = ("one event beside a user made alone", f"{BATCH} events beside {BATCH} users made at once")
    if reason := components.missing("postgres"):
        for name in names:
            yield skipped(f"audit on PostgreSQL: {name}", f"<= {SHARE:g}", reason)
        return
    with Postgres() as server:
        database = Database.open(server.new_database(), create=True)
        authority = Authority(database, Keyring(MasterKey(bytes(32))), clock=lambda: int(time.time()))
        with database.writing() as unit:
            create_log_key(unit, authority.keyring, "bench", int(time.time()))
        authority.perform(add_operator, AddOperator("GRID"), ADA)
        authority.perform(add_account, AddAccount("METERS"), ADA)
        for name, run in zip(names, (_alone, _at_once), strict=True):
            run(authority, "warm")
            with metered() as meter:
                begun = time.perf_counter()
                count = run(authority, "m")
                whole = time.perf_counter() - begun
            change = whole - meter.seconds
            words = f"{meter.seconds / count * 1e6:.0f} µs beside {change / count * 1e6:.0f} µs"
            yield at_most(f"audit on PostgreSQL: {name}", meter.seconds / change, SHARE, words)
        database.close()


def _alone(authority: Authority, prefix: str) -> int:
    for number in range(ACTS):
        authority.perform(add_user, AddUser(f"{prefix}{number}", "METERS"), ADA)
    return ACTS


def _at_once(authority: Authority, prefix: str) -> int:
    for turn in range(BATCHES):
        names = tuple(f"{prefix}-{turn}-{number}" for number in range(BATCH))
        authority.perform(issue_users, IssueUsers("METERS", names), ADA)
    return BATCHES * BATCH
