"""Token exchange over a desk in memory, asked over HTTP as a client asks."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI

from callout.desk import Outcome, Seat
from callout.directories.directory import Credentials, Directory
from callout.refusals import LoginRefusedError, Reason
from callout.tracing import Tracer
from issuer.client import GRANT, TokenType
from issuer.grants import Identity
from issuer.keys.nkeys import Role, Seed
from issuer.tokens.possession import challenged, signature_text
from issuer.tokens.signer import SeedSigner
from tests.callout.counter import Counter
from web.exchange.router import exchange_router
from web.exchange.service import Exchange
from web.exchange.settings import ExchangeSettings, Source

NOW = 1_800_000_000
GOOD = "the-token-of-ann"


@dataclass
class Tokens:
    """Knows the tokens of some people."""

    people: dict[str, str] = field(default_factory=lambda: {GOOD: "ann"})
    name: str = "names"
    fault: Exception | None = None
    wait: float = 0.0
    asked: list[Credentials] = field(default_factory=list)

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def claims(self, credentials: Credentials) -> bool:
        return bool(credentials.token)

    async def identify(self, credentials: Credentials, *, now: float, deadline: float) -> Identity:
        self.asked.append(credentials)
        await asyncio.sleep(self.wait)
        if self.fault is not None:
            raise self.fault
        who = self.people.get(credentials.token)
        if who is None:
            raise LoginRefusedError(Reason.CREDENTIALS_WRONG, "nobody's token")
        return Identity(issuer="test:names", subject=who, name=who, directory=self.name)


class Caller:
    """Calls an application without a socket; whatever it raises is raised here."""

    def __init__(self, app: FastAPI) -> None:
        self._transport = httpx.ASGITransport(app, client=("192.0.2.7", 40000))

    def get(self, path: str) -> httpx.Response:
        return self._called("GET", path)

    def post(self, path: str, **members: Any) -> httpx.Response:
        return self._called("POST", path, **members)

    def _called(self, method: str, path: str, **members: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://accredit") as client:
                return await client.request(method, path, **members)

        return asyncio.run(call())


class Booth(Counter):
    """The exchange, and whoever stands before it."""

    def __init__(
        self, settings: ExchangeSettings | None = None, *, tracer: Tracer | None = None, **members: Any
    ) -> None:
        super().__init__(NOW, **members)
        self.tracer = tracer
        self.tokens = Tokens()
        self.signer = SeedSigner(Seed.generate(Role.ACCOUNT))
        self.user = Seed.generate(Role.USER)
        self.turned: list[tuple[Seat | None, Outcome]] = []
        self.exchange = self.replica(settings)
        self.client = self.over(self.exchange)

    def replica(self, settings: ExchangeSettings | None = None) -> Exchange:
        """One process; all of them hold the same signer."""
        return Exchange(
            settings or ExchangeSettings(),
            directories=self,
            rules=self,
            ledger=self,
            signer=lambda: self.signer,
            servers=lambda: ("nats://n1:4222",),
            now=lambda: self.now,
            offered=(
                Source(
                    name="okta", issuer="https://id.example", client_id="cli", scopes=("openid", "groups")
                ),
            ),
            tracer=self.tracer,
        )

    def over(self, exchange: Exchange) -> Caller:
        app = FastAPI()
        app.include_router(exchange_router(exchange, now=lambda: self.now))
        return Caller(app)

    # --- as the exchange's directories and ledger -------------------------------------------------------

    def choose(self, credentials: Credentials) -> Directory:
        return self.tokens

    def turned_away(self, seat: Seat | None, outcome: Outcome) -> None:
        self.turned.append((seat, outcome))

    # --- as a client ------------------------------------------------------------------------------------

    def nonce(self) -> str:
        answer = self.client.post("/api/v1/token/challenge")
        assert answer.status_code == 200, answer.text
        return str(answer.json()["nonce"])

    def form(self, token: str = GOOD, *, nonce: str | None = None, **changed: str) -> dict[str, str]:
        """What a client sends; `changed` after it was signed."""
        nonce = self.nonce() if nonce is None else nonce
        signature = self.user.sign(challenged(nonce, self.user.public, token))
        return {
            "grant_type": GRANT,
            "subject_token": token,
            "subject_token_type": TokenType.JWT,
            "public_key": self.user.public,
            "nonce": nonce,
            "signature": signature_text(signature),
            **changed,
        }

    def ask(self, form: dict[str, str] | None = None, *, client: Caller | None = None, **members: Any) -> Any:
        data = self.form() if form is None else form
        return (client or self.client).post("/api/v1/token", data=data, **members)

    @property
    def reasons(self) -> list[Reason | None]:
        return [outcome.reason for _, outcome in self.turned]


def shown(answer: Any) -> tuple[int, str]:
    """All that a client can tell one answer from another by, but for its date."""
    headers = {name: value for name, value in answer.headers.items() if name != "date"}
    return answer.status_code, json.dumps([answer.text, sorted(headers.items())])
