"""The rules of logins, narrowed for tokens that are carried about: how long, and of which accounts."""

from __future__ import annotations

import msgspec

from callout.desk import Rulebook
from callout.mint import Place
from callout.policy.index import Compiled, compiled
from callout.refusals import LoginRefusedError, Reason
from issuer.grants import Denial
from web.exchange.settings import ExchangeSettings


class PortableRules:
    """A rulebook over another one."""

    def __init__(self, rules: Rulebook, settings: ExchangeSettings) -> None:
        self._rules = rules
        self._most = settings.max_lifetime
        self._accounts = settings.accounts
        self._narrowed: tuple[Compiled, Compiled] | None = None

    def policy(self) -> tuple[int, Compiled]:
        version, whole = self._rules.policy()
        if whole.policy.max_lifetime <= self._most:
            return version, whole
        if self._narrowed is None or self._narrowed[0] is not whole:
            policy = msgspec.structs.replace(whole.policy, max_lifetime=self._most)
            self._narrowed = (whole, compiled(policy))
        return version, self._narrowed[1]

    def denials(self) -> tuple[Denial, ...]:
        return self._rules.denials()

    def place(self, account: str) -> Place | None:
        place = self._rules.place(account)
        allowed = self._accounts
        if place is None or allowed is None or {place.claims.name, place.public} & set(allowed):
            return place
        raise LoginRefusedError(
            Reason.NOT_OFFERED,
            f"tokens of account {account} are not exchanged here",
            hint="name it in exchange.accounts of callout.yaml",
        )
