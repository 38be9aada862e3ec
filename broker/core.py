"""The broker without its sockets: accounts, connections, and what changes do to them.

Everything happens in one thread, in the order in which it came. Sockets, timers and the clock
are handed in; what the claims allow is decided in `enforcement`, and carried out here.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from broker.account import Account
from broker.client import GONE, Client, Kind, Port
from broker.configuration.options import Options
from broker.enforcement import live
from broker.enforcement.admission import AccountFacts, Admission, Trust
from broker.enforcement.limits import Limits
from broker.identity import Identity
from broker.links import Links
from broker.memory import TokenMemory
from broker.protocol import texts, writer
from broker.protocol.texts import Closed
from broker.routing import Handler, Router
from broker.trie import Subscription
from broker.wheel import Wheel
from issuer.claims.account import AccountClaims
from issuer.claims.user import UserClaims
from issuer.errors import AccreditError, NotFound
from issuer.keys.nkeys import PublicKey

log = logging.getLogger("accredit.broker")

GLOBAL: Final = "$G"
MAX_CLOSED: Final = 10_000


class Timer(Protocol):
    """Something that will happen."""

    def cancel(self) -> None: ...


class Observer(Protocol):
    """Who is told what happens to connections and accounts: the system's events."""

    def connected(self, client: Client) -> None: ...

    def disconnected(self, client: Client) -> None:
        """`client.closed` says why."""

    def refused(self, client: Client, account: Account | None, reason: str) -> None:
        """It was not let in; `account` is the one whose callout refused it, if one did."""


class Resolver(Protocol):
    """Where account tokens come from."""

    def fetch(self, account: PublicKey, then: Callable[[str | None], None]) -> None:
        """Find an account's token; `then` is called once, at once or later, with None if there is none."""


@dataclass(frozen=True, slots=True)
class ClosedClient:
    """A connection that was, for CONNZ."""

    client: Client
    stopped: float
    account: str
    subscriptions: tuple[Subscription, ...] = ()
    """What it had when it went."""


