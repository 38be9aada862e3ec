"""One login, from a proved request to a token or a refusal: who, allowed what, until when, written down.

The order is that of the docs: the directory that the credentials are for, then the denials, then
the policy, then the token, then the ledger. Nothing is given away that the ledger has not taken.

Where a directory gives no answer, whom it vouched for lately may have a grace (`callout.grace`).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from callout.directories.directory import Credentials, Directory
from callout.grace import Acquaintances, Known, Outages
from callout.mint import Place, mint
from callout.policy.decision import Connection, Decision, Grant, Granted, Refusal, Step
from callout.policy.index import Compiled
from callout.policy.match import decide
from callout.refusals import DirectoryDownError, LoginRefusedError, Reason
from callout.request import AuthorizationRequest
from callout.tracing import Trace, step
from issuer.grants import Denial, Identity, Session, groups_hash
from issuer.keys.nkeys import PublicKey
from issuer.tokens.envelope import Token, token_hash

log = logging.getLogger("accredit.callout")

GRACE_SECONDS: Final = 0.25
"""Of the time that the server has patience, for who has a grace: what a directory does not say in the rest,
it does not say."""
DAY: Final = 86_400
LONGEST_PROOF: Final = 6 * DAY
"""How long a token that is good once may last; that it was used is remembered for a day more."""
FAIR_SECONDS: Final = 0.5
"""A directory that was given less is not taken to be down: it is we who are slow."""


class Directories(Protocol):
    """All configured directories."""

    def choose(self, credentials: Credentials) -> Directory:
        """The one these credentials are for.

        Raises:
            LoginRefusedError: none, or more than one, or it is disabled.
        """


class Rulebook(Protocol):
    """What holds now; asked at every login, so it answers from memory."""

    def policy(self) -> tuple[int, Compiled]:
        """The policy in force and its version.

        Raises:
            LoginRefusedError: there is none, or it is too old to be relied on.
        """

    def denials(self) -> tuple[Denial, ...]: ...

    def place(self, account: str) -> Place | None:
        """An account by its name or key."""


class Ledger(Protocol):
    """Where logins are written down."""

    async def granted(self, login: Login) -> None:
        """Take it, for good.

        Raises:
            AccreditError: it could not be written: the login does not happen.
        """


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """What a token is asked for: a connection of a server, or, without one, a key to carry about."""

    user: PublicKey
    """The token's subject."""
    server_id: str = ""
    server: str = ""
    client_id: int = 0
    address: str = ""
    connection_type: str = ""

    @classmethod
    def of(cls, request: AuthorizationRequest) -> Seat:
        """The connection a server asks about."""
        return cls(
            user=request.user,
            server_id=request.server.id,
            server=request.server.name,
            client_id=request.client.id,
            address=request.client.host,
            connection_type=request.client.type,
        )


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """One login that was let in."""

    session: Session
    identity: Identity
    jti: str
    sha256: str
    """Of the token, which itself is nobody's business."""
    proved_at: int | None = None
    """Only where its directory was down, and it came in by its grace: when it was last proved."""
    first: bool = False
    """Whether it is the first of that outage: an alarm."""
    proof: str = ""
    """Digest of what was shown, where that is used up by this login: the ledger takes it once."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a login came to; `token` is there only if it is let in."""

    token: Token | None = None
    identity: Identity | None = None
    grant: Grant | None = None
    reason: Reason | None = None
    message: str = ""
    """For the operator."""
    steps: tuple[Step, ...] = ()
    grace: bool = False
    """Let in although its directory was down."""
    waited: float = 0.0
    """Seconds until it was its turn."""

    def __repr__(self) -> str:
        who = self.identity.name if self.identity is not None else "somebody"
        return f"Outcome({who}, {self.reason.value if self.reason else 'in'})"


