"""Sessions looked at again when groups or the policy have changed: who would get less now is kicked, and
comes back with that; all others stay."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from msgspec.structs import replace

from callout.mint import Place
from callout.policy.index import Compiled, compiled
from callout.policy.reading import read_policy
from issuer.authority.desk import Authority
from issuer.authority.reevaluations import LiveQuestion, live_sessions, policy_text
from issuer.errors import AccreditError
from issuer.grants import Denial, Identity, Session
from issuer.store.sessions import Wanted
from web.cutting import Cut, Kicked
from web.triggers.shrinking import Rules, lost

log = logging.getLogger("accredit.triggers")

MOST_POLICIES: Final = 16
"""Older ones that are kept ready."""


class Cutter(Protocol):
    """Who ends connections."""

    async def cut(self, denial: Denial, *, dry_run: bool = False) -> Cut: ...

    async def kick(self, sessions: Sequence[Session], reason: str) -> Kicked: ...


class Rulebook(Protocol):
    """What holds now; from memory."""

    @property
    def version(self) -> int: ...

    def policy(self) -> tuple[int, Compiled]: ...

    def denials(self) -> tuple[Denial, ...]: ...

    def place(self, account: str) -> Place | None: ...


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of it. `lost` is why, by session."""

    sessions: int = 0
    lost: Mapping[int, str] | None = None
    ended: int = 0
    clean: bool = True
    """Whether all that were to end are gone."""


class Reevaluator:
    """Looks again at the sessions of one operator."""

    def __init__(self, authority: Authority, operator_id: int, rules: Rulebook, cutter: Cutter) -> None:
        self._authority = authority
        self._operator_id = operator_id
        self._rules = rules
        self._cutter = cutter
        self._policies: dict[int, Compiled | None] = {}

    async def sessions_of(
        self, wanted: Wanted, *, older_than: int | None = None
    ) -> list[tuple[Session, Identity]]:
        """Those that are open, each with who it was let in as."""
        found: list[tuple[Session, Identity]] = []
        after: int | None = 0
        while after is not None:
            question = LiveQuestion(
                operator_id=self._operator_id, wanted=wanted, older_than=older_than, after=after
            )
            page = await asyncio.to_thread(self._authority.ask, live_sessions, question)
            found += page.sessions
            after = page.after
        return found

    async def shrunk(
        self, sessions: Sequence[tuple[Session, Identity]], becomes: Callable[[Identity], Identity]
    ) -> dict[int, str]:
        """Those that have more than they would be given now, by id, and why.

        Raises:
            AccreditError: it cannot be told now: no policy may be relied on, or the store does not answer.
        """
        version, policy = self._rules.policy()
        found: dict[int, str] = {}
        for number, (session, was) in enumerate(sessions):
            if number % 100 == 99:
                await asyncio.sleep(0)  # logins go first
            will = becomes(was)
            then = policy if session.policy_version == version else await self._policy(session.policy_version)
            rules = Rules(
                then=then,
                now=policy,
                denials=self._rules.denials(),
                place=self._place(session.account, policy),
            )
            why = lost(session, was, will, rules)
            if why:
                found[session.id] = why
        return found

    async def look(self, wanted: Wanted, becomes: Callable[[Identity], Identity], *, reason: str) -> Looked:
        """Look at these, and kick those that have shrunk.

        Raises:
            AccreditError: as `shrunk`, or it could not be written.
        """
        sessions = await self.sessions_of(wanted)
        return await self.kick(sessions, await self.shrunk(sessions, becomes), reason=reason)

    async def kick(
        self, sessions: Sequence[tuple[Session, Identity]], shrunk: Mapping[int, str], *, reason: str
    ) -> Looked:
        ending = [session for session, _ in sessions if session.id in shrunk]
        if not ending:
            return Looked(len(sessions))
        kicked = await self._cutter.kick(ending, reason)
        return Looked(len(sessions), shrunk, kicked.ended, kicked.clean)

    def _place(self, account: str, policy: Compiled) -> Place | None:
        """The account with this key; places are known by the names that the policy has for them."""
        found = self._rules.place(account)
        if found is not None:
            return found
        for name in {binding.account for binding in policy.policy.bindings}:
            place = self._rules.place(name)
            if place is not None and place.public == account:
                return place
        return None

    async def _policy(self, version: int) -> Compiled | None:
        if version not in self._policies:
            if len(self._policies) >= MOST_POLICIES:
                self._policies.pop(next(iter(self._policies)))
            text = await asyncio.to_thread(self._authority.ask, policy_text, (self._operator_id, version))
            self._policies[version] = _read(text)
        return self._policies[version]


def without_groups(
    groups: Sequence[str], *, but: frozenset[str] | None = None
) -> Callable[[Identity], Identity]:
    """Somebody, in these no more; they are named by id or name, as the identity has them.

    `but` are all that they are in, if that is known: then the others of before are gone, too.
    """
    gone = frozenset(groups)

    def becomes(was: Identity) -> Identity:
        kept = tuple(each for each in was.groups if each not in gone and (but is None or each in but))
        return replace(was, groups=kept)

    return becomes


def _read(text: str | None) -> Compiled | None:
    if text is None:
        return None
    try:
        return compiled(read_policy(json.loads(text)))
    except (AccreditError, ValueError):
        return None
