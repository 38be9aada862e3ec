"""Events of the system account: who came, who went and why, who was not let in (enforcement spec §7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from broker.account import Account
from broker.client import Client
from broker.core import GLOBAL, Core
from broker.protocol.texts import Closed
from broker.services.describe import describe_client
from broker.services.envelope import Envelope, encoded, moment
from broker.services.monitoring import statsz

CONNECT_TYPE: Final = "io.nats.server.advisory.v1.client_connect"
DISCONNECT_TYPE: Final = "io.nats.server.advisory.v1.client_disconnect"
CONNECTIONS_TYPE: Final = "io.nats.server.advisory.v1.account_connections"
STATS_EVERY: Final = 10.0
CONNECTIONS_EVERY: Final = 30.0
_NOT_AUTHENTICATION: Final = frozenset({Closed.MAX_ACCOUNT_CONNECTIONS, Closed.AUTHENTICATION_TIMEOUT})


@dataclass(frozen=True, slots=True)
class _Said:
    """The subjects of an account's events; empty are those nobody listens to."""

    connect: str = ""
    disconnect: str = ""
    counts: tuple[str, ...] = ()


_NOTHING: Final = _Said()


class Events:
    """An observer of the core. What nobody listens to is not made."""

    def __init__(self, core: Core, envelope: Envelope) -> None:
        self._core = core
        self._envelope = envelope
        self._begun = False
        self._said: dict[str, _Said] = {}
        self._seen = -1
        """The generation of the system account's subscriptions for which `_said` holds."""

    def begin(self) -> None:
        """The system account is there: heartbeats begin."""
        if not self._begun:
            self._begun = True
            self._core.later(STATS_EVERY, self._stats)
            self._core.later(CONNECTIONS_EVERY, self._heartbeat)

    def connected(self, client: Client) -> None:
        account = client.account
        if account is None:
            return
        said = self._said_of(account.public)
        if said.connect:
            described = describe_client(self._core, client)
            described.pop("rtt", None)  # a server has not measured it yet
            self._say(said.connect, CONNECT_TYPE, {"client": described})
        self._count(account)

    def disconnected(self, client: Client) -> None:
        account = client.account
        public = account.public if account is not None else GLOBAL
        said = self._said_of(public)
        if said.disconnect:
            reason = client.closed.value if client.closed is not None else ""
            self._say(said.disconnect, DISCONNECT_TYPE, self._ended(client, reason))
        if account is not None:
            self._count(account)

    def refused(self, client: Client, account: Account | None, reason: str) -> None:
        if client.refused_as is Closed.MAX_ACCOUNT_CONNECTIONS and account is None:
            self._tell_account(client, client.account, Closed.AUTHENTICATION_FAILURE.value)
        if client.refused_as in _NOT_AUTHENTICATION:
            return
        subject = f"$SYS.SERVER.{self._core.identity.id}.CLIENT.AUTH.ERR"
        if self._heard(subject):
            self._say(subject, DISCONNECT_TYPE, self._ended(client, client.refused_as.value))
        # The account whose callout refused it hears the reason.
        self._tell_account(client, account, reason)

    def _tell_account(self, client: Client, account: Account | None, reason: str) -> None:
        inside = "$SYS.ACCOUNT.CLIENT.AUTH.ERR"
        if account is not None and self._core.interest(account, inside):
            body = self._ended(client, reason)
            body["client"]["acc"] = account.public
            self._say(inside, DISCONNECT_TYPE, body, account)

    def say(self, what: str) -> None:
        """A word about the broker itself: LAMEDUCK or SHUTDOWN."""
        subject = f"$SYS.SERVER.{self._core.identity.id}.{what}"
        if self._heard(subject):
            self._publish(subject, {"server": self._envelope.server()})

    # --- in pieces ---------------------------------------------------------------------------------

    def _ended(self, client: Client, reason: str) -> dict[str, Any]:
        described = describe_client(self._core, client)
        described["stop"] = moment(self._core.now())
        return {
            "client": described,
            # As the client sees it: what it sent came in here.
            "sent": {"msgs": client.in_msgs, "bytes": client.in_bytes},
            "received": {"msgs": client.out_msgs, "bytes": client.out_bytes},
            "reason": reason,
        }

    def _heard(self, subject: str) -> bool:
        system = self._core.system
        return system is not None and self._core.interest(system, subject)

    def _say(self, subject: str, kind: str, body: dict[str, Any], account: Account | None = None) -> None:
        head = {
            "type": kind,
            "id": self._core.links.token(22),
            "timestamp": moment(self._core.now()),
            "server": self._envelope.server(),
        }
        self._publish(subject, head | body, account)

    def _publish(self, subject: str, document: dict[str, Any], account: Account | None = None) -> None:
        to = account or self._core.system
        if to is not None:
            self._core.publish(to, subject, encoded(document))

    def _count(self, account: Account) -> None:
        for subject in self._said_of(account.public).counts:
            self.tell_connections(subject, account)

    def _said_of(self, public: str) -> _Said:
        system = self._core.system
        if system is None:
            return _NOTHING
        if self._seen != system.trie.generation:
            self._seen = system.trie.generation
            self._said.clear()
        said = self._said.get(public)
        if said is None:
            # The last is how the one before was called at first; servers still say both.
            connect, disconnect, *counts = (
                subject if self._heard(subject) else ""
                for subject in (
                    f"$SYS.ACCOUNT.{public}.CONNECT",
                    f"$SYS.ACCOUNT.{public}.DISCONNECT",
                    f"$SYS.ACCOUNT.{public}.SERVER.CONNS",
                    f"$SYS.SERVER.ACCOUNT.{public}.CONNS",
                )
            )
            said = self._said[public] = _Said(connect, disconnect, tuple(filter(None, counts)))
        return said

    def tell_connections(self, subject: str, account: Account) -> None:
        """How many are in an account, as event or as answer to who asks."""
        self._say(subject, CONNECTIONS_TYPE, connections_of(account))

    def _heartbeat(self) -> None:
        for account in list(self._core.accounts.values()):
            if account.clients:
                self._count(account)
        self._core.later(CONNECTIONS_EVERY, self._heartbeat)

    def _stats(self) -> None:
        subject = f"$SYS.SERVER.{self._core.identity.id}.STATSZ"
        if self._heard(subject):
            self._publish(subject, {"server": self._envelope.server(), "statsz": statsz(self._core)})
        self._core.later(STATS_EVERY, self._stats)


def connections_of(account: Account) -> dict[str, Any]:
    """How many are in an account, and what went through it."""
    return {
        "acc": account.public,
        "name": account.claims.name if account.claims is not None else account.name,
        "conns": len(account.clients),
        "leafnodes": 0,
        "total_conns": len(account.clients),
        "num_subscriptions": account.subscriptions(),
        "sent": {"msgs": account.out_msgs, "bytes": account.out_bytes, **_elsewhere()},
        "received": {"msgs": account.in_msgs, "bytes": account.in_bytes, **_elsewhere()},
        "slow_consumers": account.slow_consumers,
    }


def account_statz(core: Core, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The accounts asked for, or all of them; those with nobody in them only with `include_unused`."""
    wanted = asked.get("accounts") or list(core.accounts)
    unused = bool(asked.get("include_unused"))
    found = [core.accounts[name] for name in wanted if name in core.accounts]
    return {
        "server_id": core.identity.id,
        "now": moment(core.now()),
        "account_statz": [connections_of(account) for account in found if account.clients or unused],
    }


def _elsewhere() -> dict[str, Any]:
    return {name: {"msgs": 0, "bytes": 0} for name in ("gateways", "routes", "leafs")}