def tell_outcome(trace: Trace, outcome: Outcome) -> None:
    """What became of a login, for its trace: names of the configuration and codes, nothing of the person."""
    if outcome.token is None:
        trace.code = (outcome.reason or Reason.FAULT).value
    if outcome.identity is not None:
        trace.attributes["accredit.directory"] = outcome.identity.directory
    if outcome.grant is not None:
        trace.attributes["accredit.account"] = outcome.grant.account
        trace.attributes["accredit.bindings"] = list(outcome.grant.bindings)
    if outcome.grace:
        trace.attributes["accredit.grace"] = True


class Desk:
    """Decides logins. Of its own it keeps only whom it let in, where a binding gives a grace."""

    def __init__(
        self,
        directories: Directories,
        rules: Rulebook,
        ledger: Ledger,
        *,
        now: Callable[[], float],
        chance: Callable[[], float] = random.random,
        known: Acquaintances | None = None,
    ) -> None:
        self._directories = directories
        self._rules = rules
        self._ledger = ledger
        self._now = now
        self._chance = chance
        self._known = known if known is not None else Acquaintances()
        self._outages = Outages()

    def choose(self, credentials: Credentials) -> Directory | None:
        """The directory they are for, if it can be asked; no I/O. `decide` tells why there is none."""
        try:
            return self._directories.choose(credentials)
        except (LoginRefusedError, DirectoryDownError):
            return None

    async def decide(
        self,
        credentials: Credentials,
        seat: Seat,
        *,
        deadline: float,
        directory: Directory | None = None,
    ) -> Outcome:
        """Let in or refuse; never raises for what a client, a directory or a policy does.

        `deadline` is on the running loop's clock, and is the directory's to keep. `directory` is the one
        that `choose` told, if it was asked.

        Raises:
            AccreditError: the ledger did not take a login; it did not happen.
        """
        identity: Identity | None = None
        known = self._acquaintance(credentials, seat, deadline)
        try:
            if directory is None:
                directory = self._directories.choose(credentials)
            identity = await self._identify(directory, credentials, known, deadline)
            outcome = await self._admit(seat, identity, credentials)
        except LoginRefusedError as refusal:
            if identity is None:
                self._known.forget(credentials)
            return Outcome(identity=identity, reason=refusal.reason, message=str(refusal))
        except DirectoryDownError as down:
            if known is None:
                return Outcome(identity=identity, reason=down.reason, message=str(down))
            return await self._by_grace(seat, known, credentials, down)
        if outcome.grant is not None and seat.server_id:
            self._known.proved(credentials, identity, grace=outcome.grant.grace, now=self._now())
        return outcome

    def _acquaintance(self, credentials: Credentials, seat: Seat, deadline: float) -> Known | None:
        """Who may have a grace, should his directory be down."""
        if not seat.server_id:
            return None  # a token to carry about can be asked for again later
        known = self._known.recall(credentials, now=self._now())
        if known is None or deadline - asyncio.get_running_loop().time() < FAIR_SECONDS:
            return None
        return known

    async def _identify(
        self, directory: Directory, credentials: Credentials, known: Known | None, deadline: float
    ) -> Identity:
        if known is None:
            with step("directory", {"directory": directory.name}, outside=True):
                identity = await directory.identify(credentials, now=self._now(), deadline=deadline)
        else:
            limit = deadline - GRACE_SECONDS
            try:
                async with asyncio.timeout_at(limit):
                    with step("directory", {"directory": directory.name}, outside=True):
                        identity = await directory.identify(credentials, now=self._now(), deadline=limit)
            except TimeoutError:
                raise DirectoryDownError(f"{directory.name} gave no answer in its time") from None
        if self._outages.ends(directory.name):
            log.warning("directory %s answers again", directory.name)
        return identity

    async def _by_grace(
        self, seat: Seat, known: Known, credentials: Credentials, down: DirectoryDownError
    ) -> Outcome:
        """Somebody whose directory cannot be asked, but was, a short while ago."""
        identity = known.identity
        try:
            _, decision = self._decision(seat, identity)
            if isinstance(decision, Granted):
                until = known.until(decision.grant.grace)
                if not self._now() < until:
                    # The policy of today gives less than that of then.
                    return Outcome(identity=identity, reason=down.reason, message=str(down))
                # Nothing that is given by grace outlives it.
                identity = msgspec.structs.replace(identity, expires_at=int(until))
            return await self._admit(seat, identity, credentials, by=known)
        except LoginRefusedError as refusal:
            return Outcome(identity=identity, reason=refusal.reason, message=str(refusal))

    def _decision(self, seat: Seat, identity: Identity) -> tuple[int, Decision]:
        """What the policy says, and its version."""
        version, policy = self._rules.policy()
        connection = Connection(address=seat.address, type=seat.connection_type)
        with step("policy", {"version": version}):
            decision = decide(
                identity, policy, now=int(self._now()), connection=connection, chance=self._chance()
            )
        return version, decision

    async def _admit(
        self, seat: Seat, identity: Identity, credentials: Credentials, *, by: Known | None = None
    ) -> Outcome:
        """By the rules of now; `by` is there only for a grace."""
        now = int(self._now())
        version, decision = self._decision(seat, identity)
        if isinstance(decision, Refusal):
            return Outcome(
                identity=identity, reason=decision.reason, message=decision.message, steps=decision.steps
            )
        grant = decision.grant
        for denial in self._rules.denials():
            if denial.denies(identity, grant.bindings):
                words = f"cut off, {denial.reason or f'as {denial.target.value}'}"
                return Outcome(identity=identity, reason=Reason.DENIED, message=words, steps=grant.steps)
        place = self._rules.place(grant.account)
        if place is None:
            raise LoginRefusedError(Reason.NO_ROLE, f"there is no account {grant.account}")
        proof = used_up(credentials, identity, now=now) if grant.single_use else ""
        with step("mint"):
            signed = mint(grant, identity, seat.user, place, now=now)
        login = Login(
            session=session_of(seat, identity, grant, place, version=version, now=now),
            identity=identity,
            jti=signed.claims.jti,
            sha256=token_hash(signed.token),
            proof=proof,
        )
        with step("ledger"):
            await (self._ledger.granted(login) if by is None else self._grace_granted(login, by))
        return Outcome(
            token=Token(signed.token),
            identity=identity,
            grant=grant,
            steps=grant.steps,
            grace=by is not None,
        )

    async def _grace_granted(self, login: Login, by: Known) -> None:
        directory = login.identity.directory
        first = self._outages.begins(directory)
        if first:
            log.warning("directory %s gives no answer: some are let in by their grace", directory)
        try:
            await self._ledger.granted(
                msgspec.structs.replace(login, proved_at=int(by.proved_at), first=first)
            )
        except BaseException:
            if first:
                self._outages.ends(directory)  # the next one is the first that is written down
            raise


