"""One login, from a proved request to a token or a refusal: who, allowed what, until when, written down.

The order is that of the docs: the directory that the credentials are for, then the denials, then
the policy, then the token, then the ledger. Nothing is given away that the ledger has not taken.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

import msgspec

from callout.directories.directory import Credentials, Directory
from callout.mint import Place, mint
from callout.policy.decision import Connection, Grant, Refusal, Step
from callout.policy.index import Compiled
from callout.policy.match import decide
from callout.refusals import DirectoryDownError, LoginRefusedError, Reason
from callout.request import AuthorizationRequest
from issuer.grants import Denial, Identity, Session, groups_hash
from issuer.keys.nkeys import PublicKey
from issuer.tokens.envelope import Token, token_hash


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


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a login came to; `token` is there only if it is let in."""

    token: Token | None = None
    identity: Identity | None = None
    grant: Grant | None = None
    reason: Reason | None = None
    message: str = ""
    """For the operator."""
    steps: tuple[Step, ...] = ()

    def __repr__(self) -> str:
        who = self.identity.name if self.identity is not None else "somebody"
        return f"Outcome({who}, {self.reason.value if self.reason else 'in'})"


class Desk:
    """Decides logins. Holds no state but what it is handed."""

    def __init__(
        self,
        directories: Directories,
        rules: Rulebook,
        ledger: Ledger,
        *,
        now: Callable[[], float],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._directories = directories
        self._rules = rules
        self._ledger = ledger
        self._now = now
        self._chance = chance

    async def decide(self, credentials: Credentials, seat: Seat, *, deadline: float) -> Outcome:
        """Let in or refuse; never raises for what a client, a directory or a policy does.

        `deadline` is on the running loop's clock, and is the directory's to keep.

        Raises:
            AccreditError: the ledger did not take a login; it did not happen.
        """
        identity: Identity | None = None
        try:
            directory = self._directories.choose(credentials)
            identity = await directory.identify(credentials, now=self._now(), deadline=deadline)
            return await self._admit(seat, identity)
        except (LoginRefusedError, DirectoryDownError) as refusal:
            return Outcome(identity=identity, reason=refusal.reason, message=str(refusal))

    async def _admit(self, seat: Seat, identity: Identity) -> Outcome:
        now = int(self._now())
        version, policy = self._rules.policy()
        connection = Connection(address=seat.address, type=seat.connection_type)
        decision = decide(identity, policy, now=now, connection=connection, chance=self._chance())
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
        signed = mint(grant, identity, seat.user, place, now=now)
        session = session_of(seat, identity, grant, place, version=version, now=now)
        await self._ledger.granted(
            Login(session=session, identity=identity, jti=signed.claims.jti, sha256=token_hash(signed.token))
        )
        return Outcome(token=Token(signed.token), identity=identity, grant=grant, steps=grant.steps)


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
