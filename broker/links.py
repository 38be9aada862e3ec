"""Accounts put together: tokens read and trusted, imports resolved, stand-ins placed."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any, Final

from broker.account import Account
from broker.imports import ServiceLink, names_of_exporters, stand_ins
from broker.sharing import Shared, resolve
from broker.transforms import Mappings
from broker.trie import Subscription
from issuer.claims.account import AccountClaims
from issuer.errors import Refused
from issuer.findings import blocking, validate
from issuer.keys.nkeys import PublicKey
from issuer.tokens.envelope import Verified, decode

if TYPE_CHECKING:
    from broker.client import Client
    from broker.core import Core
    from broker.enforcement.admission import Trust
    from broker.routing import Router

_ALPHABET: Final = string.ascii_letters + string.digits
INVALID: Final = "account validation failed"


class UntrustedAccountError(Refused):
    """No operator trusted here signed this account, or its time is not now."""

    code = "account.untrusted"


class Links:
    """What holds accounts together. Part of the core; here for its size."""

    __slots__ = ("_core",)

    def __init__(self, core: Core) -> None:
        self._core = core

    @property
    def router(self) -> Router:
        return self._core.router

    def now(self) -> float:
        return self._core.now()

    def token(self, size: int) -> str:
        return "".join([_ALPHABET[byte % len(_ALPHABET)] for byte in self._core.randomness(size)])

    def account(self, public: PublicKey) -> Account | None:
        return self._core.accounts.get(public)

    def read_account(self, token: str, trust: Trust, now: float) -> Verified[AccountClaims]:
        """An account token that may be put in force.

        Raises:
            TokenError: it cannot be read, or its time is over.
            UntrustedAccountError: nobody trusted signed it.
        """
        verified = decode(token, AccountClaims, now=int(now))
        if verified.claims.iss not in trust.keys:
            raise UntrustedAccountError(INVALID, at=verified.claims.sub)
        if blocking(validate(verified.claims, now=int(now)), include_time=True):
            raise UntrustedAccountError(INVALID, at=verified.claims.sub)
        return verified

    # --- sharing -----------------------------------------------------------------------------------

    def rebind(self, account: Account) -> None:
        """Put an account's mappings and imports in force, and look again at who imports from it."""
        if account.claims is not None:
            account.mappings = Mappings.of(account.claims.nats.mappings)
        if account.responses is not None:
            account.responses.clear()
        self.resolve(account)
        account.complete = account.shared is None or not account.shared.skipped
        for public in list(account.importers):
            importer = self._core.accounts.get(public)
            if importer is not None and importer is not account:
                self.resolve(importer)

    def resolve(self, account: Account) -> None:
        """Which imports hold now; the subscriptions of the account follow."""
        claims = account.claims
        if claims is not None:
            # First: loading an exporter may resolve this very account on the way.
            for exporter in names_of_exporters(claims):
                self._enlist(exporter, account)
        for subscription in account.imported:
            self._core.unsubscribe_inner(account, subscription)
        account.imported = []
        account.trie.generation += 1
        if claims is None:
            return
        shared = resolve(
            claims,
            self._claims_of,
            strict=self._core.is_strict,
            now=int(self._core.now()),
            in_force=self._in_force,
        )
        account.shared = shared
        # What held once is not looked at again, as on the server.
        account.complete = account.complete or not shared.skipped
        self._place_services(account, shared)
        for client in account.clients.values():
            for subscription in client.subscriptions.values():
                self.unshadow(subscription)
                self.shadow(account, subscription)
        self._arm(account, shared.next_expiry)

    def _place_services(self, account: Account, shared: Shared) -> None:
        for service in shared.services:
            link = ServiceLink(account, service, self)
            subscription = Subscription(service.local, handler=link.pass_on)
            if account.trie.insert(subscription):
                account.imported.append(subscription)

    def _enlist(self, exporter: PublicKey, importer: Account) -> None:
        account = self._core.accounts.get(exporter)
        if account is not None:
            account.importers.add(importer.public)
            return

        def loaded(found: Account | None) -> None:
            # Found while this account was already in force: its imports hold from now on.
            if found is not None and importer.public not in found.importers:
                found.importers.add(importer.public)
                self.resolve(importer)

        self._core.account_or_load(exporter, loaded)

    def _claims_of(self, public: PublicKey) -> AccountClaims | None:
        account = self._core.accounts.get(public)
        return None if account is None or account.expired else account.claims

    def _in_force(self, public: PublicKey) -> Shared | None:
        account = self._core.accounts.get(public)
        return None if account is None else account.shared

    def _arm(self, account: Account, due: int | None) -> None:
        if account.sharing_expiry is not None:
            account.sharing_expiry.cancel()
            account.sharing_expiry = None
        if due is not None:
            wait = max(due - self._core.now(), 0.0) + 0.001
            account.sharing_expiry = self._core.later(wait, lambda: self.resolve(account))

    def shadow(self, account: Account, subscription: Subscription) -> None:
        """Let a subscription stand in the tries of those whose streams its account imports."""
        if account.shared is None or not account.shared.streams:
            return
        twins = stand_ins(subscription, account.shared.streams, self.account)
        for exporter, twin in twins:
            exporter.trie.insert(twin)
        subscription.shadows = twins

    def unshadow(self, subscription: Subscription) -> None:
        for exporter, twin in subscription.shadows:
            twin.closed = True
            exporter.trie.remove(twin)
        subscription.shadows = ()

    # --- who asks ----------------------------------------------------------------------------------

    def request_info(self, client: Client | None, account: Account, *, shared: bool) -> dict[str, Any]:
        """What an exporter learns of who asks (spec §4.3): the account and the round trip, or all."""
        who: dict[str, Any] = {"acc": account.public}
        if client is not None and client.rtt:
            who["rtt"] = int(client.rtt * 1e9)
        if client is None or not shared:
            return who
        # The tag is the user's name here; in events it is the account's.
        user = client.user if client.callout is None else client.callout.sentinel
        own = {**who, "name_tag": user.name if user is not None else ""}
        found: dict[str, Any] = {}
        for name, value in (self._core.describe(client) | own).items():
            if value != "":
                found[name] = value
            if name == "rtt":
                found["server"] = self._core.identity.name
        found.setdefault("server", self._core.identity.name)
        return found
