"""The callout as a service on NATS: hears servers' questions, answers each before the server gives up.

Any number of replicas share a queue group. What cannot be proved to come from a server gets no
answer; whoever is refused gets one at once, or a moment later if his address was refused again and
again. When more come than can be answered in time, `callout.admission` says who goes first, and the
others are refused at once: late answers are work for nothing, and the server counts a client that
waits in vain the same as one that is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec

from callout.admission import Admission, Ticket
from callout.admission_settings import AdmissionSettings
from callout.answer import Voice, admitting, refusing
from callout.desk import Desk, Outcome, Seat, tell_outcome
from callout.directories.directory import Directory
from callout.doorway import Doorway
from callout.policy.model import Priority
from callout.refusals import LoginRefusedError, Reason
from callout.request import AuthorizationRequest, Rules, SeenUsers, prove
from callout.slowing import Slow, theirs
from callout.standing import Standing, Standings
from callout.tracing import Trace, Tracer, step, traced
from issuer.errors import AccreditError

log = logging.getLogger("accredit.callout")

SUBJECT: Final = "$SYS.REQ.USER.AUTH"
QUEUE: Final = "accredit-callout"
SHADOW_QUEUE: Final = "accredit-callout-shadow"
"""Of services in the shadow: in the same queue they would take questions away from those who answer."""
XKEY_HEADER: Final = "Nats-Server-Xkey"
TRACE: Final = "accredit.callout.login"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How the service keeps time and how much it takes on."""

    patience: float = 2.0
    """Seconds the servers wait at most (`authorization.timeout`); less where a request says so."""
    margin: float = 0.2
    """Seconds of them that belong to the way back."""
    most_under_way: int = 512
    """Logins at once, those that wait included; more are refused."""
    shadow: bool = False
    """Decide and record, and answer nobody: another service does. Its desk needs a ledger that writes no
    sessions, because nothing is given away."""


class Question(Protocol):
    """One message, and a way to answer it."""

    body: bytes
    sender: str
    """Its `Nats-Server-Xkey` header."""
    parent: str
    """Its `traceparent` header, if that is well formed; it is a header of the answer, too."""

    async def answer(self, data: bytes) -> None: ...


class Recorder(Protocol):
    """Who is told what became of questions: audit and metrics. Never fails, never waits."""

    def refused(self, request: AuthorizationRequest | None, outcome: Outcome) -> None: ...

    def admitted(self, request: AuthorizationRequest, outcome: Outcome, seconds: float) -> None: ...