class Core:
    """All accounts and connections of one broker."""

    def __init__(
        self,
        options: Options,
        identity: Identity,
        trust: Trust | None,
        resolver: Resolver,
        *,
        clock: Callable[[], float],
        later: Callable[[float, Callable[[], None]], Timer],
        chance: Callable[[], float],
        randomness: Callable[[int], bytes],
    ) -> None:
        self.options = options
        self.identity = identity
        self.trust = trust
        """None: no operator; connections are decided by the configuration alone."""
        self.resolver = resolver
        self.now = clock
        self.later = later
        self.randomness = randomness
        self.started = clock()
        self.router = Router(self, clock, chance, options.max_pending)
        self.wheel = Wheel()
        self.tokens = TokenMemory()
        self.links = Links(self)
        self.accounts: dict[str, Account] = {}
        self.clients: dict[int, Client] = {}
        self.closed: deque[ClosedClient] = deque(maxlen=MAX_CLOSED)
        self.observers: list[Observer] = []
        self.system: Account | None = None
        self.total_connections = 0
        self.slow_consumers = 0
        self.pinned_account_fails = 0
        self.lame_duck = False
        self.required = False
        """Clients must say who they are."""
        self.port = 0
        self.monitor_port = 0
        self.on_account: Callable[[Account], None] = lambda _: None
        """Called with each account that is new here."""
        self.describe: Callable[[Client], dict[str, Any]] = lambda _: {}
        """A connection as requests that share who asks show it (enforcement spec §7)."""
        self.tick: Callable[[], None] = lambda: None
        """Called when something is put on the wheel."""
        self.globals = self.add_account(Account(GLOBAL))
        self._loading: dict[str, list[Callable[[Account | None], None]]] = {}
        self._last_cid = 0

    # --- accounts ----------------------------------------------------------------------------------

    def add_account(self, account: Account) -> Account:
        self.accounts[account.public] = account
        if account.system:
            self.system = account
        self.on_account(account)
        return account

    def account(self, public: str) -> Account | None:
        return self.accounts.get(public)

    def account_or_load(self, public: PublicKey, then: Callable[[Account | None], None]) -> None:
        """The account, from memory or the resolver; an expired one is asked for again."""
        account = self.accounts.get(public)
        if account is not None and not (account.expired and self._may_ask_again(account)):
            then(account)
            return

        waiting = self._loading.get(public)
        if waiting is not None:
            waiting.append(then)
            return
        self._loading[public] = [then]

        def found(token: str | None) -> None:
            if token is not None:
                try:
                    self.update_account(token)
                except AccreditError as error:
                    log.debug("Account JWT lookup error: %s", error)
            for each in self._loading.pop(public, []):
                each(self.accounts.get(public))

        self.resolver.fetch(public, found)

    def _may_ask_again(self, account: Account) -> bool:
        # At most once a second (enforcement spec §2, 8).
        now = self.now()
        if now - account.asked_at < 1.0:
            return False
        account.asked_at = now
        return True

    def update_account(self, token: str) -> Account:
        """Verify an account's token and put it in force, with all that follows for connections.

        Raises:
            AccreditError: it does not verify, is expired, or no trusted operator signed it.
        """
        if self.trust is None:
            raise NotFound("no operator is trusted here")
        known = self.links.read_account(token, self.trust, self.now())
        claims: AccountClaims = known.claims
        account = self.accounts.get(claims.sub)
        if account is None:
            account = Account(claims.sub, claims.sub)
            account.system = claims.sub == self.trust.system_account
            self.add_account(account)
        elif account.token == token and account.complete:
            # The same text again changes nothing, not even for an account that was deleted; only
            # one that misses an import is looked at anew.
            return account
        before = account.claims
        account.claims = claims
        account.token = token
        account.strict = self.is_strict(claims)
        account.expired = False
        account.updated = self.now()
        self.links.rebind(account)
        self._arm_expiry(account)
        effects = live.account_changed(
            before,
            claims,
            list(account.clients.values()),
            server_limits=self.server_limits(),
            strict=self.is_strict,
            shown=_shown,
        )
        self.carry_out(effects)
        return account

    def is_strict(self, claims: AccountClaims) -> bool:
        """Whether the operator of this account forbids identity keys."""
        return self.trust is not None and claims.iss in self.trust.strict_signers

    def expire_account(self, account: Account) -> None:
        """Its token's time is over, or it was deleted: every connection goes."""
        account.expired = True
        account.trie.generation += 1
        self.carry_out(live.account_expired(list(account.clients.values())))

    def delete_account(self, public: str) -> None:
        """Take an account out of force until a valid token comes again."""
        account = self.accounts.get(public)
        if account is not None:
            self.expire_account(account)

    def _arm_expiry(self, account: Account) -> None:
        if account.expiry is not None:
            account.expiry.cancel()
            account.expiry = None
        if account.claims is not None and account.claims.exp:
            due = max(account.claims.exp - self.now(), 0.0)
            account.expiry = self.later(due, lambda: self.expire_account(account))

    def server_limits(self) -> Limits:
        return Limits(subscriptions=self.options.max_subscriptions or -1, payload=self.options.max_payload)

    def facts(self, account: Account) -> AccountFacts | None:
        if account.claims is None:
            return None
        return AccountFacts(claims=account.claims, expired=account.expired, connections=len(account.clients))

    # --- connections -------------------------------------------------------------------------------

    def open(self, kind: Kind, port: Port, address: str, number: int) -> Client:
        """A connection that has just come in."""
        self._last_cid += 1
        self.total_connections += 1
        client = Client(self._last_cid, kind, port, address, number, self.now())
        self.clients[client.cid] = client
        return client

    def bind(self, client: Client, account: Account, admission: Admission | None) -> None:
        """Let a connection into its account, with the permissions and limits decided for it."""
        previous = client.account
        if previous is not None:
            previous.clients.pop(client.cid, None)
        client.account = account
        client.authenticated = True
        client.bound_at = self.now()
        account.clients[client.cid] = client
        if admission is None:
            return
        client.user = admission.issued
        client.effective = admission.user
        client.issuer = admission.issued.iss
        client.username = admission.issued.name or admission.issued.sub
        client.permissions = admission.permissions
        client.remembers_replies = admission.permissions.response is not None
        client.limits = admission.limits
        self.arm_user_expiry(client, admission.expires_at)

    def leave(self, client: Client) -> None:
        """Take a connection out of its account: it says again who it is."""
        self.drop_subscriptions(client)
        if client.account is not None:
            client.account.clients.pop(client.cid, None)
            client.account = None
        client.authenticated = False

    def arm_user_expiry(self, client: Client, expires_at: float | None) -> None:
        if client.expiry is not None:
            client.expiry.cancel()
            client.expiry = None
        client.expires_at = expires_at
        if expires_at is not None:
            due = max(expires_at - self.now(), 0.0)
            client.expiry = self.later(due, lambda: self.carry_out(live.user_expired(client)))

    def announce(self, client: Client) -> None:
        """Tell observers of a connection that is in."""
        for observer in self.observers:
            observer.connected(client)

    def refuse(
        self, client: Client, closed: Closed, text: str | None, reason: str, account: Account | None = None
    ) -> None:
        """Turn a connection away; the client learns nothing, the log and the events everything."""
        if client.closed is not None:
            return
        log.error("%r - authentication error: %s", client, reason or closed.value)
        client.refused_as = closed
        for observer in self.observers:
            observer.refused(client, account, reason)
        self.close(client, closed, text)

    def close(self, client: Client, closed: Closed, text: str | None = None) -> None:
        """End a connection, with a last word or without one."""
        if client.closed is not None:
            return
        if text is not None:
            self.router.tell(client, writer.error(text))
        client.closed = closed
        self.router.flush_client(client)
        held = tuple(client.subscriptions.values())
        self.drop_subscriptions(client)
        account = client.account
        if account is not None:
            account.clients.pop(client.cid, None)
        self.clients.pop(client.cid, None)
        if client.expiry is not None:
            client.expiry.cancel()
        self.closed.append(ClosedClient(client, self.now(), account.public if account else "", held))
        for observer in self.observers:
            observer.disconnected(client)
        if client.on_closed is not None:
            client.on_closed()
            client.on_closed = None
        port, client.port = client.port, GONE
        port.end(closed)

    def slow_consumer(self, client: Client, closed: Closed) -> None:
        """It does not take what it asked for; the others shall not wait for it."""
        self.slow_consumers += 1
        if client.account is not None:
            client.account.slow_consumers += 1
        self.close(client, closed)

    # --- subscriptions -----------------------------------------------------------------------------

    def subscribe_client(self, client: Client, subscription: Subscription) -> bool:
        """Put a subscription in force; False if its subject is none."""
        account = client.account
        if account is None or not account.trie.insert(subscription):
            return False
        client.subscriptions[subscription.sid] = subscription
        self.links.shadow(account, subscription)
        return True

    def unsubscribe(self, client: Client, subscription: Subscription) -> None:
        if subscription.closed:
            return
        subscription.closed = True
        if subscription.imported is not None:
            subscription = client.subscriptions.get(subscription.sid, subscription)
            subscription.closed = True
        if client is not None:
            client.subscriptions.pop(subscription.sid, None)
            if client.account is not None:
                client.account.trie.remove(subscription)
        self.links.unshadow(subscription)

    def drop_subscriptions(self, client: Client) -> None:
        for subscription in list(client.subscriptions.values()):
            self.unsubscribe(client, subscription)

    def carry_out(self, effects: Iterable[Any]) -> None:
        """Do to connections what a change means for them."""
        for effect in effects:
            client: Client = effect.session
            if client.closed is not None:
                continue
            if isinstance(effect, live.Close) and effect.text == texts.AUTHORIZATION_VIOLATION:
                self.refuse(client, effect.closed, effect.text, "no longer allowed as it came")
            elif isinstance(effect, live.Close):
                self.close(client, effect.closed, effect.text)
            elif isinstance(effect, live.Unsubscribe):
                subscription = client.subscriptions.get(effect.sid)
                if subscription is not None:
                    self.unsubscribe(client, subscription)
                    self.router.tell(client, writer.error(effect.text))
            elif isinstance(effect, live.Rebind):
                self._rebind(client, effect)

    def _rebind(self, client: Client, effect: live.Rebind[Client]) -> None:
        client.limits = effect.limits
        if effect.permissions is not None:
            client.permissions = effect.permissions
            client.remembers_replies = effect.permissions.response is not None
            for subscription in client.subscriptions.values():
                subscription.filtered = effect.permissions.filters(subscription.subject, subscription.queue)
                for _, twin in subscription.shadows:
                    twin.filtered = subscription.filtered
        if client.account is not None:
            client.account.trie.generation += 1

    # --- for services of the broker itself ---------------------------------------------------------

    def subscribe(self, account: Account, subject: str, handler: Handler, *, queue: str = "") -> Subscription:
        """An inner subscription: `handler` is called with each message."""
        subscription = Subscription(subject, queue, handler=handler)
        account.trie.insert(subscription)
        return subscription

    def unsubscribe_inner(self, account: Account, subscription: Subscription) -> None:
        subscription.closed = True
        account.trie.remove(subscription)

    def publish(
        self,
        account: Account,
        subject: str,
        payload: bytes,
        *,
        reply: str = "",
        headers: bytes = b"",
        answering: bool = False,
    ) -> bool:
        """Publish from the broker itself; whether anybody got it.

        With `answering` it is the answer of a service, which no stream export carries on.
        """
        body = headers + payload + b"\r\n"
        chain = (self,) if answering else ()
        return self.router.send(account, None, subject, reply, len(headers) or -1, body, chain)

    def interest(self, account: Account, subject: str) -> bool:
        """Whether anybody listens: events nobody reads need not be made."""
        return bool(account.trie.match(subject))

    def full(self) -> bool:
        """More connections than the configuration allows."""
        return 0 <= self.options.max_connections < len(self.clients)

    def facts_without(self, account: Account, client: Client) -> AccountFacts | None:
        """As `facts`, with this connection's place free."""
        facts = self.facts(account)
        if facts is None or client.cid not in account.clients:
            return facts
        return msgspec.structs.replace(facts, connections=facts.connections - 1)

    def every_client(self, kinds: Sequence[Kind] = tuple(Kind)) -> list[Client]:
        return [client for client in self.clients.values() if client.kind in kinds]


def _shown(client: Client) -> UserClaims | None:
    """The token a connection is in by; a callout's user showed none of its own."""
    return client.user if client.callout is None else None


__all__ = ["GLOBAL", "ClosedClient", "Core", "Observer", "Resolver", "Timer"]
