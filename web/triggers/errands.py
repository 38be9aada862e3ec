"""Errands done: connections of denials ended, groups looked at. What is not done is tried again, by anybody.

Each is in the store from before the answer to whoever told it, until it is done. So a process that dies in
the middle loses none: another one, or the same when it is back, finds it there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from callout.refusals import DirectoryDownError, LoginRefusedError
from issuer.authority.cutting import denials
from issuer.authority.desk import Actor, Authority
from issuer.authority.errands import Errand, errand_of, errands_of, tried_again
from issuer.authority.hearing import Tell, note_heard, stamps_of
from issuer.authority.source_denials import ForgetProofs, LiftOwn, VoidProofs, forget_proofs, lift_own, void
from issuer.errors import AccreditError
from issuer.grants import Denial
from issuer.store import notices
from issuer.store.notices import Cursor
from issuer.store.sessions import Wanted
from web.triggers.groups import GroupsNow
from web.triggers.reevaluating import Cutter, Looked, Reevaluator, without_groups
from web.triggers.settings import AfterGroups, OktaHook

log = logging.getLogger("accredit.triggers")

LOOK_SECONDS: Final = 5.0
AGAIN_SECONDS: Final = 1.0
"""When the store did not answer."""
CLAIM_SECONDS: Final = 120
"""An errand under way is nobody else's for so long; cutting somebody off takes some ten seconds."""
LONGEST_SECONDS: Final = 900
"""Between two tries."""
AT_ONCE: Final = 8
HOUSEKEEPING_SECONDS: Final = 3600.0
STAMPS_KEPT: Final = 90 * 86_400


