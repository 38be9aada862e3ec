"""A connection while it is asked about: what the client sent, and what was found out so far."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from typing import Final

import msgspec

from broker.enforcement.permissions import USER_TOKEN
from broker.enforcement.trust import Trust
from broker.enforcement.verdict import Step
from issuer.claims.account import AccountClaims, Scope
from issuer.claims.user import UserClaims
from issuer.tokens.envelope import Verified

Reads = Callable[[str], Verified[UserClaims]]
"""From a token's text to its claims, remembered or not; raises TokenError."""

CONFIGURATION: Final = "server configuration"
ACCOUNT_TOKEN: Final = "account token"  # noqa: S105  the names of sources
CLIENT: Final = "the client"
NOBODY: Final = UserClaims()
_MQTT: Final = frozenset({"MQTT", "MQTT_WS"})


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What a client sent, and where it comes from."""

    token: str = ""
    signature: str = ""
    nonce: str = ""
    user: str = ""
    password: str = ""
    auth_token: str = ""
    nkey: str = ""
    name: str = ""
    lang: str = ""
    version: str = ""
    protocol: int = 0
    account: str = ""
    new_account: bool = False
    proxy_signature: str = ""
    address: str = ""
    connection_type: str = "STANDARD"

    @property
    def by_password(self) -> bool:
        """Whether the password is where its token would be."""
        return not self.token and self.connection_type in _MQTT


class Case:
    """What is known of a connection while it is asked about."""

    __slots__ = (
        "account",
        "attempt",
        "body",
        "claims",
        "expired",
        "field",
        "local",
        "now",
        "permissions",
        "proxied",
        "read",
        "room",
        "scope",
        "sentinel",
        "source",
        "trust",
        "until",
        "user",
    )

    def __init__(self, attempt: Attempt, trust: Trust, now: float) -> None:
        self.attempt = attempt
        self.trust = trust
        self.now = now
        self.read: Reads
        self.proxied = False
        self.sentinel = False
        self.user: Verified[UserClaims] | None = None
        self.claims = NOBODY
        self.body = NOBODY.nats
        """What holds, once the role's template is applied."""
        self.source = USER_TOKEN
        """Where `body` comes from, in words."""
        self.field = "user /nats"
        """And where it stands."""
        self.account: AccountClaims
        self.expired = False
        self.room = 0
        self.scope: Scope | None = None
        self.local: tzinfo | None = None
        self.until: float | None = None


Asks = Callable[[Case], Step | None]
"""One step; None where it does not concern this connection."""


def take(asks: tuple[Asks, ...], case: Case) -> list[Step]:
    """The steps in their order, up to the first that fails."""
    taken = []
    for ask in asks:
        step = ask(case)
        if step is not None:
            taken.append(step)
            if not step.passed:
                break
    return taken