def used_up(credentials: Credentials, identity: Identity, *, now: int) -> str:
    """The digest of a token that is good once.

    Raises:
        LoginRefusedError: it is none, or it lasts longer than anybody remembers that it was used.
    """
    end = identity.expires_at
    if not credentials.token or end is None or end - now > LONGEST_PROOF:
        raise LoginRefusedError(
            Reason.CREDENTIALS_USED,
            f"the binding takes a token once, and this is none that ends within {LONGEST_PROOF // DAY} days",
            hint="only tokens of an OpenID provider, and keys that end, can be used up",
        )
    return token_hash(credentials.token)


def session_of(
    seat: Seat, identity: Identity, grant: Grant, place: Place, *, version: int, now: int
) -> Session:
    """What is kept of a login."""
    return Session(
        user_key=seat.user,
        identity=identity.digest(),
        issuer=identity.issuer,
        subject=identity.subject,
        name=identity.name,
        kind=identity.kind,
        directory=identity.directory,
        groups_hash=groups_hash(identity.groups),
        bindings=grant.bindings,
        policy_version=version,
        account=place.public,
        role="+".join(grant.roles),
        server_id=seat.server_id,
        server=seat.server,
        client_id=seat.client_id,
        address=seat.address,
        connection_type=seat.connection_type,
        proved_at=identity.authenticated_at,
        started_at=now,
        expires_at=grant.expires_at,
    )
