"""Operator claims (claims spec §3.1)."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from issuer.claims.fields import VERSION, Envelope
from issuer.claims.wire import Claim, Int64
from issuer.keys.nkeys import PublicKey, Role


class OperatorBody(Claim, frozen=True, kw_only=True):
    """The `nats` object of an operator token."""

    signing_keys: tuple[PublicKey, ...] = ()
    account_server_url: str = ""
    operator_service_urls: tuple[str, ...] = ()
    system_account: str = ""
    assert_server_version: str = ""
    strict_signing_key_usage: bool = False
    tags: tuple[str, ...] = ()
    type: str = ""
    version: Int64 = 0


class OperatorClaims(Envelope, frozen=True, kw_only=True):
    """The root of trust: which keys may sign accounts."""

    kind: ClassVar[str] = "operator"
    issuers: ClassVar[tuple[Role, ...]] = (Role.OPERATOR,)
    subjects: ClassVar[tuple[Role, ...]] = (Role.OPERATOR,)

    nats: OperatorBody = msgspec.field(default_factory=OperatorBody)

    def trusts(self, issuer: str, subject: str) -> bool:
        """Whether `issuer` may have signed the token of `subject` (claims spec §3.1)."""
        if issuer == self.sub:
            return not self.nats.strict_signing_key_usage or subject == self.sub
        return issuer in self.nats.signing_keys


def new_operator(subject: PublicKey, name: str) -> OperatorClaims:
    return OperatorClaims(
        sub=subject, name=name, nats=OperatorBody(type=OperatorClaims.kind, version=VERSION)
    )
