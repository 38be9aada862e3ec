"""Values that several kinds of token share (claims spec §2.1, §3.5).

Fields named here hold what the token *says*; whether it may say so is `findings`' question.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Final, TypeVar

import msgspec

from issuer.claims.wire import Claim, Int64, always
from issuer.keys.nkeys import PublicKey, Role
from issuer.subjects import Subject

VERSION: Final = 2
UNLIMITED: Final = -1
EVERYONE: Final = "*"

CONNECTION_TYPES: Final = (
    "STANDARD",
    "WEBSOCKET",
    "LEAFNODE",
    "LEAFNODE_WS",
    "MQTT",
    "MQTT_WS",
    "IN_PROCESS",
)


class Envelope(Claim, frozen=True, kw_only=True):
    """The registered members every token has, in the order they are written."""

    kind: ClassVar[str]
    issuers: ClassVar[tuple[Role, ...]] = ()
    subjects: ClassVar[tuple[Role, ...]] = ()

    aud: str = ""
    exp: Int64 = 0
    jti: str = ""
    iat: Int64 = 0
    iss: PublicKey = PublicKey("")
    name: str = ""
    nbf: Int64 = 0
    sub: PublicKey = PublicKey("")


E = TypeVar("E", bound=Envelope)


def with_body(claims: E, **fields: Any) -> E:
    """The claims with other members in their `nats` object."""
    body: Any = getattr(claims, "nats")  # noqa: B009  every kind has one, each of its own type
    return msgspec.structs.replace(claims, nats=msgspec.structs.replace(body, **fields))


class Permission(Claim, frozen=True, kw_only=True):
    """Subjects allowed and denied; in `sub`, an entry may be "subject queue"."""

    allow: tuple[Subject, ...] = ()
    deny: tuple[Subject, ...] = ()

    def empty(self) -> bool:
        return not self.allow and not self.deny


class ResponsePermission(Claim, frozen=True, kw_only=True):
    """How often, and for how long in nanoseconds, a request may be answered."""

    max: Int64 = always(int)
    ttl: Int64 = always(int)


class Permissions(Claim, frozen=True, kw_only=True):
    """What may be published, subscribed and answered."""

    pub: Permission = msgspec.field(default_factory=Permission)
    sub: Permission = msgspec.field(default_factory=Permission)
    resp: ResponsePermission | None = None

    def empty(self) -> bool:
        return self.pub.empty() and self.sub.empty() and self.resp is None


class TimeRange(Claim, frozen=True, kw_only=True):
    """A daily window of wall-clock times `HH:MM:SS`; an end before the start crosses midnight."""

    start: str = ""
    end: str = ""


def split_networks(name: str, value: Any) -> Any:
    """`src` was once one comma-separated string; Go still reads it (claims spec §3.5)."""
    if name == "src" and isinstance(value, str):
        return clean_tags(value.split(","))
    return value


def clean_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Trimmed, lower case, without repetition, in order: the only form the server ever matches."""
    return tuple(dict.fromkeys(cleaned for tag in tags if (cleaned := tag.strip().lower())))
