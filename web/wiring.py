"""The composition root: from settings to parts that run. The only place that knows them all."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from issuer.authority.desk import Actor, Authority, Outcome
from issuer.authority.pushing import SERVING_PUSHER, deletion_signer
from issuer.authority.signing import head
from issuer.authority.system_users import Task, mint_system_user
from issuer.claims.operator import OperatorClaims
from issuer.delivery.pusher import Pusher
from issuer.delivery.system_account import Credentials, SystemAccount, Tls, connect_system_account
from issuer.keys.nkeys import Role, role_of
from issuer.settings import Settings
from issuer.store.hierarchy import Operator
from issuer.store.unit import Unit
from issuer.tokens.envelope import Token
from issuer.tokens.signer import SeedSigner, Signer

SERVICE: Final = Actor("accredit", "service")


class Wiring:
    """The parts of one process over one store and one operator."""

    def __init__(self, settings: Settings, authority: Authority, operator: Operator) -> None:
        self.settings = settings
        self.authority = authority
        self.database = authority.database
        self.operator = operator
        self.pusher: Pusher | None = None
        authority.after_commits(self._committed)

    def credentials(self) -> tuple[Token, Signer]:
        """A fresh short-lived user of the system account, for each connection anew."""
        return self.minted(SERVING_PUSHER)

    def minted(self, task: Task) -> tuple[Token, Signer]:
        """A fresh user of the system account for a task."""
        with self.database.noting() as unit:
            token, seed = mint_system_user(unit, self.authority.keyring, self.operator, task, now())
        return token, SeedSigner(seed)

    def connector(self, urls: Sequence[str]) -> Callable[[], Awaitable[SystemAccount]]:
        tls = Tls.of(self.settings)
        credentials: Credentials = self.credentials

        async def connect() -> SystemAccount:
            return await connect_system_account(list(urls), credentials, tls=tls)

        return connect

    def operator_claims(self) -> OperatorClaims:
        with self.database.reading() as unit:
            claims: OperatorClaims = head(unit, "operator", self.operator.id).claims
        return claims

    def deletion_signer(self) -> Signer:
        """The operator key that asks servers to delete accounts."""
        with self.database.reading() as unit:
            return deletion_signer(unit, self.authority.keyring, self.operator)

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


def service_urls(unit: Unit, operator: Operator) -> tuple[str, ...]:
    """Where the operator says its servers are."""
    claims: OperatorClaims = head(unit, "operator", operator.id).claims
    return claims.nats.operator_service_urls
