"""What the broker answers on `$SYS` subjects, and tells of itself there (enforcement spec §5, §7)."""

from __future__ import annotations

from collections.abc import Callable

from broker.account import Account
from broker.client import Client
from broker.core import Core
from broker.services.claims import ClaimsService
from broker.services.describe import describe_client
from broker.services.envelope import Envelope
from broker.services.events import Events
from broker.services.requests import Requests

__all__ = ["Services"]


class Services:
    """All services of one broker; they begin when the system account is there."""

    def __init__(
        self,
        core: Core,
        *,
        on_reload: Callable[[], str | None],
        on_lame_duck: Callable[[Client], None],
    ) -> None:
        envelope = Envelope(core)
        self._core = core
        self.events = Events(core, envelope)
        self._claims = ClaimsService(core, envelope)
        self._requests = Requests(
            core,
            envelope,
            on_reload=on_reload,
            on_lame_duck=on_lame_duck,
            tell_connections=self.events.tell_connections,
        )
        core.describe = lambda client: describe_client(core, client)
        core.observers.append(self.events)
        core.on_account = self._account_added
        for account in list(core.accounts.values()):
            self._account_added(account)

    def _account_added(self, account: Account) -> None:
        if account.system:
            self._claims.listen(account)
            self._requests.listen(account)
            self.events.begin()
        self._requests.listen_in(account)

    def lame_duck(self) -> None:
        self.events.say("LAMEDUCK")

    def shutdown(self) -> None:
        self.events.say("SHUTDOWN")
