"""The composition root: from settings to parts that run. The only place that knows them all."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from issuer.authority.desk import Actor, Authority, Outcome
from issuer.authority.opening import open_authority
from issuer.authority.pushing import mint_pusher
from issuer.claims.operator import OperatorClaims
from issuer.delivery.pusher import Pusher
from issuer.delivery.system_account import Credentials, SystemAccount, Tls, connect_system_account
from issuer.errors import NotFound
from issuer.keys.nkeys import Role, role_of
from issuer.settings import Settings
from issuer.store import hierarchy
from issuer.store.hierarchy import Operator
from issuer.store.unit import Database, Unit
from issuer.tokens.envelope import Token, decode
from issuer.tokens.signer import SeedSigner, Signer

SERVICE: Final = Actor("accredit", "service")


class Wiring:
    """The parts of one process over one store and one operator."""

    def __init__(self, settings: Settings, database: Database, operator: Operator) -> None:
        self.settings = settings
        self.database = database
        self.operator = operator
        self.pusher: Pusher | None = None
        self.authority: Authority = open_authority(
            settings, os.environ, clock=now, database=database, committed=self._committed
        )

    def credentials(self) -> tuple[Token, Signer]:
        """A fresh short-lived user of the system account, for each connection anew."""
        with self.database.reading() as unit:
            token, seed = mint_pusher(unit, self.authority.keyring, self.operator, now())
        return token, SeedSigner(seed)

    def connector(self, urls: Sequence[str]) -> Callable[[], Awaitable[SystemAccount]]:
        settings = self.settings
        tls = Tls(
            *(str(path) if path else "" for path in (settings.tls_ca, settings.tls_cert, settings.tls_key))
        )
        credentials: Credentials = self.credentials

        async def connect() -> SystemAccount:
            return await connect_system_account(list(urls), credentials, tls=tls)

        return connect

    def operator_claims(self) -> OperatorClaims:
        with self.database.reading() as unit:
            return decode(
                hierarchy.head_token(unit, "operator", self.operator.id).token, OperatorClaims
            ).claims

    def deletion_signer(self) -> Signer:
        """An operator key, which is what servers believe a deletion from (enforcement spec §5.5)."""
        claims = self.operator_claims()
        keys = list(claims.nats.signing_keys)
        if not claims.nats.strict_signing_key_usage:
            keys.insert(0, claims.sub)
        keyring = self.authority.keyring
        with self.database.reading() as unit:
            for public in keys:
                if keyring.has(unit, public):
                    return keyring.signer(unit, public)
        raise NotFound("no operator key is stored here to sign a deletion with")

    def _committed(self, result: object) -> None:
        if self.pusher is None:
            return
        if isinstance(result, Outcome) and result.token and role_of(result.public) is Role.ACCOUNT:
            # A new account token leaves before its row in the outbox is looked at.
            self.pusher.wake(result.token)
        else:
            self.pusher.wake()


def now() -> int:
    return int(time.time())


def instance() -> str:
    """What this process calls itself where several share the work."""
    return f"{socket.gethostname()}:{os.getpid()}"


def service_urls(unit: Unit, operator: Operator) -> tuple[str, ...]:
    """Where the operator says its servers are."""
    claims = decode(hierarchy.head_token(unit, "operator", operator.id).token, OperatorClaims).claims
    return claims.nats.operator_service_urls
