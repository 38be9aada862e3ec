"""Servers in memory, as seen from the system account: they miss, lag, refuse, roll back, resurrect.

What they do when all is well is what the real server does; `contract.py` beside the delivery
tests holds both to it. What is asked of a `SimulatedServer` beyond that is set on it by a test.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from issuer.delivery.guard import OversizeToken
from issuer.delivery.system_account import ConnectionLost, Enough, Handler, Reply
from issuer.errors import Unavailable

KINDS = ("full", "cache", "memory")


def _claims(token: str) -> dict[str, Any]:
    """The payload of a token, unverified: so far a full resolver looks when it stores one."""
    body = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found


@dataclass
class SimulatedServer:
    """One server. `refuses`, `silent`, `lag` and `rolls_back` make it misbehave."""

    name: str
    kind: str = "full"
    id: str = ""
    up: bool = True
    stored: dict[str, str] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    loaded: dict[str, str] = field(default_factory=dict)
    connections: list[dict[str, Any]] = field(default_factory=list)
    refuses: str = ""  # words to refuse an update with
    refuses_deletion: str = ""
    silent: bool = False  # hears nothing but pings
    lag: float = 0.0  # seconds before an answer
    rolls_back: bool = False  # acknowledges and goes on with what it had
    pushes: list[str] = field(default_factory=list)

    def info(self) -> dict[str, Any]:
        return {"name": self.name, "id": self.id, "cluster": "sim", "ver": "2.15.1"}


class SimulatedFleet:
    """The servers, the operator key they trust, and the messages between them and whoever is connected."""

    def __init__(self, trusted: str, *names: str, kind: str = "full", max_payload: int = 1_048_576) -> None:
        self.trusted = trusted
        self.max_payload = max_payload
        self.servers = {name: SimulatedServer(name, kind) for name in names}
        self.systems: list[SimulatedSystemAccount] = []
        self.reachable = True
        for name in names:
            self.servers[name].id = self._id()

    def __getitem__(self, name: str) -> SimulatedServer:
        return self.servers[name]

    def up(self) -> list[SimulatedServer]:
        return [server for server in self.servers.values() if server.up]

    async def connect(self) -> SimulatedSystemAccount:
        if not self.reachable or not self.up():
            raise Unavailable("no connection to the servers: connection refused")
        system = SimulatedSystemAccount(self)
        self.systems.append(system)
        return system

    async def stop(self, name: str) -> None:
        server = self.servers[name]
        server.up = False
        server.loaded.clear()
        await self._advise(f"$SYS.SERVER.{server.id}.SHUTDOWN", server.info())

    async def start(self, name: str) -> None:
        """With what it had on disk, under another id, and known to the others."""
        server = self.servers.setdefault(name, SimulatedServer(name))
        server.id, server.up = self._id(), True
        await self._advise(f"$SYS.SERVER.{server.id}.STATSZ", {"server": server.info(), "statsz": {}})

    async def load(self, name: str, account: str, token: str | None = None) -> None:
        """Somebody connects, so the account is loaded: from the store, or else from `token`."""
        server = self.servers[name]
        server.loaded[account] = token or server.stored[account]
        conns = {"server": server.info(), "acc": account, "conns": 1}
        await self._advise(f"$SYS.ACCOUNT.{account}.SERVER.CONNS", conns)

    def merge(self) -> None:
        """What full servers do once in their interval: the newer of two wins, and a deletion is not news."""
        full = [server for server in self.up() if server.kind == "full"]
        for here in full:
            for there in full:
                for account, token in there.stored.items():
                    mine = here.stored.get(account)
                    if mine is None or _claims(mine)["iat"] <= _claims(token)["iat"]:
                        self._take(here, account, token)

    def cut_off(self) -> None:
        """Every connection of ours is lost."""
        for system in self.systems:
            system.lose("unexpected EOF")

    def answers(self, server: SimulatedServer, subject: str, payload: bytes) -> bytes | None:
        """What one server says; None when it does not listen to that."""
        text = payload.decode()
        match subject.split("."):
            case ["$SYS", "REQ", "SERVER", "PING"]:
                return self._json(server, statsz={"active_servers": len(self.up())})
            case _ if server.silent:
                return None
            case ["$SYS", "REQ", "SERVER", "PING", "CONNZ"]:
                return self._json(server, data={"connections": self._connections(server, json.loads(text))})
            case ["$SYS", "REQ", "CLAIMS", "UPDATE"] if server.kind != "memory":
                return self._update(server, text)
            case ["$SYS", "REQ", "ACCOUNT", _, "CLAIMS", "UPDATE"]:
                return self._update(server, text)
            case ["$SYS", "REQ", "CLAIMS", "DELETE"] if server.kind != "memory":
                return self._delete(server, text)
            case ["$SYS", "REQ", "CLAIMS", "LIST"] if server.kind != "memory":
                return self._json(server, data=sorted(server.stored))
            case ["$SYS", "REQ", "ACCOUNT", account, "CLAIMS", "LOOKUP"] if server.kind == "full":
                return server.stored.get(account, "").encode()
            case ["$SYS", "REQ", "ACCOUNT", account, "INFO"]:
                return self._info(server, account)
        return None

    def packed(self, payload: bytes) -> list[bytes] | None:
        full = [server for server in self.up() if server.kind == "full" and not server.silent]
        if not full:
            return None
        return [f"{account}|{token}".encode() for account, token in full[0].stored.items()] + [b""]

    def _update(self, server: SimulatedServer, token: str) -> bytes:
        server.pushes.append(token)
        try:
            claims = _claims(token)
        except (ValueError, IndexError):
            return self._refusal(server, "n/a", "jwt update resulted in error - expected 3 chunks")
        account = claims["sub"]
        if server.refuses:
            return self._refusal(server, account, server.refuses)
        if server.kind == "full":
            if not server.rolls_back:
                self._take(server, account, token)
            return self._json(server, data=_done(account, "jwt updated"))
        suffix = " cache" if server.kind == "cache" else ""
        if account not in server.loaded:
            return self._json(server, data=_done(account, f"jwt update{suffix} skipped"))
        if server.kind == "memory" and claims["iss"] != self.trusted:
            return self._refusal(server, account, "jwt update resulted in error - account validation failed")
        self._take(server, account, token)
        return self._json(server, data=_done(account, f"jwt updated{suffix}"))

    def _take(self, server: SimulatedServer, account: str, token: str) -> None:
        claims = _claims(token)
        if server.kind != "memory":
            server.stored[account] = token
        # Stored over the good one whoever signed it; applied only when the signer is trusted.
        if account in server.loaded and claims["iss"] == self.trusted:
            server.loaded[account] = token
            revoked = claims["nats"].get("revocations", {})
            server.connections = [
                known
                for known in server.connections
                if known["acc"] != account or known["authorized_user"] not in revoked
            ]

    def _delete(self, server: SimulatedServer, token: str) -> bytes:
        accounts = _claims(token)["nats"]["accounts"]
        if server.refuses_deletion:
            return self._refusal(server, "n/a", server.refuses_deletion)
        for account in accounts:
            server.stored.pop(account, None)
            server.loaded.pop(account, None)
            server.deleted.add(account)
        return self._json(server, data={"code": 200, "message": f"deleted {len(accounts)} accounts"})

    def _info(self, server: SimulatedServer, account: str) -> bytes:
        token = server.loaded.get(account)
        if token is None:
            error = {"code": 500, "description": f"Account {account} does not exist"}
            return self._json(server, data=None, error=error)
        return self._json(server, data={"jwt": token, "expired": False, "complete": True})

    @staticmethod
    def _connections(server: SimulatedServer, asked: dict[str, Any]) -> list[dict[str, Any]]:
        found = [known for known in server.connections if known["acc"] == asked["acc"]]
        if "user" in asked:
            found = [known for known in found if known["authorized_user"] == asked["user"]]
        return found[asked["offset"] : asked["offset"] + asked["limit"]]

    def _refusal(self, server: SimulatedServer, account: str, words: str) -> bytes:
        return self._json(server, error={"account": account, "code": 500, "description": words})

    @staticmethod
    def _json(server: SimulatedServer, **members: Any) -> bytes:
        return json.dumps({"server": server.info(), **members}).encode()

    async def _advise(self, subject: str, message: Mapping[str, Any]) -> None:
        for system in self.systems:
            await system.hear(subject, json.dumps(message).encode())

    @staticmethod
    def _id() -> str:
        return "N" + base64.b32encode(secrets.token_bytes(35)).decode()[:55]


def _done(account: str, message: str) -> dict[str, Any]:
    return {"account": account, "code": 200, "message": message}


class SimulatedSystemAccount:
    """`SystemAccount` to a simulated fleet."""

    def __init__(self, fleet: SimulatedFleet) -> None:
        self._fleet = fleet
        self._handlers: list[tuple[str, Handler]] = []
        self._lost = ""
        self._ended = asyncio.Event()
        self.published: list[Reply] = []

    @property
    def max_payload(self) -> int:
        return self._fleet.max_payload

    @property
    def closed(self) -> bool:
        return self._ended.is_set()

    async def request_many(
        self,
        subject: str,
        payload: bytes = b"",
        *,
        deadline: float,
        enough: Enough | None = None,
        quiet: float | None = None,
    ) -> list[Reply]:
        self._check(payload)
        replies: list[Reply] = []
        if subject == "$SYS.REQ.CLAIMS.PACK":
            packed = self._fleet.packed(payload)
            return [Reply(part) for part in packed or ()]
        coming = [
            (server.lag, answer)
            for server in self._fleet.up()
            if (answer := self._fleet.answers(server, subject, payload)) is not None
        ]
        if not coming:
            await asyncio.sleep(0)
            return []
        now = 0.0
        for lag, answer in sorted(coming, key=lambda pair: pair[0]):
            wait = min(lag, deadline) - now
            if quiet is not None and replies and wait > quiet:
                break
            await asyncio.sleep(wait)
            self._check(b"")
            now += max(wait, 0)
            if lag > deadline:
                return replies
            replies.append(Reply(answer))
            if enough is not None and enough(replies):
                return replies
        # Nobody else will answer; a real connection would wait until the deadline, or the quiet.
        await self._rest(quiet if quiet is not None else deadline, replies, enough)
        return replies

    async def _rest(self, seconds: float, replies: Sequence[Reply], enough: Enough | None) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end and not (enough is not None and enough(replies)):
            await asyncio.sleep(0.01)
            self._check(b"")

    async def publish(
        self, subject: str, payload: bytes, *, headers: Mapping[str, str] | None = None
    ) -> None:
        self._check(payload)
        self.published.append(Reply(payload, subject, "", (headers or {}).get("Accredit-Who", "")))

    async def subscribe(self, subject: str, handler: Handler) -> None:
        self._handlers.append((subject, handler))

    async def close(self) -> None:
        self._ended.set()
        if self in self._fleet.systems:
            self._fleet.systems.remove(self)

    async def hear(self, subject: str, payload: bytes, *, reply: str = "") -> None:
        """A message on something subscribed to."""
        for pattern, handler in self._handlers:
            if _matches(pattern.split("."), subject.split(".")):
                await handler(Reply(payload, subject, reply))

    def lose(self, words: str) -> None:
        self._lost = words
        self._ended.set()

    def _check(self, payload: bytes) -> None:
        if self._lost:
            raise ConnectionLost(self._lost)
        if self.closed:
            raise Unavailable("no connection to the servers: connection closed")
        if len(payload) > self.max_payload:
            raise OversizeToken(f"message of {len(payload)} bytes is over the server's {self.max_payload}")


def _matches(pattern: Iterable[str], subject: Sequence[str]) -> bool:
    wanted = list(pattern)
    if len(wanted) != len(subject):
        return False
    return all(want in {"*", have} for want, have in zip(wanted, subject, strict=True))


Connect = Callable[[], Awaitable[SimulatedSystemAccount]]
