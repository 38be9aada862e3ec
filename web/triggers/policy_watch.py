"""Sessions looked at again when another policy is in force: as whom they were let in, is remembered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from issuer.authority.desk import Actor, Authority
from issuer.authority.hearing import Tell, note_heard
from issuer.errors import AccreditError
from issuer.store import notices
from issuer.store.sessions import Wanted
from web.running import again_and_again
from web.triggers.reevaluating import Reevaluator, Rulebook

log = logging.getLogger("accredit.triggers")

LOOK_SECONDS: Final = 1.0
SETTLE_SECONDS: Final = 2.0
"""In which a callout may still let somebody in by the policy of before."""
TURN_SECONDS: Final = 30


class PolicyWatch:
    """Of one operator; of several processes one looks."""

    def __init__(
        self,
        authority: Authority,
        operator_id: int,
        rules: Rulebook,
        reevaluator: Reevaluator,
        *,
        now: Callable[[], float],
        settle: float = SETTLE_SECONDS,
    ) -> None:
        self._authority = authority
        self._operator_id = operator_id
        self._rules = rules
        self._reevaluator = reevaluator
        self._now = now
        self._settle = settle
        self._cursor = f"policy:{operator_id}"
        self._done = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Watch, until told to stop."""

        def trouble(error: AccreditError) -> None:
            log.warning("sessions are not held against the new policy: %s", error)

        await again_and_again(self.look, stop, every=LOOK_SECONDS, trouble=trouble)

    async def look(self) -> bool:
        """Hold sessions against the policy in force, if that is another one; whether it was.

        Raises:
            AccreditError: it could not be done, or not to the end; it is done again.
        """
        version = self._rules.version
        if not version or version <= self._done:
            return False
        if await asyncio.to_thread(self._kept) >= version:
            self._done = version
            return False
        if await asyncio.to_thread(self._take_turn) is None:
            return False
        sessions = ended = 0
        clean = True
        for last in (False, True):
            held = await self._reevaluator.sessions_of(Wanted(), older_than=version)
            lost = await self._reevaluator.shrunk(held, lambda was: was)
            looked = await self._reevaluator.kick(held, lost, reason=f"policy {version}")
            sessions, ended = max(sessions, looked.sessions), ended + looked.ended
            clean = looked.clean
            if not last:
                await asyncio.sleep(self._settle)
        await asyncio.to_thread(self._tell, version, sessions, ended)
        if clean:
            await asyncio.to_thread(self._keep, version)
            self._done = version
        return True

    def _kept(self) -> int:
        """The version that was looked at last, by whichever process."""
        with self._authority.database.reading() as unit:
            found = notices.cursor(unit, self._cursor)
        return int(found.value) if found is not None and found.value.isdigit() else 0

    def _take_turn(self) -> notices.Cursor | None:
        with self._authority.database.noting() as unit:
            return notices.take_turn(unit, self._cursor, every=TURN_SECONDS, now=int(self._now()))

    def _tell(self, version: int, sessions: int, ended: int) -> None:
        act = Tell(
            source="policy",
            what=f"version {version}",
            followed="kicked" if ended else "nothing lost",
            sessions=sessions,
            ended=ended,
        )
        self._authority.perform(note_heard, act, Actor("policy", "follower"))

    def _keep(self, version: int) -> None:
        with self._authority.database.noting() as unit:
            # Its time is over at once: the next version need not wait for it.
            notices.keep_cursor(unit, self._cursor, str(version), int(self._now()) - TURN_SECONDS)
