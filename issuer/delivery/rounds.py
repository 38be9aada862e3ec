"""One delivery, once round: send, collect, read back, prove. What it heard goes into a `Progress`.

Order matters for the person waiting: the token leaves before anything else is asked, and only
then is it found out who is there, who applies it, and whether anybody revoked is still connected.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from issuer.claims.account import AccountClaims
from issuer.delivery import fleet
from issuer.delivery.fleet import Applied, Connection, Found, Said, ServerInfo
from issuer.delivery.ledger import DeliveryReport, Head, Work
from issuer.delivery.progress import Heard, Progress, State, next_step
from issuer.delivery.system_account import SystemAccount
from issuer.errors import PeerError
from issuer.tokens.envelope import decode
from issuer.tokens.signer import Signer

READ_TRIES: Final = 3
READ_AGAIN_SECONDS: Final = 0.05
# More revocations than this in one version are looked up in one list of the account's connections.
_USERS_EACH: Final = 20


@dataclass(slots=True)
class Roster:
    """Who is there, by server id, and what was learned of them."""

    present: dict[str, ServerInfo] = field(default_factory=dict)
    # Servers that hear only the older subject: their accounts come from a configuration or by HTTP.
    older: set[str] = field(default_factory=set)

    def replace(self, servers: list[ServerInfo]) -> None:
        self.present.clear()
        self.present.update((server.id, server) for server in servers)

    def add(self, server: ServerInfo) -> None:
        # A name has one life at a time: the id it had before is gone.
        for known in [s for s in self.present.values() if s.name == server.name and s.id != server.id]:
            del self.present[known.id]
        self.present[server.id] = server

    def drop(self, server_id: str) -> None:
        self.present.pop(server_id, None)

    def ids(self) -> dict[str, str]:
        """Ids by name."""
        return {server.name: server.id for server in self.present.values()}

    def newer(self) -> set[str]:
        return set(self.present) - self.older


class _Newer(Collection[str]):
    """Whose answer to the newer subjects to wait for, as the roster stands when it is asked."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    def __contains__(self, item: object) -> bool:
        return item in self._roster.newer()

    def __iter__(self) -> Iterator[str]:
        return iter(self._roster.newer())

    def __len__(self) -> int:
        return len(self._roster.newer())


