"""An operator in a real store, people with sessions in it, and somebody who ends them: noted, not done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import APIRouter, FastAPI
from msgspec.structs import replace

from callout.directories.secrets import Secret
from callout.mint import Place
from callout.policy.index import Compiled, compiled
from callout.policy.reading import read_policy
from issuer.audit import log
from issuer.audit.catalogue import EventCode
from issuer.audit.log import Event, append
from issuer.authority.cutting import Deny, affected, deny
from issuer.authority.desk import Actor, Authority
from issuer.authority.operators import AddOperator, add_operator
from issuer.claims.account import AccountClaims, Scope, new_account
from issuer.claims.fields import with_body
from issuer.claims.user import new_template
from issuer.custody.keyring import Keyring
from issuer.custody.master import MasterKey
from issuer.errors import Unavailable
from issuer.grants import Denial, Identity, Session, groups_hash
from issuer.keys.nkeys import Role, Seed
from issuer.store import hierarchy
from issuer.store.grants import add_policy, add_sessions, standing_denials
from issuer.store.identities import keep_identities
from issuer.store.sessions import Wanted, end_sessions, find_sessions
from issuer.store.unit import Database, Unit
from issuer.subjects import Subject
from issuer.tokens.signer import SeedSigner
from web.cutting import Cut, Kicked

ADA = Actor("ada", "test")
START = 1_800_000_000
OKTA = "https://example.okta.com"
SECRET = Secret("a-secret-of-some-length")
POLICY = {
    "version": 1,
    "bindings": [
        {"name": "writers", "match": {"groups": {"any-of": ["writers"]}}, "account": "GRID", "roles": ["writer"]},
        {"name": "readers", "match": {"groups": {"any-of": ["readers"]}}, "account": "GRID", "roles": ["reader"]},
    ],
}  # fmt: skip


@dataclass
class Office:
    """The store, and what would reach servers; `fault` is what they answer with."""

    url: str
    now: int = START
    kicked: list[tuple[tuple[int, ...], str]] = field(default_factory=list)
    cut_off: list[Denial] = field(default_factory=list)
    woken: list[str] = field(default_factory=list)
    before_cut: Callable[[], None] | None = None
    unclean: bool = False
    fault: Unavailable | None = None
    policy_data: dict[str, Any] = field(default_factory=lambda: dict(POLICY))
    version: int = 1

    def __post_init__(self) -> None:
        self.database = Database.open(self.url, create=True)
        keyring = Keyring(MasterKey(bytes(range(32))))
        self.authority = Authority(self.database, keyring, clock=lambda: self.now)
        self.authority.perform(add_operator, AddOperator("ACME"), ADA)
        with self.database.reading() as unit:
            found = hierarchy.find_operator(unit, "ACME")
        assert found is not None
        self.id = found.id
        self.account = Seed.generate(Role.ACCOUNT)
        self.roles = {name: Seed.generate(Role.ACCOUNT) for name in ("reader", "writer")}
        self.put_policy(self.policy_data)

    @property
    def operator(self) -> tuple[int, str]:
        return self.id, "ACME"

    # --- as the rulebook ---------------------------------------------------------------------------

    def policy(self) -> tuple[int, Compiled]:
        return self.version, compiled(read_policy(self.policy_data))

    def denials(self) -> tuple[Denial, ...]:
        return tuple(self.standing())

    def place(self, account: str) -> Place | None:
        if account != "GRID":
            return None
        return Place(
            claims=self.claims(), roles={name: SeedSigner(seed) for name, seed in self.roles.items()}
        )

    def claims(self) -> AccountClaims:
        permitted = {"reader": ("grid.state",), "writer": ("grid.state", "grid.control")}
        scopes = tuple(
            Scope(
                key=seed.public,
                role=name,
                template=new_template(
                    allow_pub=tuple(map(Subject, permitted[name])), allow_sub=(Subject("_INBOX.>"),)
                ),
            )
            for name, seed in self.roles.items()
        )
        return with_body(new_account(self.account.public, "GRID"), signing_keys=scopes)

    # --- as the cutter -----------------------------------------------------------------------------

    async def cut(self, denial: Denial, *, dry_run: bool = False) -> Cut:
        if self.fault is not None:
            raise self.fault
        if self.before_cut is not None:
            self.before_cut()
        wanted = Deny(denial.target, denial.issuer, denial.value, denial.before, denial.reason)
        held = self.authority.perform(deny, wanted, ADA)
        self.cut_off.append(denial)
        found = self.authority.ask(affected, (self.id, held, 0)).sessions
        return Cut(held, self._kick(found))

    async def kick(self, sessions: Sequence[Session], reason: str) -> Kicked:
        if self.fault is not None:
            raise self.fault
        self.kicked.append((tuple(each.client_id for each in sessions), reason))
        return self._kick(sessions)

    def _kick(self, sessions: Sequence[Session]) -> Kicked:
        if self.unclean:
            return Kicked(len(sessions), left=tuple(sessions), trouble="no answer")
        with self.database.noting() as unit:
            end_sessions(unit, [each.id for each in sessions], now=self.now, reason="Kicked")
        return Kicked(len(sessions), ended=len(sessions))

    # --- for tests ---------------------------------------------------------------------------------

    def put_policy(self, document: dict[str, Any]) -> None:
        with self.database.writing() as unit:
            self.version = add_policy(unit, self.id, json.dumps(document), self.now).version
            self._told(unit)
        self.policy_data = document

    def let_in(self, who: Identity, number: int, **members: Any) -> None:
        """A session of theirs, as client `number`."""
        roles = [name for name in ("writer", "reader") if f"{name}s" in who.groups]
        session = Session(
            user_key=Seed.generate(Role.USER).public,
            identity=who.digest(),
            issuer=who.issuer,
            subject=who.subject,
            name=who.name,
            kind=who.kind,
            directory=who.directory,
            groups_hash=groups_hash(who.groups),
            bindings=(f"{roles[0]}s",) if roles else (),
            policy_version=self.version,
            account=self.account.public,
            role=roles[0] if roles else "",
            server_id="N1",
            server="one",
            client_id=number,
            address="192.0.2.1",
            proved_at=self.now - 100,
            started_at=self.now,
            expires_at=self.now + 3600,
        )
        with self.database.noting() as unit:
            keep_identities(unit, self.id, [who], self.now)
            add_sessions(unit, self.id, [replace(session, **members)])

    def standing(self) -> list[Denial]:
        with self.database.reading() as unit:
            return standing_denials(unit, self.id)

    def open(self) -> list[int]:
        """The clients with sessions that are open."""
        with self.database.reading() as unit:
            return [each.client_id for each in find_sessions(unit, self.id, Wanted(), after=0, limit=100)]

    def events(self, code: EventCode) -> list[log.Entry]:
        with self.database.reading() as unit:
            return list(log.read(unit, code=code))

    def _told(self, unit: Unit) -> None:
        append(unit, Event(EventCode.POLICY_CHANGED, "test"), self.now)


def person(subject: str, *groups: str, issuer: str = OKTA, directory: str = "okta") -> Identity:
    return Identity(issuer=issuer, subject=subject, name=subject, directory=directory, groups=groups)


class Caller:
    """Calls routes without a socket; whatever they raise is raised here."""

    def __init__(self, *routes: APIRouter, headers: dict[str, str] | None = None) -> None:
        app = FastAPI()
        for each in routes:
            app.include_router(each)
        self._transport = httpx.ASGITransport(app)
        self.headers = headers or {}

    def __call__(self, method: str, path: str, **members: Any) -> httpx.Response:
        headers = self.headers | members.pop("headers", {})

        async def call() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://accredit") as client:
                return await client.request(method, path, headers=headers, **members)

        return asyncio.run(call())
