"""Who takes part in a bench of brokers: operator, accounts, users, and the configuration of both servers."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import Final

import msgspec

from issuer.claims.account import new_account
from issuer.claims.fields import Permission, Permissions, with_body
from issuer.claims.operator import new_operator
from issuer.claims.user import new_user
from issuer.interop.server_config import Options, ServerConfig, render
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.subjects import Subject
from issuer.tokens.envelope import Token, encode
from issuer.tokens.signer import SeedSigner

# What a service's user is usually given: a few patterns of its own, its inbox, and something shut.
PUBLISH: Final = Permission(
    allow=(
        Subject("bench.none"),
        Subject("bench.one"),
        Subject("bench.fan"),
        Subject("bench.svc"),
        Subject("bench.d.*.>"),
        Subject("_INBOX.>"),
    ),
    deny=(Subject("bench.private.>"), Subject("bench.*.secret")),
)
SUBSCRIBE: Final = Permission(
    allow=(Subject("bench.>"), Subject("_INBOX.>")), deny=(Subject("bench.private.>"),)
)
# As a real client introduces itself.
_OPTIONS: Final = {
    "verbose": False,
    "pedantic": False,
    "tls_required": False,
    "name": "",
    "lang": "python3",
    "version": "2.16.0",
    "protocol": 1,
    "echo": True,
    "headers": True,
    "no_responders": True,
}


@dataclass(frozen=True, slots=True)
class Login:
    """A user as a client holds it; the CONNECT line stands ready up to the signature."""

    opening: bytes
    seed: Seed

    @classmethod
    def of(cls, token: Token, seed: Seed) -> Login:
        line = json.dumps({**_OPTIONS, "jwt": token}, separators=(",", ":"))
        return cls(b"CONNECT " + line[:-1].encode() + b',"sig":"', seed)

    def answer(self, nonce: bytes) -> bytes:
        signature = base64.urlsafe_b64encode(self.seed.sign(nonce)).rstrip(b"=")
        return self.opening + signature + b'"}\r\nPING\r\n'


class World:
    """One hierarchy for both servers, with as many users as are asked for."""

    def __init__(self) -> None:
        self._operator, self._system, self._account = (
            SeedSigner(Seed.generate(role)) for role in (Role.OPERATOR, Role.ACCOUNT, Role.ACCOUNT)
        )
        # In the past, so that later tokens and revocations have seconds of their own.
        self.start = int(time.time()) - 100_000
        self._users: list[Login] = []

    def config(self) -> str:
        """What both servers start with; ports come by flag, the folder is the working one."""
        operator = new_operator(self._operator.public, "BENCH")
        operator = with_body(operator, system_account=self._system.public)
        system = encode(new_account(self._system.public, "SYS"), self._operator, now=self.start)
        return render(
            ServerConfig(
                resolver="full",
                operator_name="BENCH",
                operator_token=encode(operator, self._operator, now=self.start).token,
                system_account=self._system.public,
                accounts={
                    self._system.public: ("SYS", system.token),
                    self._account.public: ("LOAD", self.account_token(self.start)),
                },
            ),
            Options(resolver_dir="./resolver"),
        )

    def account_token(
        self, now: int, *, revoked_until: int = 0, default_permissions: Permissions | None = None
    ) -> Token:
        """The loaded account as of a second; `revoked_until` cuts off all users issued by then."""
        claims = with_body(
            new_account(PublicKey(self._account.public), "LOAD"),
            revocations={"*": revoked_until} if revoked_until else {},
            default_permissions=default_permissions or Permissions(),
        )
        return encode(claims, self._operator, now=now).token

    def user(self, *, permitted: bool = False, issued_at: int | None = None) -> Login:
        """A new user of the loaded account; `permitted` has permissions, others may do everything."""
        seed = Seed.generate(Role.USER)
        claims = new_user(seed.public, "load")
        if permitted:
            claims = msgspec.structs.replace(
                claims, nats=msgspec.structs.replace(claims.nats, pub=PUBLISH, sub=SUBSCRIBE)
            )
        signed = encode(claims, self._account, now=self.start if issued_at is None else issued_at)
        return Login.of(signed.token, seed)

    def system_user(self) -> Login:
        seed = Seed.generate(Role.USER)
        return Login.of(encode(new_user(seed.public, "sys"), self._system, now=self.start).token, seed)

    def users(self, first: int, count: int) -> list[Login]:
        """Users by number, the same for every asker: each server gets to know them for itself."""
        while len(self._users) < first + count:
            self._users.append(self.user())
        return self._users[first : first + count]
