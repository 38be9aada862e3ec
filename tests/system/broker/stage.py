"""A small operator with accounts on a server, and clients that speak over bare sockets.

Shows the bytes of frames as they come: client libraries hide what these tests are about.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final, Self

from msgspec.structs import replace

from issuer.claims.account import AccountClaims, Export, Import, WeightedMapping, new_account
from issuer.claims.exchange import ActivationClaims
from issuer.claims.fields import Permissions
from issuer.claims.operator import new_operator
from issuer.claims.user import new_user
from issuer.interop.server_config import Resolver, ServerConfig, render
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.subjects import Subject
from issuer.tokens.envelope import Token, encode
from issuer.tokens.signer import SeedSigner
from tests.servers import HOST, NatsServer

SECONDS: Final = 5.0
_SYSTEM: Final = "SYS"
_PAYLOAD: Final = re.compile(rb"(?:MSG|HMSG) .* (\d+)\r\n")


@dataclass(frozen=True, slots=True)
class Frame:
    """One line of the server's, and for messages what follows it."""

    line: bytes
    body: bytes = b""

    @property
    def verb(self) -> str:
        return self.line.split(b" ")[0].decode()

    @property
    def subject(self) -> str:
        return self.line.split(b" ")[1].decode("utf-8", "surrogateescape")

    @property
    def sid(self) -> str:
        return self.line.split(b" ")[2].decode()

    @property
    def reply(self) -> str:
        words = self.line.split(b" ")
        return words[3].decode() if len(words) == (6 if words[0] == b"HMSG" else 5) else ""

    @property
    def headers(self) -> bytes:
        return self.body[: int(self.line.split(b" ")[-2])] if self.verb == "HMSG" else b""

    @property
    def payload(self) -> bytes:
        return self.body[len(self.headers) :]


