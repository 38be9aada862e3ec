"""The parts of a configuration that have parts of their own. Durations are in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from issuer.claims.account import AccountBody
from issuer.claims.fields import Permissions
from issuer.keys.nkeys import PublicKey

GLOBAL_ACCOUNT: Final = "$G"
SYSTEM_ACCOUNT: Final = "$SYS"

ResolverKind = Literal["memory", "url", "full", "cache"]
NoticeKind = Literal["unsupported", "ignored", "deprecated"]

_BCRYPT: Final = ("$2a$", "$2b$", "$2x$", "$2y$")


@dataclass(frozen=True, slots=True)
class Notice:
    """Something in a configuration that does not do what whoever wrote it may expect.

    unsupported: the real server does more with it. ignored: it changes nothing that can be seen from outside.
    deprecated: the real server warns of it as well, and its check (`-t`) refuses it.
    """

    kind: NoticeKind
    key: str
    at: str
    words: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.at}: {self.words}" + (f" (hint: {self.hint})" if self.hint else "")


@dataclass(frozen=True, slots=True)
class Tls:
    """A `tls` block: the files, and whether clients must show a certificate."""

    cert_file: str = ""
    key_file: str = ""
    ca_file: str = ""
    verify: bool = False
    timeout: float = 2.0
    handshake_first: bool = False
    handshake_first_fallback: float = 0.0
    """How long to wait for the client to begin its handshake, before INFO is sent in clear; 0: for ever."""
    min_version: Literal["1.2", "1.3"] = "1.2"


@dataclass(frozen=True, slots=True)
class Websocket:
    """The `websocket` block. Port 0: no listener; -1: any free port."""

    host: str = "0.0.0.0"  # noqa: S104  the server's own default
    port: int = 0
    advertise: str = ""
    no_tls: bool = False
    tls: Tls | None = None
    same_origin: bool = False
    allowed_origins: tuple[str, ...] = ()
    handshake_timeout: float = 2.0
    jwt_cookie: str = ""
    no_auth_user: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    ping_interval: float = 0.0
    """0: as for other clients."""


@dataclass(frozen=True, slots=True)
class Mqtt:
    """The `mqtt` block. Port 0: no listener; -1: any free port."""

    host: str = "0.0.0.0"  # noqa: S104  the server's own default
    port: int = 0
    tls: Tls | None = None
    no_auth_user: str = ""
    ack_wait: float = 30.0
    max_ack_pending: int = 1024
    reject_qos2_publish: bool = False
    downgrade_qos2_subscribe: bool = False


@dataclass(frozen=True, slots=True)
class Resolver:
    """Where account tokens come from (enforcement spec §5.1). `limit` 0: any number."""

    kind: ResolverKind
    url: str = ""
    dir: str = ""
    allow_delete: bool = False
    hard_delete: bool = False
    interval: float = 60.0
    limit: int = 0
    ttl: float = 0.0
    timeout: float = 1.9


@dataclass(frozen=True, slots=True)
class ConfiguredUser:
    """A user of the configuration: a name with a password, or the public key of an nkey."""

    name: str = ""
    password: str = field(default="", repr=False)
    nkey: str = ""
    account: str = GLOBAL_ACCOUNT
    permissions: Permissions | None = None
    """None: no restriction. Default permissions are in here already."""
    connection_types: tuple[str, ...] = ()
    proxy_required: bool = False


@dataclass(frozen=True, slots=True)
class ConfiguredAccount:
    """An account of the configuration, as claims say it; accounts are named, not keyed, in its imports.

    `private` holds which accounts may import an export, by its (type, subject); exports not in it are public.
    """

    name: str
    nkey: str = ""
    body: AccountBody = field(default_factory=AccountBody)
    private: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proxies:
    """Keys of the proxies that may vouch for a connection."""

    trusted: tuple[PublicKey, ...] = ()


def is_hashed(secret: str) -> bool:
    """Whether a password or token of the configuration is a bcrypt hash, which nothing said can match."""
    return secret.startswith(_BCRYPT)