class Responder:
    """Answers questions; whoever holds the connection hands them in."""

    def __init__(
        self,
        desk: Desk,
        voice: Callable[[], Voice],
        rules: Callable[[], Rules],
        recorder: Recorder,
        *,
        now: Callable[[], float],
        settings: Settings | None = None,
        admission: AdmissionSettings | None = None,
        meet: Callable[[str], Awaitable[bool]] | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """`voice` and `rules` are asked at every question; `meet` whether a server that is not among
        those we know has been seen since, which may take the time of a question to all servers."""
        self._desk = desk
        self._voice = voice
        self._rules = rules
        self._recorder = recorder
        self._meet = meet
        self._tracer = tracer
        self._now = now
        self._settings = settings or Settings()
        self._classes = admission or AdmissionSettings()
        self.door = Doorway(Admission(self._classes, most=self._settings.most_under_way))
        self._standings = Standings()
        self._slow = Slow(self._classes.refusals)
        self._held_back = 0
        self._seen = SeenUsers()
        self._under_way: set[asyncio.Task[None]] = set()
        self.closing = False

    @property
    def under_way(self) -> int:
        return len(self._under_way)

    def hear(self, question: Question) -> None:
        """Begin with a question; its answer comes later."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(self.answer(question, heard=loop.time()))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def drained(self, seconds: float) -> bool:
        """Take no more; whether all that was under way was answered in time."""
        self.closing = True
        if not self._under_way:
            return True
        _, late = await asyncio.wait(self._under_way, timeout=seconds)
        for task in late:
            task.cancel()
        return not late

    async def answer(self, question: Question, *, heard: float) -> None:
        """One question to its end. Nothing a server or client sends makes it raise.

        `heard` is when it came, on the loop's clock: the server has been waiting since then.
        """
        with traced(self._tracer, TRACE, question.parent) as trace:
            await self._answer(question, heard, trace)

    async def _answer(self, question: Question, heard: float, trace: Trace | None) -> None:
        try:
            with step("prove"):
                request = await self._prove(question)
        except LoginRefusedError as refusal:
            log.warning("no answer to a request: %s (%s)", refusal, refusal.reason.value)
            self._recorder.refused(None, Outcome(reason=refusal.reason, message=str(refusal)))
            if trace is not None:
                trace.code = refusal.reason.value
            return
        voice = self._voice()
        limit = heard + min(request.patience, self._settings.patience) - self._settings.margin
        outcome = await self._outcome(request, limit)
        if trace is not None:
            tell_outcome(trace, outcome)
            trace.attributes |= {"nats.server.id": request.server.id, "nats.client.id": request.client.id}
        if outcome.token is None:
            reason = outcome.reason or Reason.TOO_LATE
            log.info("refused %r: %s (%s)", request.credentials, outcome.message, reason.value)
            with step("hold back"):
                await self._hold_back(request, reason, limit)
            await self._send(question, refusing(request, reason, voice, now=int(self._now())))
            self._recorder.refused(request, outcome)
            return
        await self._send(question, admitting(request, outcome.token, voice, now=int(self._now())))
        self._recorder.admitted(request, outcome, asyncio.get_running_loop().time() - heard)

    async def _prove(self, question: Question) -> AuthorizationRequest:
        def proved() -> AuthorizationRequest:
            return prove(question.body, question.sender, self._rules(), self._seen, now=int(self._now()))

        try:
            return proved()
        except LoginRefusedError as refusal:
            # A server that has just joined may ask before we have heard of it.
            if refusal.reason is not Reason.REQUEST_STRANGER or refusal.at is None or self._meet is None:
                raise
            if not await self._meet(refusal.at):
                raise
        return proved()

    async def _outcome(self, request: AuthorizationRequest, limit: float) -> Outcome:
        if self.closing:
            return Outcome(reason=Reason.OVERLOADED, message="the service is about to end")
        try:
            return await self._in_turn(request, limit)
        except TimeoutError:
            return Outcome(reason=Reason.TOO_LATE, message="no decision in the time the server waits")
        except AccreditError as error:
            log.error("a login could not be decided: %s", error)  # noqa: TRY400  the words say all
            return Outcome(reason=Reason.LEDGER_DOWN, message=str(error))
        except Exception as error:
            # Our own fault must not let anybody in, nor leave the server waiting.
            log.exception("a login could not be decided")
            return Outcome(reason=Reason.FAULT, message=type(error).__name__)

    async def _in_turn(self, request: AuthorizationRequest, limit: float) -> Outcome:
        directory = self._desk.choose(request.credentials)
        ticket = self._ticket(request, directory, limit)
        try:
            with step("turn"):
                entered = await self.door.enter(ticket)
            if not entered:
                return Outcome(reason=Reason.OVERLOADED, message=self._crowd())
            async with asyncio.timeout_at(limit):
                outcome = await self._desk.decide(
                    request.credentials, Seat.of(request), deadline=limit, directory=directory
                )
        finally:
            self.door.leave(ticket)
        self._note(request, directory, outcome)
        if ticket.begun > ticket.came:
            outcome = msgspec.structs.replace(outcome, waited=ticket.begun - ticket.came)
        return outcome

    def _ticket(self, request: AuthorizationRequest, directory: Directory | None, limit: float) -> Ticket:
        credentials = request.credentials
        name = directory.name if directory is not None else ""
        standing = self._standings.of(credentials)
        return Ticket(
            directory=name,
            account=standing.account if standing is not None else "",
            address=credentials.address,
            priority=standing.priority if standing is not None else self._usual(name),
            deadline=limit,
        )

    def _usual(self, directory: str) -> Priority:
        return self._classes.priorities.get(directory, Priority.NORMAL)

    def _crowd(self) -> str:
        return f"{self.door.working} logins are under way, and {self.door.waiting} wait"

    def _note(self, request: AuthorizationRequest, directory: Directory | None, outcome: Outcome) -> None:
        """For the next time these come: what it is worth to know of them."""
        grant = outcome.grant
        if grant is not None and outcome.token is not None:
            name = directory.name if directory is not None else ""
            if self._classes.account is not None or grant.priority is not self._usual(name):
                self._standings.note(request.credentials, Standing(grant.priority, grant.account))
                return
        elif outcome.reason is None or not theirs(outcome.reason):
            return
        self._standings.forget(request.credentials)

    async def _hold_back(self, request: AuthorizationRequest, reason: Reason, limit: float) -> None:
        if not theirs(reason):
            return
        now = asyncio.get_running_loop().time()
        pause = min(self._slow.refused(request.credentials.address, now=now), limit - now)
        if pause <= 0 or self.closing or self._held_back >= self._classes.refusals.most:
            return
        self._held_back += 1
        try:
            await asyncio.sleep(pause)
        finally:
            self._held_back -= 1

    async def _send(self, question: Question, data: bytes) -> None:
        if self._settings.shadow:
            return
        with contextlib.suppress(ConnectionError, TimeoutError):
            await question.answer(data)
