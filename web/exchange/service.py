"""An exchange from its request to its token: proof of the key, then the same desk as every login.

1. who asks too often is told to wait;
2. the challenge is ours, and in time;
3. the key that the token shall be for signed it, together with itself and the token shown;
4. the challenge was not used here before;
5. the desk decides: directory, policy, denials, ledger.

Steps 2 to 4 need no directory, so nobody without a key of his own can make us ask one.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from callout.admission_settings import Rate
from callout.buckets import Buckets
from callout.desk import Desk, Directories, Ledger, Outcome, Rulebook, Seat, tell_outcome
from callout.directories.directory import Credentials
from callout.directories.opening import Configured
from callout.directories.reading import read_settings
from callout.neighbours import neighbours
from callout.refusals import LoginRefusedError, Reason
from callout.tracing import Tracer, traced
from issuer.errors import AccreditError
from issuer.keys.nkeys import verify
from issuer.tokens.envelope import Token
from issuer.tokens.possession import challenged, signature_bytes
from issuer.tokens.signer import Signer
from web.exchange.challenge import RANDOM_BYTES, Challenges, Spent
from web.exchange.reading import Request
from web.exchange.rules import PortableRules
from web.exchange.settings import ExchangeSettings, Source, sources

log = logging.getLogger("accredit.exchange")

CONNECTION_TYPE: Final = "exchange"
TRACE: Final = "accredit.exchange"


class RefusalLedger(Ledger, Protocol):
    """Where logins and refusals are written down."""

    def turned_away(self, seat: Seat | None, outcome: Outcome) -> None:
        """Note a refusal; never fails, never waits."""


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """What an exchange came to."""

    token: Token
    expires_at: int
    account: str
    """As the policy names it."""
    servers: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Issued({self.account}, until {self.expires_at})"


class Told(msgspec.Struct, frozen=True):
    """A challenge and for how many seconds it is good."""

    nonce: str
    seconds: int


class No(msgspec.Struct, frozen=True, kw_only=True):
    """No; `reason` stays here."""

    reason: Reason
    ours: bool = False
    """Whether the fault is ours, and has nothing to do with what was shown."""


class Wait(msgspec.Struct, frozen=True):
    """Not now."""

    seconds: float


class Exchange:
    """Token exchange of one process. For one event loop."""

    def __init__(
        self,
        settings: ExchangeSettings,
        *,
        directories: Directories,
        rules: Rulebook,
        ledger: RefusalLedger,
        signer: Callable[[], Signer],
        servers: Callable[[], Sequence[str]],
        now: Callable[[], float],
        offered: Sequence[Source] = (),
        tracer: Tracer | None = None,
    ) -> None:
        """`signer` is the callout's, the same in all replicas; `servers`, where NATS is, may block."""
        self.settings = settings
        self.sources = tuple(offered)
        self._tracer = tracer
        self._desk = Desk(directories, PortableRules(rules, settings), ledger, now=now)
        self._ledger = ledger
        self._servers = servers
        self._where: tuple[str, ...] = ()
        self._now = now
        self._challenges = Challenges(signer, seconds=settings.challenge)
        self._spent = Spent()
        by_address = Rate(per_second=settings.address_rate, burst=settings.address_burst)
        self._asking = Buckets(by_address)
        self._addresses = Buckets(by_address)
        self._tokens = Buckets(Rate(per_second=settings.token_rate, burst=settings.token_burst))

    def challenge(self, address: str) -> Told | Wait:
        """A new challenge.

        Raises:
            AccreditError: the key it is made with cannot be had.
        """
        wait = self._asking.ask(neighbours(address), now=self._now())
        if wait:
            return Wait(wait)
        nonce = self._challenges.new(now=int(self._now()), chance=secrets.token_bytes(RANDOM_BYTES))
        return Told(nonce, self._challenges.seconds)

    def admit(self, address: str) -> Wait | None:
        """Whether an address may ask now; before its request is read."""
        wait = self._addresses.ask(neighbours(address), now=self._now())
        return Wait(wait) if wait else None

    async def exchange(self, request: Request, address: str, *, parent: str = "") -> Issued | No | Wait:
        """One request to its end; raises nothing of what a client, a directory or the store does.

        `parent` is its `traceparent` header.
        """
        digest = hashlib.sha256(request.subject_token.encode("utf-8", "surrogatepass")).hexdigest()
        wait = self._tokens.ask(digest, now=self._now())
        if wait:
            return Wait(wait)
        seat = Seat(user=request.public, address=address, connection_type=CONNECTION_TYPE)
        with traced(self._tracer, TRACE, parent) as trace:
            outcome = await self._outcome(request, seat)
            if trace is not None:
                tell_outcome(trace, outcome)
        grant = outcome.grant
        if outcome.token is None or grant is None:
            reason = outcome.reason or Reason.FAULT
            log.info("no exchange for %s: %s (%s)", address, outcome.message, reason.value)
            self._ledger.turned_away(seat, outcome)
            return No(reason=reason, ours=reason in {Reason.LEDGER_DOWN, Reason.FAULT})
        return Issued(
            token=outcome.token,
            expires_at=grant.expires_at,
            account=grant.account,
            servers=await self._places(),
        )

    async def _outcome(self, request: Request, seat: Seat) -> Outcome:
        limit = asyncio.get_running_loop().time() + self.settings.patience
        try:
            self._prove(request)
            credentials = Credentials(
                token=request.subject_token, address=seat.address, connection_type=CONNECTION_TYPE
            )
            async with asyncio.timeout_at(limit):
                return await self._desk.decide(credentials, seat, deadline=limit)
        except LoginRefusedError as refusal:
            return Outcome(reason=refusal.reason, message=str(refusal))
        except TimeoutError:
            return Outcome(reason=Reason.TOO_LATE, message="no decision in time")
        except AccreditError as error:
            log.error("an exchange could not be decided: %s", error)  # noqa: TRY400  the words say all
            return Outcome(reason=Reason.LEDGER_DOWN, message=str(error))
        except Exception as error:
            # Our own fault must not let anybody in.
            log.exception("an exchange could not be decided")
            return Outcome(reason=Reason.FAULT, message=type(error).__name__)

    def _prove(self, request: Request) -> None:
        """Steps 2 to 4."""
        now = int(self._now())
        end = self._challenges.end(request.nonce, now=now)
        if end is None:
            raise LoginRefusedError(Reason.POSSESSION, "the challenge is not ours, or its time is over")
        signature = signature_bytes(request.signature)
        message = challenged(request.nonce, request.public, request.subject_token)
        if signature is None or not verify(request.public, message, signature):
            raise LoginRefusedError(Reason.POSSESSION, f"{request.public} did not sign the challenge")
        if not self._spent.spend(request.nonce, until=end, now=now):
            raise LoginRefusedError(Reason.REQUEST_REPLAYED, "the challenge was used before")

    async def _places(self) -> tuple[str, ...]:
        """Where the servers are; as known last, if the store does not say."""
        try:
            self._where = tuple(await asyncio.to_thread(self._servers))
        except AccreditError as error:
            log.warning("the servers' addresses are not known: %s", error)
        return self._where


def open_exchange(
    document: object,
    configured: Sequence[Configured],
    *,
    directories: Directories,
    rules: Rulebook,
    ledger: RefusalLedger,
    signer: Callable[[], Signer],
    servers: Callable[[], Sequence[str]],
    now: Callable[[], float],
    tracer: Tracer | None = None,
    at: str = "/exchange",
) -> Exchange | None:
    """Token exchange as the `exchange` member of callout.yaml has it; None where it is not wanted.

    Raises:
        DirectorySettingsError, ExchangeSettingsError: what stands there cannot be used.
    """
    if document is None:
        return None
    settings = read_settings(document, ExchangeSettings, at=at)
    offered = sources(settings, configured, at=at)
    if not settings.enabled:
        return None
    return Exchange(
        settings,
        directories=directories,
        rules=rules,
        ledger=ledger,
        signer=signer,
        servers=servers,
        now=now,
        offered=offered,
        tracer=tracer,
    )
