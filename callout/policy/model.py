"""A policy as values: which identities get which roles of which account, and for how long.

`reading.read_policy` makes one of plain data and refuses what it cannot read; `writing.plain`
writes it back.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

FORMAT: Final = 1
DEFAULT_LIFETIME: Final = 86_400
"""Of a token, where the policy does not say: some end there always is."""
DEFAULT_JITTER: Final = 10
MAX_JITTER: Final = 50
LEAST_LIFETIME: Final = 5
"""A token that is over before its client has subscribed only makes it come again."""


class Field(StrEnum):
    """What a criterion looks at; an attribute is `attributes.NAME`."""

    ISSUER = "issuer"
    SUBJECT = "subject"
    DIRECTORY = "directory"
    KIND = "kind"
    GROUPS = "groups"
    METHODS = "methods"
    ASSURANCE = "assurance"
    AUTHENTICATED = "authenticated"
    CONNECTION_TYPE = "connection-type"
    NETWORK = "network"
    TIME = "time"


ATTRIBUTES: Final = "attributes"
ATTRIBUTE: Final = "attributes."
CONNECTION_TYPES: Final = ("standard", "websocket", "mqtt", "exchange")
"""`exchange`: no connection yet, but a token to connect with later."""


class Operator(StrEnum):
    """How it looks at it."""

    EQUALS = "equals"
    ONE_OF = "one-of"
    ALL_OF = "all-of"
    ANY_OF = "any-of"
    GLOB = "glob"
    AT_LEAST = "at-least"
    AT_MOST = "at-most"
    BEFORE = "before"
    WITHIN = "within"
    EXISTS = "exists"
    DURING = "during"


NOT: Final = "not"

Scalar = str | int | bool


class Window(msgspec.Struct, frozen=True):
    """Some hours of some days, in seconds of that day; an end not after the start is on the day after."""

    days: tuple[int, ...]
    """0 is Monday; of the day on which it opens."""
    start: int
    end: int


class Windows(msgspec.Struct, frozen=True):
    """Several windows, by the clocks of one zone."""

    entries: tuple[Window, ...]
    zone: str = "UTC"


Operand = Scalar | tuple[Scalar, ...] | Windows


class Criterion(msgspec.Struct, frozen=True, kw_only=True):
    """One condition. What is absent fulfils none, a negated one neither."""

    field: str
    operator: Operator
    operand: Operand
    negated: bool = False

    @property
    def key(self) -> tuple[str, Operator, bool]:
        """Told apart by it within a binding."""
        return (self.field, self.operator, self.negated)


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """A value handed to the subject templates of the role, under `key`."""

    key: str
    source: str = ""
    """`subject`, `directory`, `kind`, `groups` or `attributes.NAME`; empty for a fixed `text`."""
    text: str = ""
    several: bool = False
    optional: bool = False
    lower_case: bool = False


class Priority(StrEnum):
    """Who goes first when not all can."""

    CRITICAL = "critical"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """Who fulfils all the criteria gets the roles. One without criteria lets nobody in."""

    name: str
    criteria: tuple[Criterion, ...]
    account: str
    roles: tuple[str, ...]
    values: tuple[Passed, ...] = ()
    """For `{{tag(KEY)}}` of the roles' templates."""
    user_name: Passed | None = None
    """For `{{name()}}`; without it a role that asks for the name cannot be given."""
    max_lifetime: int | None = None
    """Seconds."""
    jitter: int = DEFAULT_JITTER
    """How many hundredths of the lifetime may be taken off, so that not all end at once."""
    priority: Priority = Priority.NORMAL
    grace: int = 0
    """Seconds for which a known identity may still come in while its directory is down."""
    single_use: bool = False
    """What was shown lets nobody in a second time: a stolen token that was used is worth nothing."""
    shadow: bool = False
    """Only told about; grants nothing."""
    union: bool = False
    """May grant together with others that say so too."""


class Holding(msgspec.Struct, frozen=True, order=True):
    """A role of an account, written `ACCOUNT/role`; without a role, any of that account."""

    account: str
    role: str = ""

    def __str__(self) -> str:
        return f"{self.account}/{self.role}" if self.role else self.account

    def covers(self, other: Holding) -> bool:
        return self.account == other.account and self.role in ("", other.role)


class Separation(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody may hold more than one of these."""

    name: str
    never_both: tuple[Holding, ...]


class RoleCap(msgspec.Struct, frozen=True):
    """How many seconds a token of that role may live, whichever binding gave it."""

    holding: Holding
    max_lifetime: int


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Bindings in their order, and what holds for all of them."""

    version: int = FORMAT
    max_lifetime: int = DEFAULT_LIFETIME
    bindings: tuple[Binding, ...] = ()
    separations: tuple[Separation, ...] = ()
    role_caps: tuple[RoleCap, ...] = ()


def live(policy: Policy) -> Policy:
    """The policy as it would be with its shadow bindings in force; for `what_if`."""
    bindings = tuple(msgspec.structs.replace(binding, shadow=False) for binding in policy.bindings)
    return msgspec.structs.replace(policy, bindings=bindings)