class Client:
    """One connection. `say` sends lines and gives back every frame that came before the PONG."""

    def __init__(
        self,
        port: int,
        *,
        token: str,
        seed: Seed,
        headers: bool = True,
        no_responders: bool = True,
        echo: bool = True,
        verbose: bool = False,
        name: str = "",
    ) -> None:
        self._socket = socket.create_connection((HOST, port), timeout=SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self.info: dict[str, Any] = json.loads(self._line().removeprefix(b"INFO "))
        signature = seed.sign(self.info["nonce"].encode())
        options: dict[str, Any] = {
            "jwt": token,
            "sig": base64.urlsafe_b64encode(signature).rstrip(b"=").decode(),
            "verbose": verbose,
            "pedantic": False,
            "lang": "test",
            "version": "1",
            "protocol": 1,
            "headers": headers,
            "no_responders": headers and no_responders,
            "echo": echo,
            "name": name,
        }
        try:
            self.send(f"CONNECT {json.dumps(options)}")
            self.say()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def send(self, *lines: str | bytes) -> None:
        raw = [line.encode("utf-8", "surrogateescape") if isinstance(line, str) else line for line in lines]
        self._socket.sendall(b"".join(line + b"\r\n" for line in raw))

    def say(self, *lines: str | bytes) -> list[Frame]:
        """Send, and read up to the answer to a PING after it."""
        self.send(*lines, "PING")
        frames: list[Frame] = []
        while True:
            frame = self.read()
            if frame.verb == "PONG":
                return frames
            if frame.verb not in {"INFO", "PING"}:
                frames.append(frame)

    def publish(
        self, subject: str, payload: str | bytes = b"", *, reply: str = "", headers: bytes = b""
    ) -> list[Frame]:
        body = payload.encode() if isinstance(payload, str) else payload
        words = " ".join([subject, *([reply] if reply else [])])
        if headers:
            return self.say(f"HPUB {words} {len(headers)} {len(headers) + len(body)}", headers + body)
        return self.say(f"PUB {words} {len(body)}", body)

    def read(self) -> Frame:
        line = self._line()
        found = _PAYLOAD.fullmatch(line + b"\r\n")
        if found is None:
            return Frame(line)
        size = int(found[1])
        while len(self._buffer) < size + 2:
            self._receive()
        body, self._buffer = self._buffer[:size], self._buffer[size + 2 :]
        return Frame(line, body)

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._receive()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _receive(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise EOFError("the server closed the connection")
        self._buffer += data


@dataclass(frozen=True, slots=True)
class House:
    """One account: its key and what it will claim."""

    seed: Seed = field(default_factory=lambda: Seed.generate(Role.ACCOUNT))
    signing: Seed = field(default_factory=lambda: Seed.generate(Role.ACCOUNT))

    @property
    def public(self) -> PublicKey:
        return self.seed.public


class Stage:
    """Accounts by letter; `play` puts their claims on a server, `client` connects a user of one."""

    def __init__(
        self, start: Callable[..., NatsServer], *, strict: bool = False, resolver: Resolver = "memory"
    ) -> None:
        self._start = start
        self._resolver: Resolver = resolver
        self._stack = ExitStack()
        self._operator = Seed.generate(Role.OPERATOR)
        self._operator_signing = Seed.generate(Role.OPERATOR)
        self.strict = strict
        self.houses: dict[str, House] = {}
        self.claims: dict[str, AccountClaims] = {}
        self.server: NatsServer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def house(self, letter: str) -> House:
        return self.houses.setdefault(letter, House())

    def key(self, letter: str) -> PublicKey:
        return self.house(letter).public

    def account(
        self,
        letter: str,
        *,
        exports: tuple[Export, ...] = (),
        imports: tuple[Import, ...] = (),
        mappings: Mapping[str, tuple[WeightedMapping, ...]] | None = None,
        signing: bool = False,
        expires: int = 0,
        **limits: Any,
    ) -> AccountClaims:
        """Say what an account claims; in force at the next `play` or `push`."""
        base = new_account(self.key(letter), letter)
        body = replace(
            base.nats,
            exports=exports,
            imports=imports,
            mappings=dict(mappings or {}),
            signing_keys=(self.house(letter).signing.public,) if signing else (),
            limits=replace(base.nats.limits, **limits),
        )
        self.claims[letter] = replace(base, nats=body, exp=expires)
        return self.claims[letter]

    def token(self, letter: str, *, now: int | None = None) -> Token:
        signer = SeedSigner(self._operator_signing)
        return encode(self.claims[letter], signer, now=now or int(time.time())).token

    def activation(self, claims: ActivationClaims, by: Seed, *, now: int | None = None) -> Token:
        return encode(claims, SeedSigner(by), now=now or int(time.time())).token

    def play(self) -> NatsServer:
        """Start a server that knows every account claimed so far."""
        self.account(_SYSTEM)
        operator = new_operator(self._operator.public, "O")
        operator = replace(
            operator,
            nats=replace(
                operator.nats,
                signing_keys=(self._operator_signing.public,),
                strict_signing_key_usage=self.strict,
            ),
        )
        token = encode(operator, SeedSigner(self._operator), now=int(time.time())).token
        accounts: dict[str, tuple[str, str]] = {
            self.key(letter): (letter, self.token(letter)) for letter in self.claims
        }
        config = ServerConfig(self._resolver, "O", token, self.key(_SYSTEM), accounts)
        self.server = self._start(render(config), debug=True)
        return self.server

    def client(self, letter: str, *, permissions: Permissions | None = None, **options: Any) -> Client:
        assert self.server is not None
        seed = Seed.generate(Role.USER)
        house = self.house(letter)
        signing = house.signing if self.strict else house.seed
        user = new_user(seed.public, "u", account=house.public if self.strict else None)
        if permissions is not None:
            user = replace(user, nats=replace(user.nats, pub=permissions.pub, sub=permissions.sub))
        token = encode(user, SeedSigner(signing), now=int(time.time())).token
        client = Client(self.server.port, token=token, seed=seed, **options)
        self._stack.callback(client.close)
        return client

    def push(self, letter: str) -> dict[str, Any]:
        """Put the account's claims in force on the running server."""
        system = self.client(_SYSTEM)
        system.say("SUB _IN.1 9")
        token = self.token(letter)
        subject = f"$SYS.REQ.ACCOUNT.{self.key(letter)}.CLAIMS.UPDATE"
        system.send(f"PUB {subject} _IN.1 {len(token)}", token)
        while True:
            frame = system.read()
            if frame.verb == "MSG":
                answer: dict[str, Any] = json.loads(frame.payload)
                return answer

    def strictly(self, _: AccountClaims) -> bool:
        return self.strict

    def find(self, public: PublicKey) -> AccountClaims | None:
        return next((each for each in self.claims.values() if each.sub == public), None)


def mapped(*shares: tuple[str, int] | tuple[str, int, str]) -> tuple[WeightedMapping, ...]:
    """Destinations of a mapping from (subject, weight) and perhaps a cluster."""
    return tuple(
        WeightedMapping(
            subject=Subject(share[0]), weight=share[1], cluster=share[2] if len(share) > 2 else ""
        )
        for share in shares
    )
