"""One connection's life: what is due goes out, and who comes is brought up to date.

Three causes keep it going: something was signed (a wake-up, or the outbox when another process
wrote), something is due again, a server appeared or was restarted. No answer of a server changes
what should be in force; it only changes what is known of that server.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, ParamSpec, Protocol, TypeVar

from issuer.claims.operator import OperatorClaims
from issuer.delivery import fleet, guard
from issuer.delivery.fleet import ServerInfo
from issuer.delivery.guard import DeliveryRefused, OversizeToken
from issuer.delivery.ledger import DeliveryReport, Ledger, Work
from issuer.delivery.progress import LONGEST_REFUSED_PAUSE, REFUSED_PAUSE, Progress, next_step, pause
from issuer.delivery.rounds import Roster, Round
from issuer.delivery.system_account import Reply, SystemAccount, is_payload_violation
from issuer.errors import Refused, Unavailable
from issuer.findings.rules import validate
from issuer.store.outbox import DELETE, UPDATE
from issuer.tokens.envelope import Token
from issuer.tokens.signer import Signer

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger(__name__)

BATCH: Final = 64
AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to look. Seconds; what they cost is said beside them."""

    poll: float = 0.02  # a stat of two files, where the store is SQLite; else see `query`
    query: float = 0.25  # a query, where the store cannot be watched
    # A commit shows in the file before others can read it, by as long as the disk takes to sync: so
    # for a while after each change the store is asked as well, and now and then at any time.
    unrest: float = 10.0
    calm: float = 5.0
    roster: float = 1.0  # a ping is shared by all deliveries of so long
    gather: float = 0.05  # servers that start together are looked at together
    # A server that came back offers what it had to its peers once in their interval, one minute by
    # default (enforcement spec §5.6): so look again after that.
    look_again: float = 75.0
    # An early push gets this long for itself: threads that talk to the store would hold it up.
    ahead: float = 0.01
    finish: float = 3.0  # for deliveries under way when told to stop


class Io(Protocol):
    """Runs a question to the store off the event loop."""

    def __call__(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]: ...


@dataclass(frozen=True, slots=True)
class Means:
    """What outlives a connection."""

    ledger: Ledger
    clock: Callable[[], int]
    io: Io
    woken: asyncio.Event
    pace: Pace
    deletion_signer: Callable[[], Signer] | None
    unloaded_is_enough: bool
    heard: Callable[[DeliveryReport], None]


@dataclass(frozen=True, slots=True)
class _Checked:
    """A delivery and, where it must not be sent, why."""

    work: Work
    refusal: Refused | None = None


