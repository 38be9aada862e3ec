"""A hierarchy signed in memory, and laid out as nsc lays one out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from issuer.claims.account import Scope, new_account
from issuer.claims.operator import new_operator
from issuer.claims.user import new_scoped_user, new_template, new_user
from issuer.interop.nsc_write import LeavingAccount, LeavingUser, NscExport, write_store
from issuer.keys.nkeys import Role, Seed
from issuer.subjects import Subject
from issuer.tokens.envelope import decode, encode
from issuer.tokens.signer import SeedSigner

NOW = 1_700_000_000


def sign(claims: Any, seed: Seed, *, at: int = NOW) -> str:
    return encode(claims, SeedSigner(seed), now=at).token


def again(token: str, seed: Seed, *, at: int, **body: Any) -> str:
    """The same token with another body, signed later."""
    claims: Any = decode(token).claims
    return sign(
        msgspec.structs.replace(claims, nats=msgspec.structs.replace(claims.nats, **body)), seed, at=at
    )


@dataclass
class Made:
    """Operator GRID with a signing key; account METERS with a role and a curve key; users m1 and r1."""

    operator: Seed = field(default_factory=lambda: Seed.generate(Role.OPERATOR))
    signing: Seed = field(default_factory=lambda: Seed.generate(Role.OPERATOR))
    account: Seed = field(default_factory=lambda: Seed.generate(Role.ACCOUNT))
    reader: Seed = field(default_factory=lambda: Seed.generate(Role.ACCOUNT))
    curve: Seed = field(default_factory=lambda: Seed.generate(Role.CURVE))
    plain: Seed = field(default_factory=lambda: Seed.generate(Role.USER))
    scoped: Seed = field(default_factory=lambda: Seed.generate(Role.USER))

    def __post_init__(self) -> None:
        claims = new_operator(self.operator.public, "GRID")
        body = msgspec.structs.replace(claims.nats, signing_keys=(self.signing.public,))
        self.operator_token = sign(msgspec.structs.replace(claims, nats=body), self.operator)
        owner = new_account(self.account.public, "METERS")
        scope = Scope(
            key=self.reader.public, role="reader", template=new_template(allow_sub=(Subject("m.>"),))
        )
        callout = msgspec.structs.replace(
            owner.nats.authorization, auth_users=(self.plain.public,), xkey=self.curve.public
        )
        inner = msgspec.structs.replace(owner.nats, signing_keys=(scope,), authorization=callout)
        self.account_token = sign(msgspec.structs.replace(owner, nats=inner), self.signing)
        self.plain_token = sign(new_user(self.plain.public, "m1"), self.account)
        self.scoped_token = sign(
            new_scoped_user(self.scoped.public, "r1", account=self.account.public), self.reader
        )

    def export(self, **changes: Any) -> NscExport:
        export = NscExport(
            operator="GRID",
            token=self.operator_token,
            seeds=(self.operator, self.signing),
            accounts=[
                LeavingAccount(
                    "METERS",
                    self.account_token,
                    (self.account, self.reader, self.curve),
                    [
                        LeavingUser("m1", self.plain_token, self.plain),
                        LeavingUser("r1", self.scoped_token, self.scoped),
                    ],
                )
            ],
        )
        return replace(export, **changes)

    def write(self, home: Path, *, with_seeds: bool = True) -> Path:
        write_store(home, self.export(), with_seeds=with_seeds)
        return home
