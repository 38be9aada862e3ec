"""The callout as a service on NATS: hears servers' questions, answers each before the server gives up.

Any number of replicas share a queue group. What cannot be proved to come from a server gets no
answer; whoever is refused gets one at once. When more questions are under way than the process can
answer in time, new ones are refused at once too: late answers are work for nothing, and the
server counts a client that waits in vain the same as one that is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec

from callout.answer import Voice, admitting, refusing
from callout.desk import Desk, Outcome, Seat
from callout.refusals import LoginRefusedError, Reason
from callout.request import AuthorizationRequest, Rules, SeenUsers, prove
from issuer.errors import AccreditError

log = logging.getLogger("accredit.callout")

SUBJECT: Final = "$SYS.REQ.USER.AUTH"
QUEUE: Final = "accredit-callout"
SHADOW_QUEUE: Final = "accredit-callout-shadow"
"""Of services in the shadow: in the same queue they would take questions away from those who answer."""
XKEY_HEADER: Final = "Nats-Server-Xkey"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How the service keeps time and how much it takes on."""

    patience: float = 2.0
    """Seconds the servers wait at most (`authorization.timeout`); less where a request says so."""
    margin: float = 0.2
    """Seconds of them that belong to the way back."""
    most_under_way: int = 512
    """Questions at once; more are refused."""
    shadow: bool = False
    """Decide and record, and answer nobody: another service does. Its desk needs a ledger that writes no
    sessions, because nothing is given away."""


class Question(Protocol):
    """One message, and a way to answer it."""

    body: bytes
    sender: str
    """Its `Nats-Server-Xkey` header."""

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
        meet: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        """`voice` and `rules` are asked at every question; `meet` whether a server that is not among
        those we know has been seen since, which may take the time of a question to all servers."""
        self._desk = desk
        self._voice = voice
        self._rules = rules
        self._recorder = recorder
        self._meet = meet
        self._now = now
        self._settings = settings or Settings()
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
        try:
            request = await self._prove(question)
        except LoginRefusedError as refusal:
            log.warning("no answer to a request: %s (%s)", refusal, refusal.reason.value)
            self._recorder.refused(None, Outcome(reason=refusal.reason, message=str(refusal)))
            return
        voice = self._voice()
        limit = heard + min(request.patience, self._settings.patience) - self._settings.margin
        outcome = await self._outcome(request, limit)
        if outcome.token is None:
            reason = outcome.reason or Reason.TOO_LATE
            log.info("refused %r: %s (%s)", request.credentials, outcome.message, reason.value)
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
        # Its own task is among those under way.
        if self.closing or len(self._under_way) > self._settings.most_under_way:
            return Outcome(reason=Reason.OVERLOADED, message=f"{len(self._under_way)} requests are under way")
        try:
            async with asyncio.timeout_at(limit):
                return await self._desk.decide(request.credentials, Seat.of(request), deadline=limit)
        except TimeoutError:
            return Outcome(reason=Reason.TOO_LATE, message="no decision in the time the server waits")
        except AccreditError as error:
            log.error("a login could not be decided: %s", error)  # noqa: TRY400  the words say all
            return Outcome(reason=Reason.LEDGER_DOWN, message=str(error))
        except Exception as error:
            # Our own fault must not let anybody in, nor leave the server waiting.
            log.exception("a login could not be decided")
            return Outcome(reason=Reason.FAULT, message=type(error).__name__)

    async def _send(self, question: Question, data: bytes) -> None:
        if self._settings.shadow:
            return
        with contextlib.suppress(ConnectionError, TimeoutError):
            await question.answer(data)
