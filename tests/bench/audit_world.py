"""A log of a million events: users issued, and people who log in. `BENCH_EVENTS` makes it smaller."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from issuer.audit.catalogue import EventCode
from issuer.audit.checkpoints import create_log_key
from issuer.audit.log import Event, append_many
from issuer.authority.accounts import AddAccount, add_account
from issuer.authority.changes import PermissionChange
from issuer.authority.desk import Actor, Authority
from issuer.authority.issuing import IssueUsers, issue_many
from issuer.authority.operators import AddOperator, add_operator
from issuer.authority.roles import EditRole, edit_role
from issuer.custody.keyring import Keyring
from issuer.custody.master import MasterKey
from issuer.store.unit import Database

EVENTS: Final = int(os.environ.get("BENCH_EVENTS", "1000000"))
# One in ten makes a user, nine are logins.
USERS: Final = EVENTS // 10
PEOPLE: Final = max(EVENTS // 50, 1)
ADA: Final = Actor("ada", "cli")
_BATCH: Final = 4000


def build(folder: Path) -> Authority:
    """A store on SQLite with such a log."""
    database = Database.open(f"sqlite:///{folder}/bench.db", create=True)
    authority = Authority(database, Keyring(MasterKey(bytes(32))), clock=lambda: int(time.time()))
    with database.writing() as unit:
        create_log_key(unit, authority.keyring, "bench", int(time.time()))
    authority.perform(add_operator, AddOperator("GRID", signing_key=True), ADA)
    authority.perform(add_account, AddAccount("METERS"), ADA)
    role = EditRole("METERS", "meter", permissions=PermissionChange(allow_pub=("m.>",), allow_sub=("c.>",)))
    authority.perform(edit_role, role, ADA)
    act = IssueUsers("METERS", (), role="meter")
    for _ in issue_many(authority, act, (f"m{number}" for number in range(USERS)), ADA):
        pass
    for start in range(0, EVENTS - USERS, _BATCH):
        with database.writing() as unit:
            append_many(unit, list(_logins(start, min(_BATCH, EVENTS - USERS - start))), int(time.time()))
    return authority


def _logins(start: int, count: int) -> Iterator[Event]:
    rng = random.Random(start)
    for number in range(count):
        person = rng.randrange(PEOPLE)
        yield Event(
            EventCode.LOGIN_GRANTED,
            "callout",
            target=f"U{rng.randbytes(17).hex().upper()}",
            targets=("A" * 56,),
            artefacts=((rng.randbytes(16).hex(), rng.randbytes(32).hex()),),
            detail={
                "issuer": "https://id.example",
                "subject": f"person{person}@grid.example",
                "directory": "okta",
                "bindings": "staff",
                "policy": 3,
                "role": "reader",
                "server": "NBENCH",
                "client": start + number,
                "expires": 1_800_000_000,
            },
        )
