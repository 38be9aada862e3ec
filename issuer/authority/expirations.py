"""What ends when: operators, accounts, users, and the activations that imports live on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from issuer.authority.finding import the_operator
from issuer.authority.signing import head
from issuer.claims.account import AccountClaims, Import
from issuer.claims.exchange import ActivationClaims
from issuer.errors import PeerError
from issuer.store import hierarchy
from issuer.store.hierarchy import Account, Operator
from issuer.store.unit import Unit
from issuer.tokens.envelope import decode


@dataclass(frozen=True, slots=True)
class Expiring:
    """A question: what has ended at `now`, or ends before `until`; with `everything` also what does not."""

    now: int
    until: int
    operator: str | None = None
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Expiration:
    """One token and its end; `at` 0 is never. `resource` is the path of names that leads to it."""

    kind: str
    resource: str
    public: str
    at: int
    expired: bool
    soon: bool


def expirations(unit: Unit, asked: Expiring) -> list[Expiration]:
    """Soonest first, what never ends last."""
    found = [one for one in _tokens(unit, asked) if asked.everything or one.expired or one.soon]
    return sorted(found, key=lambda one: (one.at == 0, one.at, one.resource))


def _tokens(unit: Unit, asked: Expiring) -> Iterator[Expiration]:
    operator = the_operator(unit, asked.operator)
    version = hierarchy.head_token(unit, "operator", operator.id)
    yield _expiration("operator", operator.name, operator.public, version.exp or 0, asked)
    for account in hierarchy.accounts(unit, operator.id):
        claims: AccountClaims = head(unit, "account", account.id).claims
        path = f"{operator.name}/{account.name}"
        yield _expiration("account", path, account.public, claims.exp, asked)
        for entry in claims.nats.imports:
            if entry.token:
                yield _import(path, entry, asked)
        yield from _users(unit, operator, account, asked)


def _users(unit: Unit, operator: Operator, account: Account, asked: Expiring) -> Iterator[Expiration]:
    if asked.everything:
        rows = hierarchy.users(unit, account.id)
    else:
        # Few of a million: the store has an index for them.
        rows = hierarchy.expiring_users(unit, max(asked.until, asked.now), account_id=account.id)
    for row in rows:
        path = f"{operator.name}/{account.name}/{row.name}"
        yield _expiration("user", path, row.public, row.expires_at or 0, asked)


def _import(path: str, entry: Import, asked: Expiring) -> Expiration:
    """The activation an import rests on; one that cannot be read counts as ended."""
    resource = f"{path}/import {entry.name or entry.subject}"
    try:
        claims = decode(entry.token, ActivationClaims).claims
    except PeerError:
        # Servers do not follow an activation given as a URL: the import does not work (claims spec §3.4).
        return Expiration("activation", resource, entry.account, 0, expired=True, soon=False)
    return _expiration("activation", resource, claims.sub, claims.exp, asked)


def _expiration(kind: str, resource: str, public: str, at: int, asked: Expiring) -> Expiration:
    expired = 0 < at <= asked.now
    return Expiration(kind, resource, public, at, expired, soon=not expired and 0 < at < asked.until)
