"""Requests as servers make them, and as they do not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from callout.request import AUDIENCE, Rules
from issuer.claims.exchange import (
    AuthorizationRequestBody,
    AuthorizationRequestClaims,
    ClientInfo,
    ConnectOptions,
    ServerID,
)
from issuer.keys.nkeys import Role, Seed
from issuer.keys.xkeys import seal
from issuer.tokens.envelope import encode
from issuer.tokens.signer import SeedSigner

NOW = 1_800_000_000
PATIENCE = 2


@dataclass
class Asking:
    """A server, the account whose callout is asked, and a client at the door."""

    server: Seed = field(default_factory=lambda: Seed.generate(Role.SERVER))
    server_curve: Seed = field(default_factory=lambda: Seed.generate(Role.CURVE))
    account: Seed = field(default_factory=lambda: Seed.generate(Role.ACCOUNT))
    curve: Seed = field(default_factory=lambda: Seed.generate(Role.CURVE))
    user: Seed = field(default_factory=lambda: Seed.generate(Role.USER))

    def claims(self, **members: Any) -> AuthorizationRequestClaims:
        body = AuthorizationRequestBody(
            server_id=ServerID(
                name="one", host="h", id=self.server.public, version="2.15.1", xkey=self.server_curve.public
            ),
            user_nkey=self.user.public,
            client_info=ClientInfo(host="192.0.2.7", id=9, kind="Client", type="nats"),
            connect_opts=ConnectOptions(jwt="sentinel", user="ann", password="secret", protocol=1),
            type=AuthorizationRequestClaims.kind,
            version=2,
        )
        given = {"sub": self.account.public, "aud": AUDIENCE, "exp": NOW + PATIENCE, "nats": body}
        return AuthorizationRequestClaims(**{**given, **members})

    def with_body(self, **members: Any) -> AuthorizationRequestClaims:
        claims = self.claims()
        return replace(claims, nats=replace(claims.nats, **members))

    def token(
        self, claims: AuthorizationRequestClaims | None = None, *, by: Seed | None = None, at: int = NOW
    ) -> bytes:
        signer = SeedSigner(by or self.server)
        return encode(claims or self.claims(), signer, now=at).token.encode()

    def sealed(self, token: bytes, *, by: Seed | None = None) -> bytes:
        return seal(token, sender=by or self.server_curve, recipient=self.curve.public)

    def rules(self, **members: Any) -> Rules:
        return Rules(**{"account": self.account.public, **members})
