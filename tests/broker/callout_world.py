"""A core on a clock of its own, with an account that has a callout and a service that answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from broker.account import Account
from broker.client import Client, Kind
from broker.configuration.options import Options
from broker.core import Core
from broker.delegation import Declined, Delegation, Placed
from broker.enforcement.admission import Admission, Attempt, Trust, admit, identify
from broker.identity import Identity
from broker.protocol.connect import ConnectOptions
from broker.protocol.texts import Closed
from broker.routing import Message
from issuer.claims.account import ExternalAuthorization, new_account
from issuer.claims.exchange import (
    AuthorizationRequestClaims,
    AuthorizationResponseBody,
    AuthorizationResponseClaims,
)
from issuer.claims.user import new_user
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.keys.xkeys import open_sealed
from issuer.tokens.envelope import decode, encode
from issuer.tokens.signer import SeedSigner

START = 1_700_000_000.5
TIMEOUT = 2.0
SUBJECT = "$SYS.REQ.USER.AUTH"
INBOX = r"\$SYS\._INBOX\.[0-9A-Za-z]{8}\.[0-9A-Za-z]{8}"


@dataclass
class Port:
    """Where a client's bytes end."""

    sent: bytes = b""
    ended: Closed | None = None

    def write(self, data: bytes) -> None:
        self.sent += data

    def pending(self) -> int:
        return 0

    def end(self, closed: Closed) -> None:
        self.ended = closed


@dataclass
class Handle:
    due: float
    callback: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Watcher:
    """Whoever is told."""

    seen: list[tuple[Account | None, str]] = field(default_factory=list)
    where: list[str] = field(default_factory=list)

    def connected(self, client: Client) -> None: ...

    def disconnected(self, client: Client) -> None: ...

    def refused(self, client: Client, account: Account | None, reason: str) -> None:
        self.seen.append((account, reason))
        self.where.append(client.account.public if client.account else "")


@dataclass
class House:
    seed: Seed = field(default_factory=lambda: Seed.generate(Role.ACCOUNT))

    @property
    def public(self) -> PublicKey:
        return self.seed.public