@dataclass(frozen=True, slots=True)
class Round:
    """What a round needs: the connection, who is there, and how to find out again who is."""

    system: SystemAccount
    roster: Roster
    refresh: Callable[[], Awaitable[None]]  # shared between rounds that run at once
    remembered: Callable[[], Mapping[str, ServerInfo]]
    current: Callable[[Head], Awaitable[bool]]  # whether nothing newer was signed meanwhile
    unloaded_is_enough: bool = False
    # Pushes that left before their row of the outbox was claimed, by token.
    early: dict[str, asyncio.Task[list[Said]]] = field(default_factory=dict)

    def push(self, token: str) -> Coroutine[Any, Any, list[Said]]:
        return fleet.push(self.system, token, _Newer(self.roster))

    async def update(self, work: Work) -> DeliveryReport:
        """Deliver a token and prove it."""
        head, roster = work.head, self.roster
        # In this order: a task runs up to its first wait, and by then its message is on its way.
        pushed = self.early.pop(head.token, None) or self.push(head.token)
        said, _ = await asyncio.gather(pushed, self.refresh())
        progress = self._expected(work)
        for name, server_id in roster.ids().items():
            progress = progress.heard(name, Heard.SENT, server_id=server_id)
        answered = {answer.server.id for answer in said}
        roster.older -= answered
        missing = set(roster.present) - answered
        # A late second try of an older version would undo a newer one: servers do not mind (§0.4).
        if missing and await self.current(head):
            late = await fleet.push(
                self.system,
                head.token,
                missing,
                account=head.account,
                deadline=fleet.SLOW_SECONDS,
            )
            late = [answer for answer in late if answer.server.id in missing]
            roster.older |= {answer.server.id for answer in late}
            said = [*said, *late]
        progress = _hear(progress, said, set(roster.present.values()))
        progress, stale = await self._proved(head, progress, said)
        connected: tuple[Connection, ...] = ()
        if progress.settled and work.previous is not None:
            connected = await self._still_connected(work)
        return self._report(head, progress, connected, stale)

    async def compare(self, work: Work) -> DeliveryReport:
        """Look whether it is in force, without sending."""
        progress, words = await self._proved(work.head, self._expected(work), [])
        return self._report(work.head, progress, (), words)

    async def delete(self, work: Work, signer: Signer, *, now: int) -> DeliveryReport:
        """Have an account deleted and see that no list has it (§5.6: one that was away brings it back)."""
        head, roster = work.head, self.roster
        request = fleet.deletion_request([head.account], signer, now=now)
        said, _ = await asyncio.gather(fleet.delete(self.system, request, _Newer(roster)), self.refresh())
        progress = self._expected(work)
        for name, server_id in roster.ids().items():
            progress = progress.heard(name, Heard.SENT, server_id=server_id)
        progress = _hear(progress, said, set(roster.present.values()))
        lists = await fleet.listed(self.system, roster.newer())
        effect = {a.server.id: a for a in await fleet.applied(self.system, head.account, set(roster.present))}
        refusals = {answer.server.id: answer.words for answer in said if not answer.good}
        for server in list(roster.present.values()):
            has = lists.get(server.id)
            loaded = effect.get(server.id)
            if has is not None and head.account not in has:
                progress = progress.heard(server.name, Heard.APPLIED)
            elif has is not None and server.id not in refusals:
                progress = progress.heard(server.name, Heard.OTHER, words="still in its list of accounts")
            elif has is None and loaded is not None and loaded.token is None:
                # No store of its own, and not loaded: nobody can connect unless its configuration says so.
                progress = progress.heard(server.name, Heard.HELD)
            elif has is None and loaded is not None:
                words = "takes its accounts from its configuration: delete it there and restart"
                progress = progress.heard(server.name, Heard.REFUSED, words=words)
        return self._report(head, progress, (), "")

    def _expected(self, work: Work) -> Progress:
        """Those there and those known; an unnamed server that is gone will never be seen again."""
        ids = self.roster.ids()
        known = {name: server for name, server in self.remembered().items() if not server.nameless}
        names = set(ids) | set(known)
        progress = work.progress.without(set(work.progress.servers) - names).expecting(sorted(names))
        progress = progress.restarted(ids)
        for name in names - set(ids):
            progress = progress.heard(name, Heard.LEFT, words="not there")
        return progress

    async def _proved(self, head: Head, progress: Progress, said: list[Said]) -> tuple[Progress, str]:
        acknowledged = {answer.server.id: answer for answer in said if answer.good}
        for left in range(READ_TRIES - 1, -1, -1):
            effects = await fleet.applied(self.system, head.account, set(self.roster.present))
            found = Found((), ())
            if any(effect.token is None for effect in effects):
                found = await self._lookup(head.account)
            heard = [(effect.server, *self._judge(head, effect, acknowledged, found)) for effect in effects]
            if not left or all(what is not Heard.OTHER for _, what, _ in heard):
                break
            await asyncio.sleep(READ_AGAIN_SECONDS)
        for server, what, words in heard:
            # A refusal stands, whatever it still applies from before.
            standing = progress.servers.get(server.name)
            refused = standing is not None and standing.state is State.REFUSED
            if what is not None and not (refused and what is not Heard.APPLIED):
                progress = progress.heard(server.name, what, server_id=server.id, words=words)
        silent = set(self.roster.present) - {effect.server.id for effect in effects}
        for server_id in silent:
            gone = self.roster.present[server_id]
            progress = progress.heard(gone.name, Heard.NO_ANSWER, words="did not answer")
        return progress, ""

    async def _lookup(self, account: str) -> Found:
        return await fleet.lookup(self.system, account, expected=len(self.roster.newer()))

    def _judge(
        self, head: Head, effect: Applied, acknowledged: Mapping[str, Said], found: Found
    ) -> tuple[Heard | None, str]:
        """What a read-back says about one server."""
        if effect.token is not None:
            if effect.token != head.token:
                return Heard.OTHER, "applies another token"
            if effect.expired:
                return Heard.OTHER, "has it, but as expired"
            return Heard.APPLIED, "" if effect.complete else "incomplete: an account it imports is missing"
        answer = acknowledged.get(effect.server.id)
        skipped_by_older = answer is not None and answer.skipped and not answer.cache
        if skipped_by_older or effect.server.id in self.roster.older:
            if self.unloaded_is_enough:
                return Heard.HELD, answer.words if answer else ""
            return Heard.SKIPPED, answer.words if answer else ""
        # Not loaded: what it would load counts. The answers do not say whose they are, so all of them do.
        if any(text not in {"", head.token} for text in found.stored):
            return Heard.OTHER, "a server stores another token"
        have = found.stored.count(head.token)
        if answer is None:
            everybody = have > 0 and have >= len(self.roster.newer())
            return (Heard.HELD, "") if everybody else (None, "")
        if answer.cache:
            return (Heard.HELD, "") if have or head.token in found.ours else (Heard.OTHER, "nobody stores it")
        stores = sum(1 for said in acknowledged.values() if not said.cache and not said.skipped)
        return (Heard.HELD, "") if have >= stores else (Heard.OTHER, "acknowledged, but not stored")

    async def _still_connected(self, work: Work) -> tuple[Connection, ...]:
        revoked = await asyncio.to_thread(newly_revoked, work.previous or "", work.head.token)
        if not revoked:
            return ()
        present = set(self.roster.present)
        for _ in range(READ_TRIES):
            left = await fleet.still_connected(self.system, work.head.account, revoked, present=present)
            if not left:
                break
            await asyncio.sleep(READ_AGAIN_SECONDS)  # the servers cut one after the other
        return tuple(left)

    def _report(
        self, head: Head, progress: Progress, connected: tuple[Connection, ...], words: str
    ) -> DeliveryReport:
        settled = progress.settled and not connected
        if not settled and not words:
            words = summary(progress, connected, self.roster.ids())
        return DeliveryReport(head, progress, settled, words, connected)


