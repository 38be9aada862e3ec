"""Accounts with an auth callout on a server, a service that answers as it is told, and clients at the door."""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self

from msgspec.structs import replace

from issuer.claims.account import AccountClaims, ExternalAuthorization, Scope, new_account
from issuer.claims.exchange import (
    AuthorizationRequestClaims,
    AuthorizationResponseBody,
    AuthorizationResponseClaims,
)
from issuer.claims.fields import Permission
from issuer.claims.operator import new_operator
from issuer.claims.user import UserClaims, UserTemplate, new_scoped_user, new_user
from issuer.interop.nats_server import binary
from issuer.interop.server_config import ServerConfig, render
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.keys.xkeys import open_sealed, seal
from issuer.subjects import Subject
from issuer.tokens.envelope import Token, TokenError, decode, encode
from issuer.tokens.signer import SeedSigner
from tests.processes import HOST, Folder, Process, wait_until
from tests.system.broker.callout.wire import PATIENCE, Message, Wire

SUBJECT: Final = "$SYS.REQ.USER.AUTH"
ACCOUNT_EVENT: Final = "$SYS.ACCOUNT.CLIENT.AUTH.ERR"
SERVER_EVENT: Final = "$SYS.SERVER.*.CLIENT.AUTH.ERR"
TIMEOUT: Final = 0.6
"""Seconds the server waits for an answer, in these tests."""
LETTERS: Final = "CABFS"
Which = Literal["real", "ours"]


class Server:
    """A server process, real or ours."""

    def __init__(self, which: Which, config: str) -> None:
        self.port = 0
        self._folder = Folder(None, f"accredit-callout-{which}-")
        (self._folder.path / "server.conf").write_text(config, encoding="utf-8")
        program = [str(binary())] if which == "real" else [sys.executable, "-m", "broker"]
        flags = ["-c", "server.conf", "-a", HOST, "-p", "-1", "--ports_file_dir", str(self._folder.path)]
        self._command = [*program, *flags]
        self._process = Process(which, self._folder.path / "server.log")

    def __enter__(self) -> Self:
        self._process.start(self._command, cwd=self._folder.path, account=None)
        try:
            wait_until(self._ready, what=f"{self._process.name} to greet")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.end(signal.SIGTERM)
        self._folder.remove()

    def reload(self, more: str) -> None:
        """Go on with these lines in the configuration besides; a real server does so at once."""
        with (self._folder.path / "server.conf").open("a", encoding="utf-8") as file:
            file.write(f"\n{more}\n")
        self._process.send(signal.SIGHUP)
        wait_until(lambda: "Reloaded server configuration" in self._process.log_text(), what="the reload")

    def _ready(self) -> bool:
        if not self._process.alive():
            raise self._process.fault("stopped while starting")
        for file in self._folder.path.glob(f"*_{self._process.pid}.ports"):
            with contextlib.suppress(OSError, ValueError):  # half written, or not listening yet
                address = json.loads(file.read_text(encoding="utf-8"))["nats"][0]
                self.port = int(address.rpartition(":")[2])
                with socket.create_connection((HOST, self.port), timeout=PATIENCE) as link:
                    return link.recv(5) == b"INFO "
        return False


@dataclass(frozen=True, slots=True)
class Request:
    """What the service was asked."""

    claims: AuthorizationRequestClaims
    message: Message

    @property
    def user(self) -> PublicKey:
        return PublicKey(self.claims.nats.user_nkey)

    @property
    def server(self) -> str:
        return self.claims.nats.server_id.id


Answer = Callable[[Request], Sequence[bytes]]
"""What the service says to a request: none, one, or several messages."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of an attempt to come in."""

    account: str
    """Where it is, by letter; empty if not in."""
    lines: tuple[str, ...] = ()
    """What the client read besides INFO and PONG."""
    waited: bool = False
    """It took as long as the server waits for an answer."""
    reason: str | None = None
    """The reason in the callout account's event; None if there was no event."""
    closed: str = ""
    """The reason in the server's event."""
    last: str = ""
    """The account in the server's event, by letter."""
    requests: int = 1
    """How often the service was asked."""