class World:
    """A core with two accounts, one with a callout, and a service that answers as `answer` says."""

    def __init__(self, *, xkey: bool = False, options: Options | None = None) -> None:
        self.time = START
        self.timers: list[Handle] = []
        self.ports: dict[int, Port] = {}
        self.tokens: dict[str, str] = {}
        self.fetched: list[Callable[[str | None], None]] = []
        self.operator = Seed.generate(Role.OPERATOR)
        self.house, self.target = House(), House()
        self.sentinel, self.service = (Seed.generate(Role.USER) for _ in range(2))
        self.curve = Seed.generate(Role.CURVE)
        self.core = Core(
            options or in_time(Options.defaults()),
            Identity(name="here", host="machine"),
            Trust(keys=frozenset({self.operator.public})),
            self,
            clock=lambda: self.time,
            later=self._later,
            chance=lambda: 0.0,
            randomness=lambda size: bytes(range(size)),
        )
        self.watcher = Watcher()
        self.core.observers.append(self.watcher)
        external = ExternalAuthorization(
            auth_users=(self.service.public,),
            allowed_accounts=(self.target.public,),
            xkey=self.curve.public if xkey else "",
        )
        self.callout = self.account(self.house, "house", authorization=external)
        self.other = self.account(self.target, "target")
        self.delegation = Delegation(self.core)
        self.messages: list[Message] = []
        self.answers: list[bytes] = []
        self.reply: Callable[[AuthorizationRequestClaims], list[bytes]] = lambda _: []
        self.core.subscribe(self.callout, SUBJECT, self._asked)
        self.results: list[Placed | Declined] = []

    def _later(self, seconds: float, callback: Callable[[], None]) -> Handle:
        handle = Handle(self.time + seconds, callback)
        self.timers.append(handle)
        return handle

    def pass_time(self, seconds: float = 0.0) -> None:
        until = self.time + seconds
        while True:
            due = [each for each in self.timers if not each.cancelled and each.due <= until]
            if not due:
                break
            first = min(due, key=lambda each: each.due)
            self.timers.remove(first)
            self.time = max(self.time, first.due)
            first.callback()
        self.time = until

    def fetch(self, account: PublicKey, then: Callable[[str | None], None]) -> None:
        if account in self.tokens:
            self.fetched.append(then)
        else:
            then(None)

    def account(self, house: House, name: str, **members: Any) -> Account:
        account = Account(house.public, name)
        base = new_account(house.public, name)
        account.claims = replace(base, iss=self.operator.public, nats=replace(base.nats, **members))
        return self.core.add_account(account)

    def change(self, account: Account, **members: Any) -> None:
        assert account.claims is not None
        account.claims = replace(account.claims, nats=replace(account.claims.nats, **members))

    # --- the service -------------------------------------------------------------------------------

    def _asked(self, message: Message) -> None:
        self.messages.append(message)
        for answer in self.reply(self.request(message)):
            self.core.publish(self.callout, message.reply, answer)

    def request(self, message: Message) -> AuthorizationRequestClaims:
        payload = message.payload
        if message.headers:
            payload = open_sealed(payload, recipient=self.curve, sender=self.core.identity.xkey)
        return decode(payload.decode(), AuthorizationRequestClaims).claims

    def good(self, request: AuthorizationRequestClaims, *, by: Seed | None = None, **members: Any) -> bytes:
        top = {name: members.pop(name) for name in ("name", "exp") if name in members}
        base = new_user(PublicKey(request.nats.user_nkey), "")
        claims = replace(base, nats=replace(base.nats, **members), **top)
        token = encode(claims, SeedSigner(by or self.target.seed), now=int(self.time)).token
        return self.response(request, jwt=token)

    def response(self, request: AuthorizationRequestClaims, **members: Any) -> bytes:
        claims = AuthorizationResponseClaims(
            sub=PublicKey(request.nats.user_nkey),
            aud=request.nats.server_id.id,
            nats=AuthorizationResponseBody(**members),
        )
        return encode(claims, SeedSigner(self.house.seed), now=int(self.time)).token.encode()

    # --- the client --------------------------------------------------------------------------------

    def sentinel_token(self, **members: Any) -> str:
        top = {name: members.pop(name) for name in ("exp", "sub") if name in members}
        base = new_user(self.sentinel.public, "sentinel")
        body = replace(base.nats, bearer_token=True, tags=("a:b",), **members)
        claims = replace(base, nats=body, **top)
        return encode(claims, SeedSigner(self.house.seed), now=int(self.time)).token

    def come(self, **said: Any) -> Client:
        port = Port()
        client = self.core.open(Kind.NATS, port, "10.1.2.3", 4222)
        self.ports[client.cid] = port
        said.setdefault("jwt", self.sentinel_token())
        client.options = ConnectOptions(**said)
        client.nonce = "nonce"
        return client

    def admission(self, client: Client) -> tuple[Attempt, Admission]:
        said = client.options
        attempt = Attempt(
            token=said.jwt,
            signature=said.sig,
            nonce=client.nonce,
            user=said.user,
            password=said.password,
            auth_token=said.auth_token,
            nkey=said.nkey,
            name=said.name,
            lang=said.lang,
            version=said.version,
            protocol=said.protocol,
            address=client.address,
            connection_type=client.type,
        )
        trust = self.core.trust
        assert trust is not None
        identified = identify(attempt, trust, now=self.time, read=self.core.tokens.read)
        facts = self.core.facts(self.callout)
        return attempt, admit(identified, attempt, trust, facts, now=self.time)

    def ask(self, client: Client) -> None:
        attempt, admission = self.admission(client)
        assert admission.delegated
        self.delegation.ask(client, self.callout, admission, attempt, self.results.append)

    def enter(self, client: Client) -> Placed | None:
        """Ask, let the answer come, and put it in force."""
        self.ask(client)
        self.pass_time()
        assert len(self.results) == 1
        return self.delegation.place(client, self.results[0])

    def ask_and_place(self, client: Client) -> None:
        attempt, admission = self.admission(client)

        def then(answer: Placed | Declined) -> None:
            self.delegation.place(client, answer)

        self.delegation.ask(client, self.callout, admission, attempt, then)

    def words_to(self, client: Client) -> bytes:
        self.core.router.flush()
        return self.ports[client.cid].sent


def in_time(options: Options, **members: Any) -> Options:
    return dataclasses.replace(options, authorization_timeout=TIMEOUT, server_tags=("rack:1",), **members)
