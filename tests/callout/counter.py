"""A desk with everything around it in memory: a directory of names, a policy, an account, a ledger."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from callout.desk import Desk, Login, Outcome
from callout.directories.directory import Credentials, Directory
from callout.mint import Place
from callout.policy.index import Compiled, compiled
from callout.policy.reading import read_policy
from callout.refusals import LoginRefusedError, Reason
from callout.request import AuthorizationRequest
from issuer.claims.account import AccountClaims, Scope, new_account
from issuer.claims.fields import with_body
from issuer.claims.user import new_template
from issuer.errors import Unavailable
from issuer.grants import Denial, Identity
from issuer.keys.nkeys import Role, Seed
from issuer.subjects import Subject
from issuer.tokens.signer import SeedSigner

POLICY = {
    "version": 1,
    "bindings": [{"name": "staff", "match": {"directory": "names"}, "account": "GRID", "roles": ["reader"]}],
}


@dataclass
class Names:
    """Whoever says the right password is who he says he is."""

    people: dict[str, str]
    name: str = "names"
    wait: float = 0.0
    fault: Exception | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def claims(self, credentials: Credentials) -> bool:
        return bool(credentials.user)

    async def identify(self, credentials: Credentials, *, now: float, deadline: float) -> Identity:
        self.asked.set()
        await asyncio.sleep(self.wait)
        if self.fault is not None:
            raise self.fault
        if self.people.get(credentials.user) != credentials.password:
            raise LoginRefusedError(Reason.CREDENTIALS_WRONG, f"not the password of {credentials.user}")
        return Identity(
            issuer="test:names", subject=credentials.user, name=credentials.user, directory=self.name
        )


@dataclass
class Counter:
    """What a desk and a responder need, to be changed by tests."""

    now: float
    directory: Names = field(default_factory=lambda: Names({"ann": "secret"}))
    policy_data: dict[str, Any] = field(default_factory=lambda: dict(POLICY))
    denied: tuple[Denial, ...] = ()
    account: Seed = field(default_factory=lambda: Seed.generate(Role.ACCOUNT))
    role: Seed = field(default_factory=lambda: Seed.generate(Role.ACCOUNT))
    ledger_down: bool = False
    written: list[Login] = field(default_factory=list)
    told: list[tuple[AuthorizationRequest | None, Outcome]] = field(default_factory=list)

    def claims(self) -> AccountClaims:
        template = new_template(allow_pub=(Subject("grid.>"),), allow_sub=(Subject("_INBOX.>"),))
        scope = Scope(key=self.role.public, role="reader", template=template)
        return with_body(new_account(self.account.public, "GRID"), signing_keys=(scope,))

    def desk(self) -> Desk:
        return Desk(self, self, self, now=lambda: self.now, chance=lambda: 0.0)

    # --- as the desk's directories, rulebook and ledger, and as the responder's recorder -----------

    def choose(self, credentials: Credentials) -> Directory:
        if not self.directory.claims(credentials):
            raise LoginRefusedError(Reason.NO_DIRECTORY, "nobody answers for these credentials")
        return self.directory

    def policy(self) -> tuple[int, Compiled]:
        return 7, compiled(read_policy(self.policy_data))

    def denials(self) -> tuple[Denial, ...]:
        return self.denied

    def place(self, account: str) -> Place | None:
        if account != "GRID":
            return None
        return Place(claims=self.claims(), roles={"reader": SeedSigner(self.role)})

    async def granted(self, login: Login) -> None:
        if self.ledger_down:
            raise Unavailable("the database does not answer")
        self.written.append(login)

    def refused(self, request: AuthorizationRequest | None, outcome: Outcome) -> None:
        self.told.append((request, outcome))

    def admitted(self, request: AuthorizationRequest, outcome: Outcome, seconds: float) -> None:
        self.told.append((request, outcome))