def newly_revoked(previous: str, token: str) -> dict[str, int]:
    """The revocations a token has and the one before had not, or not that far."""
    try:
        before = decode(previous, AccountClaims).claims.nats.revocations
        after = decode(token, AccountClaims).claims.nats.revocations
    except PeerError:
        return {}
    fresh = {key: at for key, at in after.items() if before.get(key, 0) < at}
    if len(fresh) > _USERS_EACH:
        # One walk over all connections; those not revoked are told apart by their key.
        return {"*": 0, **fresh}
    return fresh


def summary(progress: Progress, connected: tuple[Connection, ...], present: Mapping[str, str]) -> str:
    """Why it is not settled, in one line."""
    if not progress.servers:
        return "no server is there"
    step = next_step(progress, present)
    parts = [f"{name} refused: {words}" for name, words in progress.refused.items()]
    parts += [f"waiting for {name} to be seen again" for name in step.unseen]
    for name in (*step.read, *step.send):
        standing = progress.servers[name]
        parts.append(f"{name} {standing.state.value}" + (f": {standing.words}" if standing.words else ""))
    if connected:
        parts.append(f"{len(connected)} revoked connections are still open")
    return "; ".join(parts)


def _hear(progress: Progress, said: list[Said], present: set[ServerInfo]) -> Progress:
    for answer in said:
        if not answer.good:
            what = Heard.REFUSED
        elif answer.skipped and not answer.cache:
            what = Heard.SKIPPED
        else:
            what = Heard.ACCEPTED
        words = answer.words if what is Heard.REFUSED else ""
        progress = progress.heard(answer.server.name, what, server_id=answer.server.id, words=words)
    answered = {answer.server.id for answer in said}
    for server in present:
        if server.id not in answered:
            progress = progress.heard(server.name, Heard.NO_ANSWER, words="did not answer")
    return progress


__all__ = ["Roster", "Round", "newly_revoked", "summary"]