def refused(
    reason: str | None,
    *,
    waited: bool = False,
    last: str = "C",
    closed: str = "Authentication Failure",
    line: str = "Authorization Violation",
    requests: int = 1,
) -> Seen:
    """Turned away, with these words for the account."""
    return Seen("", (f"-ERR '{line}'", "closed"), waited, reason, closed, last, requests)


@dataclass(frozen=True, slots=True)
class House:
    """One account's keys: its own, one that signs, one that signs for a role."""

    seed: Seed = field(default_factory=lambda: Seed.generate(Role.ACCOUNT))
    signing: Seed = field(default_factory=lambda: Seed.generate(Role.ACCOUNT))
    role: Seed = field(default_factory=lambda: Seed.generate(Role.ACCOUNT))

    @property
    def public(self) -> PublicKey:
        return self.seed.public


class Scene:
    """Accounts C (with the callout), A and F (where it may place; F is full), B (where not), S (the system's).

    A service in C answers as it is told.
    """

    def __init__(
        self,
        *,
        xkey: bool = False,
        allowed: tuple[str, ...] = ("A", "F"),
        strict: bool = False,
        timeout: float = TIMEOUT,
    ) -> None:
        self._stack = ExitStack()
        self.operator = Seed.generate(Role.OPERATOR)
        self.operator_signing = Seed.generate(Role.OPERATOR)
        self.strict = strict
        self.timeout = timeout
        self.houses = {letter: House() for letter in LETTERS}
        self.curve = Seed.generate(Role.CURVE)
        self.service = Seed.generate(Role.USER)
        self.sentinel = Seed.generate(Role.USER)
        self.xkey = xkey
        self.claims: dict[str, AccountClaims] = {letter: self._account(letter) for letter in LETTERS}
        self.callout(allowed=allowed)
        self.change("F", limits=replace(self.claims["F"].nats.limits, conn=0))
        self.port = 0
        self.answer: Answer = lambda _: ()
        self.requests: list[Request] = []
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._server_events: queue.Queue[dict[str, Any]] = queue.Queue()
        nothing = Permission(deny=(Subject(">"),))
        self.sentinel_token = self.guest(pub=nothing, sub=nothing, tags=("door:front",))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def house(self, letter: str) -> House:
        return self.houses[letter]

    def key(self, letter: str) -> PublicKey:
        return self.houses[letter].public

    def letter(self, public: str) -> str:
        return next((letter for letter, house in self.houses.items() if house.public == public), public)

    # --- claims ------------------------------------------------------------------------------------

    def _account(self, letter: str) -> AccountClaims:
        house = self.houses[letter]
        base = new_account(house.public, letter)
        template = UserTemplate(
            pub=Permission(allow=(Subject("role.>"),)),
            sub=Permission(allow=(Subject("role.>"),)),
            subs=1,
            payload=4,
        )
        role = Scope(kind="user_scope", key=house.role.public, role="role", template=template)
        return replace(base, nats=replace(base.nats, signing_keys=(house.signing.public, role)))

    def callout(self, *, allowed: tuple[str, ...] = (), on: bool = True) -> None:
        """What account C says of its callout."""
        keys = tuple("*" if letter == "*" else self.key(letter) for letter in allowed)
        external = ExternalAuthorization(
            auth_users=(self.service.public,),
            allowed_accounts=keys,
            xkey=self.curve.public if self.xkey else "",
        )
        self.change("C", authorization=external if on else ExternalAuthorization())

    def change(self, letter: str, **members: Any) -> None:
        claims = self.claims[letter]
        self.claims[letter] = replace(claims, nats=replace(claims.nats, **members))

    def account_token(self, letter: str) -> Token:
        return encode(self.claims[letter], SeedSigner(self.operator_signing), now=int(time.time())).token

    @staticmethod
    def user_token(claims: UserClaims, *, by: Seed, now: int = 0) -> Token:
        return encode(claims, SeedSigner(by), now=now or int(time.time())).token

    def guest(self, *, by: Seed | None = None, **members: Any) -> Token:
        """A token to come to the door with, a bearer's unless it says otherwise."""
        subject = members.pop("subject", self.sentinel.public)
        top = {name: members.pop(name) for name in ("exp",) if name in members}
        house = self.house("C")
        base = new_user(subject, "sentinel", account=house.public if self.strict else None)
        body = replace(base.nats, **{"bearer_token": True, **members})
        signer = by or (house.signing if self.strict else house.seed)
        return self.user_token(replace(base, nats=body, **top), by=signer)

    def config(self, *, extra: str = "") -> str:
        operator = new_operator(self.operator.public, "O")
        body = replace(
            operator.nats,
            signing_keys=(self.operator_signing.public,),
            strict_signing_key_usage=self.strict,
            system_account=self.key("S"),
        )
        token = encode(replace(operator, nats=body), SeedSigner(self.operator), now=int(time.time())).token
        accounts: dict[str, tuple[str, str]] = {
            self.key(letter): (letter, self.account_token(letter)) for letter in self.claims
        }
        text = render(ServerConfig("memory", "O", token, self.key("S"), accounts))
        return f"{text}\nauthorization {{ timeout: {self.timeout} }}\n{extra}\n"

    # --- the play ----------------------------------------------------------------------------------

    def play(self, which: Which, *, extra: str = "") -> None:
        """Start a server, and the service on it."""
        server = self._stack.enter_context(Server(which, self.config(extra=extra)))
        self.port = server.port
        self.watch()
        self.serve()

    def wire(self, **options: Any) -> Wire:
        wire = Wire(self.port, **options)
        self._stack.callback(wire.close)
        return wire

    def member(self, letter: str, seed: Seed | None = None, **options: Any) -> Wire:
        """A plain user of an account, connected."""
        seed = seed or Seed.generate(Role.USER)
        house = self.house(letter)
        signer = house.signing if self.strict else house.seed
        user = new_user(seed.public, "member", account=house.public if self.strict else None)
        wire = self.wire(jwt=self.user_token(user, by=signer), seed=seed, **options)
        wire.connect()
        assert "PONG" in wire.until_pong()
        return wire

    def serve(self) -> None:
        wire = self.member("C", self.service)
        assert not wire.ask(f"SUB {SUBJECT} q 1", f"SUB {ACCOUNT_EVENT} 2")
        self._read_on(wire, self._at_service)

    def watch(self) -> None:
        wire = self.member("S")
        assert not wire.ask(f"SUB {SERVER_EVENT} 1")
        self._read_on(wire, lambda _, message: self._server_events.put(json.loads(message.payload)))

    def _read_on(self, wire: Wire, handle: Callable[[Wire, Message], None]) -> None:
        wire.patience(None)

        def run() -> None:
            try:
                while True:
                    got = wire.read()
                    if isinstance(got, Message):
                        handle(wire, got)
                    elif got == b"PING":
                        wire.send(b"PONG\r\n")
            except (EOFError, OSError):
                return

        threading.Thread(target=run, daemon=True).start()

    def _at_service(self, wire: Wire, message: Message) -> None:
        if message.subject == ACCOUNT_EVENT:
            self._events.put(json.loads(message.payload))
            return
        body = message.payload
        if body.startswith(b"xkv1"):
            server = message.headers.decode().split("Nats-Server-Xkey:")[1].split("\r\n")[0].strip()
            body = open_sealed(body, recipient=self.curve, sender=PublicKey(server))
        try:
            request = Request(decode(body.decode(), AuthorizationRequestClaims).claims, message)
        except TokenError:
            return  # some member's own words
        self.requests.append(request)
        for answer in self.answer(request):
            wire.publish(message.reply, answer)

    # --- answers -----------------------------------------------------------------------------------

    def user(self, request: Request, **members: Any) -> UserClaims:
        """The user a service would give; `members` of its body, or name, exp, nbf of the token, or its subject."""
        top = {name: members.pop(name) for name in ("name", "exp", "nbf") if name in members}
        claims = new_user(members.pop("subject", request.user), "")
        body = replace(claims.nats, **members)
        return replace(claims, nats=body, **top)

    def role_user(self, request: Request, letter: str = "A", **members: Any) -> UserClaims:
        claims = new_scoped_user(request.user, "", account=self.key(letter))
        return replace(claims, nats=replace(claims.nats, **members))

    def response(
        self,
        request: Request,
        user: str = "",
        *,
        by: Seed | None = None,
        sub: str | None = None,
        aud: str | None = None,
        exp: int = 0,
        **members: Any,
    ) -> bytes:
        body = AuthorizationResponseBody(jwt=user, **members)
        claims = AuthorizationResponseClaims(
            sub=PublicKey(request.user if sub is None else sub),
            aud=request.server if aud is None else aud,
            exp=exp,
            nats=body,
        )
        return encode(claims, SeedSigner(by or self.house("C").seed), now=int(time.time())).token.encode()

    def good(self, request: Request, *, by: Seed | None = None, **members: Any) -> bytes:
        """A user of A by A's own key, unless said otherwise; the response by C's."""
        claims = self.user(request, **members)
        return self.response(request, self.user_token(claims, by=by or self.house("A").seed))

    def sealed(self, request: Request, body: bytes) -> bytes:
        return seal(body, sender=self.curve, recipient=PublicKey(request.claims.nats.server_id.xkey))

    # --- clients -----------------------------------------------------------------------------------

    def attempt(self, answer: Answer | None = None, **options: Any) -> tuple[Wire, Seen]:
        """Come as the sentinel with `options` in CONNECT; `jwt` and `seed` for another than the sentinel."""
        if answer is not None:
            self.answer = answer
        before = len(self.requests)
        options.setdefault("jwt", self.sentinel_token)
        wire = self.wire(**options)
        begun = time.monotonic()
        wire.connect()
        lines = wire.until_pong()
        waited = time.monotonic() - begun > self.timeout - 0.1
        if lines[-1] == "PONG":
            account = self.letter(wire.account())
            event, server_event = {}, {}
        else:
            account = ""
            server_event = self._next(self._server_events, 1.0)
            event = self._next(self._events, 0.15)
        return wire, Seen(
            account,
            tuple(line for line in lines if line != "PONG" and not line.startswith("INFO")),
            waited,
            self._readable(event["reason"]) if event else None,
            server_event.get("reason", ""),
            self.letter(server_event.get("client", {}).get("acc", "")),
            len(self.requests) - before,
        )

    @staticmethod
    def _next(events: queue.Queue[dict[str, Any]], seconds: float) -> dict[str, Any]:
        try:
            return events.get(timeout=seconds)
        except queue.Empty:
            return {}

    def _readable(self, reason: str) -> str:
        """With letters in place of keys, so that two servers' words can be compared."""
        for letter, house in self.houses.items():
            for name, seed in (("", house.seed), (".signing", house.signing), (".role", house.role)):
                reason = reason.replace(seed.public, f"<{letter}{name}>")
        reason = reason.replace(self.sentinel.public, "<sentinel>")
        if self.requests:
            reason = reason.replace(self.requests[-1].user, "<user>")
            reason = reason.replace(self.requests[-1].server, "<server>")
        return reason

    def push(self, letter: str) -> dict[str, Any]:
        """Put the account's claims in force on the running server."""
        system = self.member("S")
        system.ask("SUB _IN.1 9")
        token = self.account_token(letter)
        system.send(
            f"PUB $SYS.REQ.ACCOUNT.{self.key(letter)}.CLAIMS.UPDATE _IN.1 {len(token)}\r\n{token}\r\n".encode()
        )
        while True:
            got = system.read()
            if isinstance(got, Message):
                answer: dict[str, Any] = json.loads(got.payload)
                return answer