class Shift:
    """One connection's life."""

    def __init__(self, means: Means, system: SystemAccount, tasks: asyncio.TaskGroup) -> None:
        self._means = means
        self._ledger = means.ledger
        self._clock = means.clock
        self._pace = means.pace
        self._system = system
        self._tasks = tasks
        self._roster = Roster()
        self._known: dict[str, ServerInfo] = {}
        self._pinged = float("-inf")
        self._pinging: asyncio.Task[None] | None = None
        self._arrived: set[str] = set()
        self._met: set[tuple[str, str]] = set()  # (server, account) seen loaded on a server of the older kind
        self._running: set[asyncio.Task[None]] = set()
        self._operator: OperatorClaims | None = None  # as it was read last
        self._ahead_until = float("-inf")
        self._sent: dict[str, int] = {}  # the newest `iat` that left here, by account
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._round = Round(
            system,
            self._roster,
            self._refresh,
            lambda: self._known,
            lambda head: means.io(self._ledger.current, head),
            unloaded_is_enough=means.unloaded_is_enough,
        )

    # Who is there

    async def greet(self) -> None:
        """Learn who is there; those we never saw in this life are looked at."""
        self._known = await self._means.io(self._ledger.servers)
        await self._refresh()

    async def _refresh(self) -> None:
        """Ask who is there, once for all who want to know at the same time."""
        loop = asyncio.get_running_loop()
        if self._pinging is None or self._pinging.done():
            if loop.time() - self._pinged < self._pace.roster:
                return
            self._pinging = self._tasks.create_task(self._ping())
        await asyncio.shield(self._pinging)

    async def _ping(self) -> None:
        servers = await fleet.roster(self._system)
        self._pinged = asyncio.get_running_loop().time()
        self._roster.replace(servers)
        await self._see(servers)

    async def _see(self, servers: Sequence[ServerInfo]) -> None:
        known = {server.id for server in self._known.values()}
        new = [server for server in servers if server.id not in known]
        if not new:
            return
        self._known |= {server.name: server for server in new}
        self._arrived |= {server.id for server in new}
        self._means.woken.set()
        await self._means.io(self._ledger.see, new, self._clock())

    async def _on_statsz(self, message: Reply) -> None:
        server = fleet.server_of(message)
        if server is not None and server.id not in self._roster.present:
            self._roster.add(server)
            # It may be one we know that was out of reach, with the id it had: what waits for it is due.
            self._arrived.add(server.id)
            self._means.woken.set()
            await self._see([server])

    async def _on_shutdown(self, message: Reply) -> None:
        server = fleet.server_of(message)
        if server is not None:
            self._roster.drop(server.id)

    async def _on_connections(self, message: Reply) -> None:
        """A server without a store has loaded an account, from a source that may be old."""
        found = fleet.connected_account(message)
        if found is None or found[0].id not in self._roster.older:
            return
        server, account = found
        if (server.id, account) not in self._met:
            self._met.add((server.id, account))
            works = await self._means.io(self._ledger.works, [account])
            for work in works:
                self._start(self._look_at(work))

    # The loop

    async def work(self, stop: asyncio.Event) -> None:
        for subject, handler in (
            (fleet.STATSZ, self._on_statsz),
            (fleet.SHUTDOWN, self._on_shutdown),
            (fleet.CONNECTIONS, self._on_connections),
        ):
            await self._system.subscribe(subject, handler)
        greeting = self._tasks.create_task(self.greet())
        loop = asyncio.get_running_loop()
        look_again = float("inf")
        woken = self._means.woken
        stamp: object = None
        looked = changed = float("-inf")
        due: int | None = None
        while not stop.is_set():
            if self._system.closed:
                raise Unavailable("the connection to the servers was lost")
            fresh = self._ledger.stamp()
            signalled = woken.is_set()
            woken.clear()
            if fresh != stamp:
                changed = loop.time()
            restless = fresh is None or loop.time() - changed < self._pace.unrest
            time_up = due is not None and due <= self._clock()
            pause = self._pace.query if restless or time_up else self._pace.calm
            late = loop.time() - looked >= pause
            if loop.time() < self._ahead_until:
                await asyncio.sleep(self._ahead_until - loop.time())
            if signalled or fresh != stamp or late:
                stamp, looked = fresh, loop.time()
                due = await self._take()
            if self._arrived and greeting.done():
                arrived, self._arrived = self._arrived, set()
                look_again = loop.time() + self._pace.look_again
                self._spawn(self._look_round(arrived))
            elif loop.time() >= look_again:
                look_again = float("inf")
                self._spawn(self._look_round(set()))
            await until(woken, self._pace.poll)
        if self._running:
            # What is half done is worth finishing, but not worth a slow stop: the claim runs out.
            _, late_ones = await asyncio.wait(self._running, timeout=self._pace.finish)
            for task in late_ones:
                task.cancel()

    async def _take(self) -> int | None:
        """Claim and start what is due; returns when there is more.

        Somebody may be waiting for a connection to be cut, and claiming waits for the disk: so
        what was just signed leaves after a glance, and is accounted for afterwards.
        """
        for token in await self._means.io(self._ledger.fresh, self._clock()):
            self.send_early(token)
        await asyncio.sleep(self._ahead_until - asyncio.get_running_loop().time())
        for checked in await self._means.io(self._claim):
            self._start(self._deliver(checked))
        return await self._means.io(self._ledger.next_due)

    def send_early(self, token: Token) -> None:
        """Send a token ahead of its claim, if all is known that it must be checked against."""
        if self._operator is None or token in self._round.early:
            return
        now, most = self._clock(), self._system.max_payload
        rules = partial(validate, now=now)
        try:
            claims = guard.check(token, self._operator, now=now, max_payload=most, validate=rules).claims
        except DeliveryRefused:
            return  # said, and written down, when it is claimed
        # Of an account that never went through here, what it had before is not known; and of two
        # tokens of one second only the store knows which is the newer.
        if claims.iat > self._sent.get(claims.sub, claims.iat):
            self._sent[claims.sub] = claims.iat
            self._ahead_until = asyncio.get_running_loop().time() + self._pace.ahead
            self._round.early[token] = self._tasks.create_task(self._round.push(token))

    def _claim(self) -> list[_Checked]:
        works = self._ledger.claim(self._clock(), BATCH)
        return self._checked(works) if works else []

    def _checked(self, works: Sequence[Work]) -> list[_Checked]:
        operator = self._operator = self._ledger.operator()
        now = self._clock()
        found: list[_Checked] = []
        for work in works:
            refusal: Refused | None = None
            try:
                if work.head.action == UPDATE:
                    guard.check(
                        work.head.token,
                        operator,
                        now=now,
                        account=work.head.account,
                        last_iat=work.last_iat,
                        max_payload=self._system.max_payload,
                        validate=partial(validate, now=now),
                    )
            except DeliveryRefused as error:
                refusal = error
            found.append(_Checked(work, refusal))
        return found

    def _start(self, delivery: Coroutine[Any, Any, DeliveryReport]) -> None:
        async def one() -> None:
            async with self._slots:
                await delivery

        self._spawn(one())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def all_of(self, works: Sequence[Work], end: float) -> list[DeliveryReport]:
        """Deliver these, and again those that may still come right, until the time is up."""
        loop = asyncio.get_running_loop()
        reports: dict[int, DeliveryReport] = {}
        left = list(works)

        async def one(checked: _Checked) -> None:
            async with self._slots:
                reports[checked.work.head.account_id] = await self._deliver(checked)

        while left:
            await asyncio.gather(*map(one, await self._means.io(self._checked, left)))
            ids = self._roster.ids()
            again = {
                account_id
                for account_id, report in reports.items()
                if not report.settled
                and (step := next_step(report.progress, ids))
                and (step.send or step.read)
            }
            if not again or loop.time() + self._pace.query > end:
                break
            await asyncio.sleep(self._pace.query)
            accounts = [work.head.account for work in left if work.head.account_id in again]
            left = await self._means.io(self._ledger.works, accounts)
        return [reports[work.head.account_id] for work in works]

    # One account

    async def _deliver(self, checked: _Checked) -> DeliveryReport:
        work, refusal = checked.work, checked.refusal
        if refusal is None:
            try:
                return await self._noted(work, await self._send(work))
            except OversizeToken as error:
                refusal = error
            except Unavailable as error:
                if not (is_payload_violation(error) and len(work.head.token) > self._system.max_payload // 2):
                    await self._noted(work, self._failed(work, str(error)))
                    raise
                refusal = OversizeToken(error.message)
        words = f"not sent: {refusal.message}" if isinstance(refusal, DeliveryRefused) else str(refusal)
        report = DeliveryReport(work.head, Progress(), settled=False, words=words)
        return await self._noted(work, report, refused=True)

    @staticmethod
    def _failed(work: Work, words: str) -> DeliveryReport:
        return DeliveryReport(work.head, work.progress, settled=False, words=words)

    async def _send(self, work: Work) -> DeliveryReport:
        if work.head.action != DELETE:
            if work.head.iat < self._sent.get(work.head.account, 0):
                return self._failed(work, "a newer version has left meanwhile")
            self._sent[work.head.account] = work.head.iat
            report = await self._round.update(work)
            self._tidy()
            return report
        if self._means.deletion_signer is None:
            return self._failed(work, "there is no operator key here to sign a deletion")
        try:
            signer = self._means.deletion_signer()
            return await self._round.delete(work, signer, now=self._clock())
        except Refused as error:
            return self._failed(work, str(error))

    def _tidy(self) -> None:
        """Forget early pushes nobody claimed: another process did, or something newer came."""
        if len(self._round.early) > BATCH:
            for token in [token for token, task in self._round.early.items() if task.done()]:
                del self._round.early[token]

    async def _noted(self, work: Work, report: DeliveryReport, *, refused: bool = False) -> DeliveryReport:
        now = self._clock()
        attempts = work.due.attempts - 1 if work.due is not None else 0
        wait = pause(report.progress, max(attempts, 0))
        if refused:
            wait = min(REFUSED_PAUSE << min(max(attempts, 0), 10), LONGEST_REFUSED_PAUSE)
        await self._means.io(self._ledger.record, work, report, now, again_at=now + wait)
        self._means.heard(report)
        return report

    # All accounts, after servers came

    async def _look_round(self, arrived: Collection[str]) -> None:
        """Compare every account with what the servers have; deliver again where it differs."""
        await asyncio.sleep(self._pace.gather)
        await self._refresh()
        came = {s.name: s.id for s in self._roster.present.values() if s.id in arrived}
        if came:
            await self._means.io(self._ledger.hurry, self._clock(), came)
            self._means.woken.set()
        gone = await self._means.io(self._ledger.gone)
        lists = await fleet.listed(self._system, self._roster.newer())
        back = {account for accounts in lists.values() for account in accounts if account in gone}
        for account in sorted(back):
            log.warning("account %s is back on a server after its deletion", account)
            self._start(self._deliver(_Checked(Work(gone[account]))))
        works = await self._means.io(self._ledger.works, None)
        quiet = [work for work in works if work.due is None and work.head.action == UPDATE]
        for work in quiet:
            self._start(self._look_at(work))

    async def _look_at(self, work: Work) -> DeliveryReport:
        report = await self._round.compare(work)
        if report.settled:
            if report.progress == work.progress:
                return report
            return await self._noted(work, report)
        # Said as it was found, so that a loss is on record before it is mended.
        await self._noted(work, report)
        step = next_step(report.progress, self._roster.ids())
        if not (step.send or step.read):
            return report
        again = replace(work, progress=report.progress)
        (checked,) = await self._means.io(self._checked, [again])
        return await self._deliver(checked)


async def until(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, but not for longer."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
