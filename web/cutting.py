"""Cutting somebody off: the denial, the kicks, the revocations, the proof, and what is written of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from issuer.authority.cutting import (
    Affected,
    Deny,
    Ended,
    RevokePortable,
    affected,
    deny,
    note_ended,
    revoke_portable,
)
from issuer.authority.desk import Actor
from issuer.authority.system_users import EVICTOR, IssueSystemUser, issue_system_user
from issuer.delivery.evicting import Evicted, Link, evict
from issuer.delivery.pusher import Pusher, this_process
from issuer.delivery.system_account import SystemAccount, Tls, connect_system_account
from issuer.errors import Unavailable
from issuer.grants import Denial, Session
from issuer.tokens.envelope import Token
from issuer.tokens.signer import SeedSigner, Signer
from web.wiring import SERVICE, Wiring, now

SETTLE_SECONDS: Final = 2.0
"""Callouts read the rules each half second, and a login they decided before may still be on its way."""
MOST_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Kicked:
    """What became of some sessions. `first_kick` and `last_gone` are seconds from the beginning."""

    sessions: int
    """That were to end, those who came back meanwhile included."""
    servers: Mapping[str, int] = field(default_factory=dict)
    """How many on each, by name."""
    portable: int = 0
    """Of them with a token to carry about, which was revoked in its account."""
    ended: int = 0
    came_back: int = 0
    left: tuple[Session, ...] = ()
    """Still connected, or on a server that does not say."""
    unproved: tuple[str, ...] = ()
    """Accounts whose revocations are not in force on every server."""
    first_kick: float | None = None
    last_gone: float | None = None
    trouble: str = ""
    """Why the servers could not be asked, or not to the end."""

    @property
    def clean(self) -> bool:
        """Whether all of them are gone, for certain."""
        return not (self.left or self.unproved or self.trouble)


@dataclass(frozen=True, slots=True)
class Cut:
    """A denial and what it came to; in a dry run what it would."""

    denial: Denial
    kicked: Kicked
    dry_run: bool = False

    @property
    def clean(self) -> bool:
        return self.kicked.clean


class Cutter:
    """Cuts off and ends sessions for one operator; each time over a connection of its own."""

    def __init__(
        self,
        wiring: Wiring,
        urls: Sequence[str],
        *,
        actor: Actor = SERVICE,
        seconds: float = MOST_SECONDS,
    ) -> None:
        self._wiring = wiring
        self._urls = tuple(urls)
        self._actor = actor
        self._seconds = seconds

    async def cut(self, denial: Denial, *, dry_run: bool = False) -> Cut:
        """Keep out whom the denial is about, then end all they have.

        The denial holds from the first moment, whatever becomes of the rest.

        Raises:
            Refused: the denial names nobody.
        """
        if dry_run:
            found = await self._ask(denial, 0)
            return Cut(denial, _planned(found.sessions), dry_run=True)
        wanted = Deny(
            denial.target,
            denial.issuer,
            denial.value,
            denial.before,
            denial.reason,
            self._wiring.operator.name,
        )
        held = await asyncio.to_thread(
            self._wiring.authority.perform, deny, wanted, self._actor, reason=denial.reason
        )
        kicked = await self._end(
            partial(self._ask, held), denial=held, reason=denial.reason, settle=SETTLE_SECONDS
        )
        return Cut(held, kicked)

    async def kick(self, sessions: Sequence[Session], reason: str) -> Kicked:
        """End these sessions and nothing more: who may, comes in again."""

        async def given(after: int) -> Affected:
            return Affected(() if after else tuple(sessions), after or 1)

        return await self._end(given, denial=None, reason=reason, settle=0.0)

    async def _end(
        self,
        look: Callable[[int], Awaitable[Affected]],
        *,
        denial: Denial | None,
        reason: str,
        settle: float,
    ) -> Kicked:
        found: dict[int, Session] = {}
        seen = 0

        async def find() -> Collection[Link]:
            nonlocal seen
            new = await look(seen)
            seen = new.last
            found.update((each.id, each) for each in new.sessions)
            return [_link(each) for each in new.sessions if not each.portable]

        first = await find()
        if denial is None and not found:
            return Kicked(0)
        # Signed before anybody is asked to do anything: whoever delivers, delivers it.
        signed = await self._revoke(found.values(), reason)
        seconds = max(self._seconds, settle + 1)
        evicted, trouble = Evicted(left=frozenset(first)), ""
        try:
            system = await self._connect()
            try:
                evicted = await evict(system, _then(first, find), settle=settle, seconds=seconds)
            finally:
                await system.close()
        except Unavailable as error:
            trouble = str(error)
        late = [each for each in found.values() if each.portable and each.user_key not in signed]
        signed |= await self._revoke(late, reason)
        unproved = await self._push(frozenset(signed.values()))
        kicked = replace(_told(found.values(), evicted, unproved), trouble=trouble)
        over = [each for each in found.values() if each.portable or _link(each) in evicted.gone]
        act = _event(self._wiring, denial, kicked, over)
        await asyncio.to_thread(self._wiring.authority.perform, note_ended, act, self._actor, reason=reason)
        return kicked

    async def _ask(self, denial: Denial, after: int) -> Affected:
        question = (self._wiring.operator.id, denial, after)
        return await asyncio.to_thread(self._wiring.authority.ask, affected, question)

    async def _connect(self) -> SystemAccount:
        return await connect_system_account(
            self._urls, self._credentials, tls=Tls.of(self._wiring.settings), name="accredit evictor"
        )

    def _credentials(self) -> tuple[Token, Signer]:
        act = IssueSystemUser(EVICTOR, self._wiring.operator.name)
        user = self._wiring.authority.perform(issue_system_user, act, self._actor)
        return user.token, SeedSigner(user.seed)

    async def _revoke(self, sessions: Iterable[Session], reason: str) -> dict[str, str]:
        """Revoke portable tokens; the account of each key."""
        keys: dict[str, dict[str, int]] = {}
        for each in sessions:
            if each.portable:
                keys.setdefault(each.account, {})[each.user_key] = each.started_at
        if not keys:
            return {}
        act = RevokePortable(keys, self._wiring.operator.name)
        await asyncio.to_thread(
            self._wiring.authority.perform, revoke_portable, act, self._actor, reason=reason
        )
        return {key: account for account, held in keys.items() for key in held}

    async def _push(self, accounts: frozenset[str]) -> tuple[str, ...]:
        """Deliver them; those that are not in force everywhere."""
        if not accounts:
            return ()
        pusher = Pusher.over(
            self._wiring.database,
            self._wiring.connector(self._urls),
            operator=self._wiring.operator.public,
            clock=now,
            who=this_process(),
        )
        try:
            reports = await pusher.push_once(accounts, deadline=self._seconds)
        except Unavailable:
            return tuple(sorted(accounts))
        finally:
            pusher.close()
        return tuple(report.head.name for report in reports if not report.settled)


def _then(
    first: Collection[Link], find: Callable[[], Awaitable[Collection[Link]]]
) -> Callable[[], Awaitable[Collection[Link]]]:
    """`find`, which was asked once before there was a connection."""
    waiting: list[Collection[Link]] = [first]

    async def look() -> Collection[Link]:
        return waiting.pop() if waiting else await find()

    return look


def _link(session: Session) -> Link:
    return Link(session.server_id, session.client_id)


def _planned(sessions: Collection[Session]) -> Kicked:
    return Kicked(
        len(sessions), servers=_by_server(sessions), portable=sum(each.portable for each in sessions)
    )


def _by_server(sessions: Collection[Session]) -> dict[str, int]:
    return dict(Counter(each.server or each.server_id for each in sessions if not each.portable))


def _told(sessions: Collection[Session], evicted: Evicted, unproved: tuple[str, ...]) -> Kicked:
    left = tuple(each for each in sessions if not each.portable and _link(each) in evicted.left)
    return Kicked(
        len(sessions),
        servers=_by_server(sessions),
        portable=sum(each.portable for each in sessions),
        ended=len(sessions) - len(left),
        came_back=evicted.came_back,
        left=left,
        unproved=unproved,
        first_kick=evicted.first_kick,
        last_gone=evicted.last_gone,
    )


def _event(wiring: Wiring, denial: Denial | None, kicked: Kicked, over: Sequence[Session]) -> Ended:
    return Ended(
        operator_id=wiring.operator.id,
        denial=denial,
        sessions=tuple(each.id for each in over),
        servers=kicked.servers,
        left=len(kicked.left),
        came_back=kicked.came_back,
        portable=kicked.portable,
        unproved=kicked.unproved,
        first_kick=kicked.first_kick,
        last_gone=kicked.last_gone,
    )