class Errands:
    """Does the errands of one operator. For one event loop; any number of processes may do so at once."""

    def __init__(
        self,
        authority: Authority,
        operator: tuple[int, str],
        cutter: Cutter,
        reevaluator: Reevaluator,
        *,
        hooks: Mapping[str, OktaHook],
        groups: Mapping[str, GroupsNow],
        now: Callable[[], float],
    ) -> None:
        """`hooks` and `groups` are by source."""
        self._authority = authority
        self._operator_id, self._operator = operator
        self._cutter = cutter
        self._reevaluator = reevaluator
        self._hooks = hooks
        self._groups = groups
        self._now = now
        self._woken = asyncio.Event()
        self._fresh: set[str] = set()
        self._kept = float("-inf")
        self._under_way: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(AT_ONCE)

    def wake(self, names: Sequence[str]) -> None:
        """These were left just now, by this process: they are its own, and begun at once."""
        if names:
            self._fresh.update(names)
            self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Do them, until told to stop; what is under way then is left to whoever comes next."""
        stopping = asyncio.create_task(stop.wait())
        waking: asyncio.Task[bool] | None = None
        well = True
        try:
            while not stop.is_set():
                waking = asyncio.create_task(self._woken.wait())
                pause = LOOK_SECONDS
                try:
                    # Not waited for: one that takes long must not hold up the next.
                    await self._begin()
                    await self._keep_house()
                    well = True
                except AccreditError as error:
                    if well:
                        log.warning("errands wait: %s", error)
                    well, pause = False, AGAIN_SECONDS
                waiting = {stopping} if not well else {stopping, waking}
                await asyncio.wait(waiting, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                waking.cancel()
        finally:
            stopping.cancel()
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def work(self) -> int:
        """Do what there is to be done now; how many errands that was.

        Raises:
            AccreditError: the store does not answer.
        """
        begun = await self._begin()
        await asyncio.gather(*begun)
        return len(begun)

    async def _begin(self) -> list[asyncio.Task[None]]:
        self._woken.clear()
        fresh, self._fresh = frozenset(self._fresh), set()
        try:
            found = await asyncio.to_thread(self._claim, fresh)
        except AccreditError:
            self._fresh |= fresh
            raise
        begun = [asyncio.create_task(self._in_turn(each)) for each in found]
        for task in begun:
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return begun

    async def _in_turn(self, claimed: Cursor) -> None:
        async with self._places:
            await self._do(claimed)

    async def _do(self, claimed: Cursor) -> None:
        errand = _read(claimed)
        if errand is None:
            log.error("errand %s cannot be read, and is dropped", claimed.name)
            await asyncio.to_thread(self._end, claimed, None)
            return
        try:
            done = await (self._cut(errand) if errand.denial else self._regroup(errand))
        except AccreditError as error:
            log.warning("errand %s waits: %s", claimed.name, error)
            done = False
        except Exception:
            # One that fails on a fault of ours must not keep the others from being done.
            log.exception("errand %s failed", claimed.name)
            done = False
        try:
            await asyncio.to_thread(self._end, claimed, None if done else errand)
        except AccreditError as error:
            # It is claimed for a while yet; then it is done once more, which harms nobody.
            log.warning("errand %s is not put away: %s", claimed.name, error)

    async def _cut(self, errand: Errand) -> bool:
        denial = await self._standing(errand.denial)
        if denial is None:
            return True  # lifted since
        cut = await self._cutter.cut(denial)
        if cut.denial.id != denial.id and cut.denial.reason == denial.reason:
            # Lifted in the moment between: whoever ends connections has denied anew.
            await asyncio.to_thread(
                self._authority.perform, lift_own, LiftOwn(cut.denial.id, self._operator), _actor(errand)
            )
        return cut.clean

    async def _regroup(self, errand: Errand) -> bool:
        """Kick whoever has less without the groups, and keep out what was proved before they went."""
        clean = True
        all_groups = [await self._groups_now(errand, subject) for subject in errand.subjects]
        # Asked under several names one of which is nobody's; what any of them is in, counts.
        known = [groups for groups in all_groups if groups is not None]
        still = frozenset().union(*known) if known else None
        sessions = 0
        ended = 0
        shrunk = False
        for subject in errand.subjects:
            wanted = Wanted(issuer=errand.issuer, subject=subject)
            held = await self._reevaluator.sessions_of(wanted)
            lost = await self._reevaluator.shrunk(held, without_groups(errand.groups, but=still))
            if lost and self._proves_again(errand.source):
                # First, or the old token lets it in again with the old groups.
                act = VoidProofs(
                    source=errand.source,
                    what=errand.what,
                    issuer=errand.issuer,
                    subjects=errand.subjects,
                    before=errand.before,
                    operator=self._operator,
                )
                await asyncio.to_thread(self._authority.perform, void, act, _actor(errand))
            looked: Looked = await self._reevaluator.kick(held, lost, reason=errand.what)
            sessions += looked.sessions
            ended += looked.ended
            shrunk |= bool(lost)
            clean &= looked.clean
        act_told = Tell(
            source=errand.source,
            what=errand.what,
            followed="kicked" if shrunk else "nothing lost",
            issuer=errand.issuer,
            subject=", ".join(errand.subjects),
            sessions=sessions,
            ended=ended,
        )
        if sessions:
            await asyncio.to_thread(self._authority.perform, note_heard, act_told, _actor(errand))
        return clean

    async def _groups_now(self, errand: Errand, subject: str) -> frozenset[str] | None:
        """Those the source itself says it is in, where it can be asked; None: it knows nobody of that name.

        Raises:
            DirectoryDownError: it could not be found out, and is worth another try.
        """
        source = self._groups.get(errand.source)
        if source is None:
            return None
        try:
            return await source.groups_of(subject)
        except LoginRefusedError:
            return None
        except DirectoryDownError:
            if errand.tries < 2:
                raise
            return None  # what was told is enough to go by

    def _proves_again(self, source: str) -> bool:
        hook = self._hooks.get(source)
        return hook is not None and hook.after_groups is AfterGroups.PROVE_AGAIN

    async def _standing(self, number: int) -> Denial | None:
        standing = await asyncio.to_thread(self._authority.ask, denials, self._operator_id)
        return next((each for each in standing if each.id == number), None)

    def _claim(self, fresh: frozenset[str]) -> list[Cursor]:
        now = int(self._now())
        with self._authority.database.noting() as unit:
            due = notices.cursors_named(unit, errands_of(self._operator_id), until=now)
            found = []
            for each in due:
                errand = _read(each)
                # A fresh one is begun by the process that left it, unless that is gone by now.
                if each.name not in fresh and errand is not None and not errand.tries and now < each.at + 5:
                    continue
                if notices.put_off(unit, each, until=now + CLAIM_SECONDS):
                    found.append(Cursor(each.name, each.value, now + CLAIM_SECONDS))
            return found

    def _end(self, claimed: Cursor, again: Errand | None) -> None:
        with self._authority.database.noting() as unit:
            if again is None:
                notices.drop_cursor(unit, claimed.name)
                return
            pause = (
                min(int(LOOK_SECONDS) * 2**again.tries, LONGEST_SECONDS)
                if again.tries < 10
                else LONGEST_SECONDS
            )
            notices.put_off(unit, claimed, until=int(self._now()) + pause, value=tried_again(again))

    async def _keep_house(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._kept < HOUSEKEEPING_SECONDS:
            return
        await asyncio.to_thread(self.tidy)
        self._kept = loop.time()

    def tidy(self) -> None:
        """Forget what is too old to matter.

        Raises:
            AccreditError: the store does not answer.
        """
        now = int(self._now())
        with self._authority.database.noting() as unit:
            notices.forget_notices(unit, now)
            notices.forget_cursors(unit, stamps_of(self._operator_id), before=now - STAMPS_KEPT)
        for source, hook in self._hooks.items():
            act = ForgetProofs(source, now - hook.proofs_last, self._operator)
            self._authority.perform(forget_proofs, act, Actor(hook.name, "okta"))


def _read(found: Cursor) -> Errand | None:
    try:
        return errand_of(found)
    except msgspec.MsgspecError:
        return None


def _actor(errand: Errand) -> Actor:
    kind, _, name = errand.source.partition(":")
    return Actor(name, kind)
