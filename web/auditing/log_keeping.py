"""What the service does for the logs while it runs: signs where they stand, and looks whether they are whole.

A log that is not what it was closes the store for writing, in this process: nothing may be added to what
can no longer be trusted. Reading goes on, and the state of health says so.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import Final

from issuer.audit.checking import Inconsistent, check_all, check_edge, check_some
from issuer.audit.checkpoints import is_due, seal, seal_closed
from issuer.authority.desk import Authority
from issuer.delivery.shift import until
from issuer.errors import AccreditError
from issuer.store.unit import Database, Log
from web.running import Part

SECOND: Final = 1.0
SAMPLE_SECONDS: Final = 60.0
WALK_SECONDS: Final = 86_400.0

log = logging.getLogger("accredit.audit")


def look(database: Database) -> Inconsistent | None:
    """The look at the start, a few milliseconds; what does not fit closes the store for writing."""
    with database.reading() as unit:
        faults = [check_edge(unit, each) for each in Log]
    return _close(database, faults)


def log_keeping(authority: Authority, *, sample: float = SAMPLE_SECONDS, walk: float = WALK_SECONDS) -> Part:
    """A part that signs each second what is new, looks at some old events each `sample` seconds, and goes
    through everything each `walk`."""
    keeper = _Keeper(authority, sample, walk)

    async def run(stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await asyncio.to_thread(keeper.turn)
            except AccreditError as fault:
                log.warning("the logs could not be looked after: %s", fault)
            await until(stop, SECOND)

    return run


class _Keeper:
    def __init__(self, authority: Authority, sample: float, walk: float) -> None:
        self._authority, self._database = authority, authority.database
        self._sample, self._walk = sample, walk
        now = time.monotonic()
        self._sampled = self._walked = now

    def turn(self) -> None:
        """What is due this second."""
        if self._database.closed_for is not None:
            return
        self._seal()
        now = time.monotonic()
        if now - self._walked >= self._walk:
            self._walked = self._sampled = now
            with self._database.reading() as unit:
                _close(self._database, [check_all(unit, each).fault for each in Log])
        elif now - self._sampled >= self._sample:
            self._sampled = now
            rng = random.SystemRandom()
            with self._database.reading() as unit:
                _close(self._database, [check_some(unit, each, rng) for each in Log])

    def _seal(self) -> None:
        now = self._authority.now()
        with self._database.reading() as unit:
            due = [each for each in Log if is_due(unit, now, each)]
        if due:
            with self._database.noting() as unit:
                for each in due:
                    seal_closed(unit, self._authority.keyring, now, each)
                    seal(unit, self._authority.keyring, now, each)


def _close(database: Database, faults: list[Inconsistent | None]) -> Inconsistent | None:
    fault = next((each for each in faults if each is not None), None)
    if fault is not None:
        database.close_for_writing(str(fault))
        log.error("%s: nothing is written any more; accredit audit verify says more", fault)
    return fault
