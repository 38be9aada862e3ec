"""A server, real or ours, with an account whose logins our own service decides, and one it places them in."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import nats
from msgspec.structs import replace
from nats.aio.client import Client

from callout.answer import Voice
from callout.connection import Connection
from callout.request import Rules
from callout.responder import Responder, Settings
from issuer.claims.account import AccountClaims, ExternalAuthorization, new_account
from issuer.claims.fields import Permission, with_body
from issuer.claims.operator import new_operator
from issuer.claims.user import UserClaims, new_user
from issuer.interop.server_config import ServerConfig, render
from issuer.keys.nkeys import Role, Seed
from issuer.subjects import Subject
from issuer.tokens.envelope import Token, encode
from issuer.tokens.signer import SeedSigner
from tests.callout.counter import Counter
from tests.system.broker.callout.scene import Server, Which

PATIENCE = 10.0


@dataclass
class House:
    """Keys and claims; `counter` is what decides."""

    sealed: bool = False
    timeout: float = 2.0
    counter: Counter = field(default_factory=lambda: Counter(time.time()))
    operator: Seed = field(default_factory=lambda: Seed.generate(Role.OPERATOR))
    system: Seed = field(default_factory=lambda: Seed.generate(Role.ACCOUNT))
    door: Seed = field(default_factory=lambda: Seed.generate(Role.ACCOUNT))
    service: Seed = field(default_factory=lambda: Seed.generate(Role.USER))
    sentinel: Seed = field(default_factory=lambda: Seed.generate(Role.USER))
    curve: Seed = field(default_factory=lambda: Seed.generate(Role.CURVE))

    def door_claims(self) -> AccountClaims:
        external = ExternalAuthorization(
            auth_users=(self.service.public,),
            allowed_accounts=(self.counter.account.public,),
            xkey=self.curve.public if self.sealed else "",
        )
        return with_body(new_account(self.door.public, "DOOR"), authorization=external)

    def config(self) -> str:
        def signed(claims: Any, seed: Seed) -> Token:
            return encode(claims, SeedSigner(seed), now=int(time.time())).token

        operator = with_body(new_operator(self.operator.public, "O"), system_account=self.system.public)
        every = {
            "SYS": new_account(self.system.public, "SYS"),
            "DOOR": self.door_claims(),
            "GRID": self.counter.claims(),
        }
        accounts = {str(claims.sub): (name, signed(claims, self.operator)) for name, claims in every.items()}
        text = render(
            ServerConfig("memory", "O", signed(operator, self.operator), self.system.public, accounts)
        )
        # Who shows no token comes with this one: a client with creds cannot show a password as well.
        guest = f"default_sentinel: {self.sentinel_token()}"
        return f"{text}\nauthorization {{ timeout: {self.timeout} }}\n{guest}\n"

    def user(self, seed: Seed, **body: Any) -> Token:
        claims: UserClaims = new_user(seed.public, "user")
        claims = replace(claims, nats=replace(claims.nats, **body))
        return encode(claims, SeedSigner(self.door), now=int(time.time())).token

    def sentinel_token(self) -> Token:
        """A user that may nothing but be asked about."""
        nothing = Permission(deny=(Subject(">"),))
        return self.user(self.sentinel, pub=nothing, sub=nothing, bearer_token=True)

    def responder(self, settings: Settings | None = None) -> Responder:
        curve = self.curve if self.sealed else None
        voice = Voice(account=self.door.public, signer=SeedSigner(self.door), curve=curve)
        rules = Rules(account=self.door.public, curve=curve)
        self.counter.now = time.time()
        return Responder(
            self.counter.desk(), lambda: voice, lambda: rules, self.counter, now=time.time, settings=settings
        )

    def connection(self, port: int, responder: Responder) -> Connection:
        token = self.user(self.service)
        return Connection([f"nats://127.0.0.1:{port}"], lambda: (token, SeedSigner(self.service)), responder)


@asynccontextmanager
async def serving(
    house: House, which: Which, *, settings: Settings | None = None
) -> AsyncIterator[tuple[Server, Connection]]:
    """The server with the service on it."""
    with Server(which, house.config()) as server:
        connection = house.connection(server.port, house.responder(settings))
        await connection.open()
        try:
            yield server, connection
        finally:
            await connection.close(patience=PATIENCE)


async def login(server: Server, **who: str) -> Client:
    """An unmodified client at the door.

    Raises:
        nats.errors.Error: it is not let in.
    """
    return await nats.connect(
        f"nats://127.0.0.1:{server.port}",
        allow_reconnect=False,
        connect_timeout=5,
        **who,
    )
