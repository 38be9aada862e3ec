"""One account at run time: its claims, its subscriptions, its connections, what it shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from broker.transforms import Mappings
from broker.trie import Subscription, Trie
from issuer.claims.account import AccountClaims
from issuer.keys.nkeys import PublicKey

if TYPE_CHECKING:
    from broker.client import Client


class Account:
    """An isolated space of subjects. `claims` are None for those without tokens ($G, configured)."""

    __slots__ = (
        "asked_at",
        "claims",
        "clients",
        "complete",
        "expired",
        "expiry",
        "imported",
        "importers",
        "in_bytes",
        "in_msgs",
        "mappings",
        "name",
        "out_bytes",
        "out_msgs",
        "public",
        "responses",
        "shared",
        "sharing_expiry",
        "slow_consumers",
        "strict",
        "system",
        "token",
        "trie",
        "updated",
    )

    def __init__(self, public: str, name: str = "") -> None:
        self.public = PublicKey(public)
        self.name = name or public
        self.claims: AccountClaims | None = None
        self.token = ""
        self.strict = False
        """Signed by a key of an operator that forbids identity keys."""
        self.trie = Trie()
        self.clients: dict[int, Client] = {}
        """Oldest first."""
        self.asked_at = 0.0
        """When the resolver was last asked for a token in place of an expired one."""
        self.expired = False
        self.system = False
        self.updated = 0.0
        self.mappings = Mappings.of({})
        self.shared: Any = None
        """`sharing.Shared`: the imports that hold."""
        self.complete = True
        """Whether every import it names held when its own claims came, or once since then."""
        self.imported: list[Subscription] = []
        """The inner subscriptions that stand for service imports."""
        self.importers: set[PublicKey] = set()
        """Accounts that import, or would, from this one."""
        self.responses: Any = None
        """`imports.Responses`, once a service of its own was asked."""
        self.expiry: Any = None
        self.sharing_expiry: Any = None
        self.in_msgs = self.in_bytes = self.out_msgs = self.out_bytes = 0
        self.slow_consumers = 0

    def __repr__(self) -> str:
        return f"Account({self.name})"

    def subscriptions(self) -> int:
        return self.trie.count
