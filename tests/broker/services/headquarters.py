"""A core on a clock of its own, with the system account in force and its services running."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from broker.account import Account
from broker.client import Client, Kind
from broker.configuration.options import Options
from broker.core import Core, Resolver
from broker.enforcement.admission import Trust
from broker.identity import Identity
from broker.protocol.connect import ConnectOptions
from broker.protocol.texts import Closed
from broker.routing import Message
from broker.services import Services
from broker.sources import FolderResolver, MemoryResolver
from broker.trie import Subscription
from issuer.claims.account import new_account
from issuer.claims.operator import new_operator
from issuer.claims.user import new_user
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.tokens.envelope import Token, encode
from issuer.tokens.signer import SeedSigner

START = 1_700_000_000.5


class Port:
    """Where a client's bytes end."""

    def write(self, data: bytes) -> None: ...

    def pending(self) -> int:
        return 0

    def end(self, closed: Closed) -> None: ...


@dataclass
class Handle:
    due: float
    callback: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Headquarters:
    """`kind` says where accounts come from: full, cache or memory."""

    folder: Path
    kind: str = "full"
    limit: int = 0
    allow_delete: bool = True
    time: float = START
    timers: list[Handle] = field(default_factory=list)
    heard: list[tuple[str, Any]] = field(default_factory=list)
    signers: dict[str, Seed] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.operator = Seed.generate(Role.OPERATOR)
        self.system = self.seed("SYS").public
        claims = new_operator(self.operator.public, "O")
        claims = replace(claims, nats=replace(claims.nats, system_account=self.system))
        token = encode(claims, SeedSigner(self.operator), now=int(self.time)).token
        self.resolver = self._resolver()
        self.core = Core(
            Options.defaults(),
            Identity(name="here", host="machine"),
            Trust.of([token]),
            self.resolver,
            clock=lambda: self.time,
            later=self.later,
            chance=lambda: 0.0,
            randomness=lambda size: bytes(range(size)),
        )
        self.ldm: list[Client] = []
        self.services = Services(self.core, on_reload=lambda: None, on_lame_duck=self.ldm.append)
        self.put("SYS")

    def _resolver(self) -> Resolver:
        if self.kind == "memory":
            return MemoryResolver({})
        return FolderResolver(
            self.folder,
            full=self.kind == "full",
            allow_delete=self.allow_delete,
            hard_delete=False,
            limit=self.limit,
            timeout=1.9,
            later=self.later,
        )

    @property
    def store(self) -> FolderResolver:
        assert isinstance(self.resolver, FolderResolver)
        return self.resolver

    def later(self, seconds: float, callback: Callable[[], None]) -> Handle:
        handle = Handle(self.time + seconds, callback)
        self.timers.append(handle)
        return handle

    def pass_time(self, seconds: float) -> None:
        until = self.time + seconds
        while due := [each for each in self.timers if not each.cancelled and each.due <= until]:
            first = min(due, key=lambda each: each.due)
            self.timers.remove(first)
            self.time = max(self.time, first.due)
            first.callback()
        self.time = until

    # --- accounts and connections ------------------------------------------------------------------

    def seed(self, name: str) -> Seed:
        return self.signers.setdefault(name, Seed.generate(Role.ACCOUNT))

    def public(self, name: str) -> PublicKey:
        return self.seed(name).public

    def token(self, name: str, *, by: Seed | None = None, expires: int = 0, **body: Any) -> Token:
        claims = new_account(self.public(name), name)
        claims = replace(claims, exp=expires, nats=replace(claims.nats, **body))
        return encode(claims, SeedSigner(by or self.operator), now=int(self.time)).token

    def put(self, name: str) -> Account:
        """Load an account, as a connection to it would."""
        return self.core.update_account(self.token(name))

    def enter(self, account: Account, name: str = "", *, bearer: bool = False) -> Client:
        """A user of an account that is in."""
        user = Seed.generate(Role.USER)
        client = self.core.open(Kind.NATS, Port(), "127.0.0.1", 4000)
        signer = next(seed for seed in self.signers.values() if seed.public == account.public)
        claims = new_user(user.public, name)
        claims = replace(claims, nats=replace(claims.nats, bearer_token=bearer))
        signed = encode(claims, SeedSigner(signer), now=int(self.time))
        client.token, client.user, client.effective = signed.token, signed.claims, signed.claims
        client.issuer, client.options = signed.claims.iss, ConnectOptions(name=name)
        client.name_tag = account.name
        self.core.bind(client, account, None)
        self.core.announce(client)
        return client

    def listen(self, client: Client, subject: str) -> None:
        sid = str(len(client.subscriptions) + 1)
        assert self.core.subscribe_client(client, Subscription(subject, sid=sid, client=client))

    # --- questions and events ----------------------------------------------------------------------

    @property
    def system_account(self) -> Account:
        assert self.core.system is not None
        return self.core.system

    def hear(self, subject: str) -> None:
        self.core.subscribe(self.system_account, subject, self._note)

    def _note(self, message: Message) -> None:
        self.heard.append((message.subject, json.loads(message.payload)))

    def ask(self, subject: str, body: Any = b"", *, account: Account | None = None) -> list[bytes]:
        """Every answer there is at once."""
        found: list[bytes] = []
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        to = account or self.system_account
        inbox = self.core.subscribe(to, "_INBOX.q", lambda message: found.append(message.payload))
        self.core.publish(to, subject, payload, reply="_INBOX.q")
        self.core.unsubscribe_inner(to, inbox)
        return found

    def answer(self, subject: str, body: Any = b"", *, account: Account | None = None) -> dict[str, Any]:
        """The one answer there is."""
        (only,) = self.ask(subject, body, account=account)
        found: dict[str, Any] = json.loads(only)
        return found
