"""An LDAP directory followed: whoever is shut there has no session here, whoever has lost groups has less.

No denial is left: the directory itself refuses logins of whoever is disabled, locked or gone, and lets them
in again by itself, when they are good again. A denial would only be one more thing to lift.

1. The directory is asked what has changed since it was last asked.
2. Whoever is shut, as far as the change says it, has all sessions ended.
3. Whoever else has changed, or may have other groups, is looked up, if they have sessions.
4. Whoever has sessions is looked up in turn, whatever was told: some directories do not tell who was
   deleted.
5. The cursor is kept when that is through, so that whoever stops in the middle begins it again.

Whoever could not be looked up, or not be kicked, is looked at again soon; and in any case in their turn.

What cannot be found out ends nobody's session: the directory may be down for everybody at once.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Final, Protocol

from callout.directories.ldap.changes import Change, CursorError, What
from callout.refusals import LoginRefusedError, Reason
from issuer.authority.desk import Actor, Authority
from issuer.authority.hearing import Tell, note_heard
from issuer.authority.reevaluations import live_subjects
from issuer.errors import AccreditError
from issuer.grants import Identity
from issuer.store import notices
from issuer.store.sessions import Wanted
from web.running import again_and_again
from web.triggers.reevaluating import Cutter, Looked, Reevaluator
from web.triggers.settings import ENDING, LdapFollowed

log = logging.getLogger("accredit.triggers")

LOOK_UPS: Final = 4
"""At once."""
PAUSE_SECONDS: Final = 60.0
"""Before somebody is kicked again whose server did not answer."""


class Followed(Protocol):
    """A directory that can be followed."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def lookup(self, subject: str, *, now: float, deadline: float) -> Identity: ...

    async def changes_since(
        self, cursor: str, *, now: float, deadline: float
    ) -> tuple[str, list[Change]]: ...


