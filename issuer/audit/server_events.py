"""What a server says of connections, from its bytes to a value (enforcement spec §7).

Servers send the whole user token along, also one that alone lets anybody in. Here it is taken apart: the
value keeps who it is about, who signed it, its id and its hash. The text goes beside the value, only as
long as its signature may have to be looked at, and is shown by no `repr`.

Nothing here raises on account of what was received: what is no such event is `Unfit`, with a reason.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

MAX_BYTES: Final = 262_144
"""Of one message: some 4 KiB with a user token as servers take it, more only where they were told to."""
_TEXT: Final = 256  # characters kept of what clients say of themselves
_EXACT: Final = 2**53 - 1

_KEY: Final = re.compile("[ANOU][A-Z2-7]{55}")
_EVENT_ID: Final = re.compile("[A-Za-z0-9_-]{1,64}")
# A client may put a token, or what is left of one, anywhere it may say something.
_TOKEN: Final = re.compile(r"eyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*)*")
_SEED: Final = re.compile("S[NCOAUX][A-Z2-7]{56}")
_HIDDEN: Final = "(not recorded)"
NOBODY: Final = "$G"
"""The account of those who were refused before they were in one."""


class Kind(StrEnum):
    """What happened."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    REFUSED = "refused"


SUBJECTS: Final = {
    Kind.CONNECTED: "$SYS.ACCOUNT.*.CONNECT",
    Kind.DISCONNECTED: "$SYS.ACCOUNT.*.DISCONNECT",
    Kind.REFUSED: "$SYS.SERVER.*.CLIENT.AUTH.ERR",
}
IMPORTED: Final = "accredit.servers"
"""Where an account that imports these subjects has them, each under its kind."""
_TYPES: Final = {
    Kind.CONNECTED: "io.nats.server.advisory.v1.client_connect",
    Kind.DISCONNECTED: "io.nats.server.advisory.v1.client_disconnect",
    Kind.REFUSED: "io.nats.server.advisory.v1.client_disconnect",
}


class Mark(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a token: its hash, and what it says of itself, unproved; keys that are none are ''."""

    sha256: str
    jti: str = ""
    sub: str = ""
    iss: str = ""
    account: str = ""
    """The account it is for, where a signing key of it signed."""
    name: str = ""
    bearer: bool = False


class ServerEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event. Times are unix seconds by the server's clock; `user` is a key or a name, as it says."""

    kind: Kind
    id: str
    at: int
    server_id: str
    server: str
    cluster: str = ""
    client: int
    address: str = ""
    account: str
    account_name: str = ""
    user: str = ""
    name: str = ""
    lang: str = ""
    version: str = ""
    issuer_key: str = ""
    client_kind: str = ""
    client_type: str = ""
    started: int = 0
    stopped: int = 0
    reason: str = ""
    sent_bytes: int = 0
    """By the client; `received_bytes` by it, as servers count."""
    received_bytes: int = 0
    token: Mark | None = None

    @property
    def link(self) -> tuple[str, int]:
        """The connection: ids of server and client, never used again."""
        return self.server_id, self.client

    @property
    def user_key(self) -> str:
        """Whose connection it is, where the server or the token says so by a key."""
        if self.user[:1] == "U" and is_key(self.user):
            return self.user
        return self.token.sub if self.token is not None and self.kind is Kind.REFUSED else ""


class Heard(msgspec.Struct, frozen=True, gc=False):
    """An event, and the token it came with, '' for none."""

    event: ServerEvent
    token: str = ""

    def __repr__(self) -> str:
        return f"Heard({self.event!r})"


class Unfit(msgspec.Struct, frozen=True):
    """No event: why, in one word."""

    reason: str


class _Server(msgspec.Struct):
    id: str = ""
    name: str = ""
    cluster: str = ""


class _Client(msgspec.Struct):
    id: int = 0
    acc: str = ""
    start: datetime | None = None
    stop: datetime | None = None
    host: str = ""
    user: str = ""
    name: str = ""
    lang: str = ""
    ver: str = ""
    jwt: str = ""
    issuer_key: str = ""
    name_tag: str = ""
    kind: str = ""
    client_type: str = ""


class _Traffic(msgspec.Struct):
    bytes: int = 0


class _Advisory(msgspec.Struct):
    type: str = ""
    id: str = ""
    timestamp: datetime | None = None
    server: _Server = msgspec.field(default_factory=_Server)
    client: _Client = msgspec.field(default_factory=_Client)
    sent: _Traffic | None = None
    received: _Traffic | None = None
    reason: str = ""


class _TokenBody(msgspec.Struct):
    issuer_account: str = ""
    bearer_token: bool = False


class _TokenClaims(msgspec.Struct):
    jti: str = ""
    sub: str = ""
    iss: str = ""
    name: str = ""
    nats: _TokenBody = msgspec.field(default_factory=_TokenBody)


_ADVISORY: Final = msgspec.json.Decoder(_Advisory)
_CLAIMS: Final = msgspec.json.Decoder(_TokenClaims)


def is_key(text: str) -> bool:
    """Whether it has the form of a public key; its checksum is not looked at."""
    return _KEY.fullmatch(text) is not None


def told_by(subject: str) -> tuple[Kind, str] | None:
    """What a subject says an event is about: its kind, and the account, or of a refusal the server."""
    parts = subject.split(".")
    match parts:
        case ["$SYS", "ACCOUNT", account, "CONNECT"]:
            return Kind.CONNECTED, account
        case ["$SYS", "ACCOUNT", account, "DISCONNECT"]:
            return Kind.DISCONNECTED, account
        case ["$SYS", "SERVER", server, "CLIENT", "AUTH", "ERR"]:
            return Kind.REFUSED, server
        case ["accredit", "servers", ("connected" | "disconnected" | "refused") as kind, about]:
            return Kind(kind), about
    return None


def parse(subject: str, data: bytes) -> Heard | Unfit:
    """Read one message."""
    told = told_by(subject)
    if told is None:
        return Unfit("subject")
    if len(data) > MAX_BYTES:
        return Unfit("too-large")
    try:
        found = _ADVISORY.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError, ValueError):
        return Unfit("malformed")
    return _event(*told, found)


