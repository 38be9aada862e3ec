"""One connection as the broker sees it, whatever carries it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

from broker.enforcement.limits import Limits
from broker.protocol.connect import ConnectOptions
from broker.protocol.texts import Closed
from issuer.claims.user import UserClaims
from issuer.keys.nkeys import PublicKey

if TYPE_CHECKING:
    from broker.account import Account
    from broker.trie import Subscription

MAX_FRAMES: int = 4096


class Kind(StrEnum):
    """How a connection speaks; the values are those of CONNZ and the events."""

    NATS = "nats"
    WEBSOCKET = "websocket"
    MQTT = "mqtt"


class Port(Protocol):
    """What carries a connection's bytes."""

    def write(self, data: bytes) -> None: ...

    def pending(self) -> int:
        """Bytes taken but not yet sent."""

    def resume(self) -> None:
        """Read on, if reading was held back while the client was decided."""

    def end(self, closed: Closed) -> None:
        """Send what was taken, then close."""


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """The client's TLS session; certificates as PEM."""

    version: str = ""
    cipher: str = ""
    certificates: tuple[str, ...] = ()
    chains: tuple[tuple[str, ...], ...] = ()


class _Gone:
    """The port of a closed connection: what is kept of it for monitoring holds no socket."""

    def write(self, data: bytes) -> None:
        pass

    def pending(self) -> int:
        return 0

    def resume(self) -> None:
        pass

    def end(self, closed: Closed) -> None:
        pass


GONE: Final = _Gone()


class Client:
    """A connection: who it is, what it may do, what waits to be sent.

    Frames are put into `out`, whose identity never changes: routes hold its `append`.
    """

    __slots__ = (
        "account",
        "address",
        "authenticated",
        "bound_at",
        "callout",
        "cid",
        "closed",
        "dirty",
        "effective",
        "expires_at",
        "expiry",
        "first_pong",
        "in_bytes",
        "in_msgs",
        "issuer",
        "kind",
        "last_activity",
        "limits",
        "mqtt_id",
        "name_tag",
        "nonce",
        "on_closed",
        "options",
        "out",
        "out_bytes",
        "out_msgs",
        "pending_pings",
        "permissions",
        "pinged_at",
        "port",
        "port_number",
        "put",
        "refused_as",
        "remembered_replies",
        "remembers_replies",
        "rtt",
        "said_connect",
        "stalled_since",
        "started",
        "subscriptions",
        "tls",
        "token",
        "type",
        "user",
        "username",
    )

    def __init__(self, cid: int, kind: Kind, port: Port, address: str, number: int, now: float) -> None:
        self.cid = cid
        self.kind = kind
        self.type = {Kind.NATS: "STANDARD", Kind.WEBSOCKET: "WEBSOCKET", Kind.MQTT: "MQTT"}[kind]
        """The connection type as claims name it."""
        self.port = port
        self.address = address
        self.port_number = number
        self.started = now
        self.last_activity = now
        self.account: Account | None = None
        self.options = ConnectOptions()
        self.nonce = ""
        self.user: UserClaims | None = None
        """As issued."""
        self.effective: UserClaims | None = None
        """With its role's template applied."""
        self.token = ""
        self.issuer = PublicKey("")
        """The key that signed the user."""
        self.username = ""
        self.name_tag = ""
        self.permissions: Any = None
        """`enforcement.permissions.Permissions`; None allows everything."""
        self.limits = Limits()
        self.authenticated = False
        self.callout: Any = None
        """What a callout said of it, if one placed it."""
        self.bound_at = 0.0
        self.expiry: Any = None
        self.expires_at: float | None = None
        self.refused_as = Closed.AUTHENTICATION_FAILURE
        self.subscriptions: dict[str, Subscription] = {}
        self.remembers_replies = False
        """Its permissions allow answers to what it is asked."""
        self.remembered_replies: dict[str, list[float]] = {}
        """Replies it may publish once although its permissions do not say so: count and time."""
        self.out: list[bytes] = []
        self.put: Callable[[bytes], object] = self.out.append
        self.dirty = False
        self.closed: Closed | None = None
        self.on_closed: Callable[[], None] | None = None
        self.in_msgs = self.in_bytes = self.out_msgs = self.out_bytes = 0
        self.first_pong = False
        self.said_connect = False
        self.pending_pings = 0
        self.pinged_at = 0.0
        self.rtt = 0.0
        """Seconds from a PING to its PONG, once measured."""
        self.stalled_since = 0.0
        self.tls: TlsFacts | None = None
        self.mqtt_id = ""

    def __repr__(self) -> str:
        return f"Client({self.cid}, {self.kind.value}, {self.address}:{self.port_number})"

    @property
    def bearer(self) -> bool:
        return self.effective is not None and self.effective.nats.bearer_token

    @property
    def authorized_user(self) -> str:
        """Who it is, as monitoring shows it."""
        if self.user is not None:
            return self.username or self.user.sub
        return self.username

    def pending_bytes(self) -> int:
        return self.port.pending() + sum(map(len, self.out))