class LdapFollower:
    """Follows one directory for one operator; of several processes one has each turn."""

    def __init__(
        self,
        settings: LdapFollowed,
        issuer: str,
        directory: Followed,
        *,
        authority: Authority,
        operator_id: int,
        cutter: Cutter,
        reevaluator: Reevaluator,
        now: Callable[[], float],
    ) -> None:
        """`directory` is the follower's own: it takes no turn from logins."""
        self._settings = settings
        self._issuer = issuer
        self._directory = directory
        self._authority = authority
        self._operator_id = operator_id
        self._cutter = cutter
        self._reevaluator = reevaluator
        self._now = now
        self._source = f"ldap:{settings.directory}"
        self._cursor = f"follow:{operator_id}:{self._source}"
        self._ending = frozenset(ENDING) - frozenset(settings.keep)
        self._again: dict[str, float] = {}
        """When somebody is to be looked at again, whatever is told till then."""
        self._last = float("-inf")
        self._looked: dict[str, float] = {}
        """When somebody with sessions was last looked up."""

    async def run(self, stop: asyncio.Event) -> None:
        """Follow it, until told to stop."""
        try:
            await self._directory.start()
        except AccreditError as error:
            log.error("directory %s is not followed: %s", self._settings.directory, error)  # noqa: TRY400
            await stop.wait()
            return

        def trouble(error: AccreditError) -> None:
            log.warning("directory %s is not followed: %s", self._settings.directory, error)

        try:
            await again_and_again(self.turn, stop, every=self._settings.every, trouble=trouble)
        finally:
            await self._directory.close()

    async def turn(self) -> bool:
        """Look once; whether it was our turn.

        Raises:
            AccreditError: the directory or the store does not answer; nothing is lost by it.
        """
        kept = await asyncio.to_thread(self._take_turn)
        if kept is None:
            return False
        try:
            after, changes = await self._directory.changes_since(
                kept.value, now=self._now(), deadline=self._deadline()
            )
        except CursorError:
            log.warning("directory %s: its cursor is none of ours", self._settings.directory)
            after, changes = "", [Change(What.EVERYTHING)]
        holders = await asyncio.to_thread(
            self._authority.ask, live_subjects, (self._operator_id, self._issuer)
        )
        now = self._now()
        again = {subject for subject, at in self._again.items() if at <= now}
        shut = self._shut(changes, holders)
        everybody = any(each.what in {What.GROUP, What.EVERYTHING} for each in changes)
        told = {each.subject for each in changes if each.what is What.PERSON}
        asked = set(holders) if everybody else (told | again | self._due(holders, now)) & holders
        for subject in again:
            del self._again[subject]
        await self._all(
            {subject: partial(self._end, subject, reason) for subject, reason in shut.items()}
            | {subject: partial(self._look, subject) for subject in sorted(asked - set(shut))}
        )
        await asyncio.to_thread(self._keep, after)
        return True

    def _shut(self, changes: Collection[Change], holders: Collection[str]) -> dict[str, Reason]:
        """Who has sessions and must not, by the change alone."""
        found: dict[str, Reason] = {}
        for each in changes:
            reason = Reason.GONE if each.what is What.GONE else each.reason
            if each.subject not in holders:
                continue
            # The newest of several counts.
            found.pop(each.subject, None)
            if reason in self._ending:
                found[each.subject] = reason
        return found

    def _due(self, holders: Collection[str], now: float) -> set[str]:
        """Those whose turn it is to be looked up."""
        self._looked = {subject: self._looked.get(subject, now) for subject in holders}
        # So many that all have theirs in time. Other processes may have had the turns since our last one.
        since = min(max(now - self._last, self._settings.every), self._settings.look_again)
        self._last = now
        most = math.ceil(len(holders) * since / self._settings.look_again)
        longest = sorted(self._looked.items(), key=lambda item: item[1])[:most]
        early = now - self._settings.look_again / 2
        return {subject for subject, at in longest if at <= early}

    async def _all(self, looks: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
        """Do these, a few at a time."""
        places = asyncio.Semaphore(LOOK_UPS)

        async def one(subject: str, look: Callable[[], Awaitable[None]]) -> None:
            async with places:
                try:
                    await look()
                except AccreditError as error:
                    log.info("directory %s: %s waits: %s", self._settings.directory, subject, error)
                    self._again[subject] = self._now()

        await asyncio.gather(*(one(subject, look) for subject, look in looks.items()))

    async def _look(self, subject: str) -> None:
        """Look somebody up, and at their sessions.

        Raises:
            AccreditError: it could not be done, and nothing came of it.
        """
        self._looked[subject] = self._now()
        try:
            identity = await self._directory.lookup(subject, now=self._now(), deadline=self._deadline())
        except LoginRefusedError as refusal:
            if refusal.reason in self._ending:
                await self._end(subject, refusal.reason)
            else:
                log.info("directory %s: %s goes on: %s", self._settings.directory, subject, refusal)
            return
        digest = identity.digest()
        wanted = Wanted(issuer=self._issuer, subject=subject)
        held = await self._reevaluator.sessions_of(wanted)
        changed = [each for each in held if each[0].identity != digest]
        lost = await self._reevaluator.shrunk(changed, lambda _: identity)
        looked = await self._reevaluator.kick(changed, lost, reason="groups changed")
        if lost:
            await self._tell("groups changed", subject, looked, "kicked")
        if not looked.clean:
            self._again[subject] = self._now() + PAUSE_SECONDS

    async def _end(self, subject: str, reason: Reason) -> None:
        """End all sessions of somebody."""
        held = await self._reevaluator.sessions_of(Wanted(issuer=self._issuer, subject=subject))
        if not held:
            return
        kicked = await self._cutter.kick([session for session, _ in held], reason.value)
        looked = Looked(len(held), None, kicked.ended, kicked.clean)
        await self._tell(reason.value, subject, looked, "ended")
        # A login that the directory let in just before may be written just after.
        self._again[subject] = self._now() + (0 if kicked.clean else PAUSE_SECONDS)

    async def _tell(self, what: str, subject: str, looked: Looked, followed: str) -> None:
        act = Tell(
            source=self._source,
            what=what,
            followed=followed,
            issuer=self._issuer,
            subject=subject,
            sessions=looked.sessions,
            ended=looked.ended,
        )
        actor = Actor(self._settings.directory, "follower")
        await asyncio.to_thread(self._authority.perform, note_heard, act, actor)

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._settings.patience

    def _take_turn(self) -> notices.Cursor | None:
        with self._authority.database.noting() as unit:
            return notices.take_turn(
                unit, self._cursor, every=max(self._settings.every - 1, 0), now=int(self._now())
            )

    def _keep(self, value: str) -> None:
        with self._authority.database.noting() as unit:
            notices.keep_cursor(unit, self._cursor, value, int(self._now()))
