"""Where acts are performed: one transaction, one actor, one clock, one event at least.

A rule about a change is a function `(turn, act) -> outcome` in this package. The desk gives it
its transaction, retries it when somebody else was faster, and writes down a refusal when it
ends in one. CLI, API and console do nothing but build acts and show outcomes.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from issuer.audit.catalogue import EventCode
from issuer.audit.checkpoints import seal
from issuer.audit.log import Detail, Event, append
from issuer.custody.keyring import Keyring
from issuer.errors import PeerError, Refused
from issuer.findings import Finding
from issuer.keys.nkeys import PublicKey
from issuer.store.unit import Database, Unit
from issuer.tokens.envelope import Token

A = TypeVar("A")
R = TypeVar("R")

Clock = Callable[[], int]
Committed = Callable[[object], None]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and through what: "ada" via "cli", a service account via "api"."""

    name: str
    via: str = "cli"

    def __str__(self) -> str:
        return f"{self.via}:{self.name}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an act has done: the thing concerned, its new token, and what to know about it."""

    code: EventCode
    name: str
    public: PublicKey
    token: Token | None = None
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    changed: bool = True


@dataclass(slots=True)
class Turn:
    """One act being performed. `now` is unix seconds; `signer` names the key to use, if one was asked for."""

    unit: Unit
    keyring: Keyring
    actor: Actor
    now: int
    reason: str = ""
    correlation: str = ""
    signer: str | None = None
    notes: list[str] = field(default_factory=list)

    def record(
        self,
        code: EventCode,
        target: str,
        *,
        targets: tuple[str, ...] = (),
        before: str | None = None,
        after: str | None = None,
        artefacts: tuple[tuple[str, str], ...] = (),
        outcome: str = "done",
        detail: Detail | None = None,
    ) -> None:
        """Write the event of this act, in its transaction."""
        event = Event(
            code=code,
            actor=str(self.actor),
            target=target,
            outcome=outcome,
            targets=targets,
            before=before,
            after=after,
            artefacts=artefacts,
            reason=self.reason,
            correlation=self.correlation,
            detail=dict(detail or {}),
        )
        append(self.unit, event, self.now)


class Authority:
    """The service: acts go in with their actor, outcomes come back."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        *,
        clock: Clock,
        committed: Committed = lambda _: None,
    ) -> None:
        self.database = database
        self.keyring = keyring
        self._clock = clock
        # Called after a commit with what the act gave: wakes whoever delivers.
        self._committed = committed
        self._sealed = 0

    def perform(
        self,
        function: Callable[[Turn, A], R],
        act: A,
        actor: Actor,
        *,
        reason: str = "",
        signer: str | None = None,
    ) -> R:
        """Perform one act in one transaction.

        Raises:
            Refused: the rules say no; the refusal itself is an event.
            Conflict: others kept changing the same thing.
        """
        correlation = secrets.token_hex(8)

        def once(unit: Unit) -> R:
            turn = Turn(unit, self.keyring, actor, self._clock(), reason, correlation, signer)
            result = function(turn, act)
            if unit.events and turn.now != self._sealed:
                # Asked once a second: the checkpoint of the acts in between comes with the next one.
                seal(unit, self.keyring, turn.now)
                self._sealed = turn.now
            return result

        try:
            result = self.database.attempt(once)
        except (Refused, PeerError) as refusal:
            self._note_refusal(function.__name__, refusal, actor, reason, correlation)
            raise
        self._committed(result)
        return result

    def ask(self, function: Callable[[Unit, A], R], question: A) -> R:
        """Answer a question from one consistent view of the store."""
        with self.database.reading() as unit:
            return function(unit, question)

    def after_commits(self, committed: Committed) -> None:
        """Tell from now on what acts give, once they are committed."""
        self._committed = committed

    def now(self) -> int:
        return self._clock()

    def _note_refusal(
        self, act: str, refusal: Refused | PeerError, actor: Actor, reason: str, correlation: str
    ) -> None:
        with self.database.writing() as unit:
            turn = Turn(unit, self.keyring, actor, self._clock(), reason, correlation)
            turn.record(
                EventCode.ACT_REFUSED,
                "",
                outcome="refused",
                detail={"act": act, "code": refusal.code, "message": str(refusal)[:500]},
            )