def mark_of(token: str) -> Mark:
    """What is kept of a token, however malformed it is."""
    digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
    chunks = token.split(".")
    if len(chunks) != 3:
        return Mark(digest)
    payload = chunks[1]
    try:
        claims = _CLAIMS.decode(urlsafe_b64decode(payload.encode() + b"=" * (-len(payload) % 4)))
    except (msgspec.DecodeError, UnicodeError, Base64Error, RecursionError, ValueError):
        return Mark(digest)
    return Mark(
        digest,
        _text(claims.jti),
        _key(claims.sub),
        _key(claims.iss),
        _key(claims.nats.issuer_account),
        _text(claims.name),
        claims.nats.bearer_token,
    )


def _event(kind: Kind, about: str, found: _Advisory) -> Heard | Unfit:
    server, client = found.server, found.client
    if found.type != _TYPES[kind]:
        return Unfit("type")
    if _EVENT_ID.fullmatch(found.id) is None or found.timestamp is None:
        return Unfit("id")
    if server.id[:1] != "N" or not is_key(server.id) or not 0 < client.id <= _EXACT:
        return Unfit("connection")
    if client.acc != NOBODY and (client.acc[:1] != "A" or not is_key(client.acc)):
        return Unfit("account")
    if about != (server.id if kind is Kind.REFUSED else client.acc):
        # Said on a subject that is not of what it is about: somebody else's words.
        return Unfit("subject")
    at = _seconds(found.timestamp)
    event = ServerEvent(
        kind=kind,
        id=found.id,
        at=at,
        server_id=server.id,
        server=_text(server.name) or server.id,
        cluster=_text(server.cluster),
        client=client.id,
        address=_text(client.host),
        account=client.acc,
        account_name=_text(client.name_tag),
        user=_text(client.user),
        name=_text(client.name),
        lang=_text(client.lang),
        version=_text(client.ver),
        issuer_key=_key(client.issuer_key),
        client_kind=_text(client.kind),
        client_type=_text(client.client_type),
        started=_seconds(client.start) or at,
        stopped=0 if kind is Kind.CONNECTED else _seconds(client.stop) or at,
        reason=_text(found.reason),
        sent_bytes=_counted(found.sent),
        received_bytes=_counted(found.received),
        token=mark_of(client.jwt) if client.jwt else None,
    )
    return Heard(event, client.jwt)


def _text(value: str) -> str:
    """As much of a text as is kept, without tokens, seeds, and what no database takes."""
    if not value:
        return ""
    if not value.isascii():
        value = value.encode("utf-8", "replace").decode()
    if "eyJ" in value:
        value = _TOKEN.sub(_HIDDEN, value)
    if len(value) > 57 and "S" in value:
        value = _SEED.sub(_HIDDEN, value)
    return value.replace("\x00", "")[:_TEXT]


def _key(value: str) -> str:
    return value if is_key(value) else ""


def _seconds(value: datetime | None) -> int:
    # A year before 1970 is how Go writes "never".
    return max(int(value.timestamp()), 0) if value is not None and value.tzinfo is not None else 0


def _counted(traffic: _Traffic | None) -> int:
    return min(max(traffic.bytes, 0), _EXACT) if traffic is not None else 0
