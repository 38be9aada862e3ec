"""What a declarative file says, as values.

None means that the file is silent: what is there stays, and what is made takes the default of a
new one. An empty text, an empty list or `false` says that there shall be none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from issuer.authority.plan.source import Where
from issuer.claims.account import WeightedMapping
from issuer.claims.fields import ResponsePermission, TimeRange
from issuer.keys.nkeys import PublicKey

ShareWord = Literal["stream", "service"]

SECTIONS: Final = ("accounts", "tiers", "roles", "exports", "imports", "mappings", "users")

NOWHERE: Final = Where()


@dataclass(frozen=True, slots=True)
class Until:
    """When a token ends: at a second (0 is never), or so many seconds after it was signed."""

    second: int = 0
    lasting: int = 0


@dataclass(frozen=True, slots=True)
class PermissionsPart:
    """Subjects allowed and denied; `responses` False takes the leave to answer away."""

    allow_pub: tuple[str, ...] | None = None
    deny_pub: tuple[str, ...] | None = None
    allow_sub: tuple[str, ...] | None = None
    deny_sub: tuple[str, ...] | None = None
    responses: ResponsePermission | Literal[False] | None = None

    def __bool__(self) -> bool:
        return self != PermissionsPart()


@dataclass(frozen=True, slots=True)
class LimitsPart:
    """Limits of a user or of a role's users."""

    subs: int | None = None
    data: int | None = None
    payload: int | None = None
    bearer: bool | None = None
    proxy_required: bool | None = None
    networks: tuple[str, ...] | None = None
    times: tuple[TimeRange, ...] | None = None
    locale: str | None = None
    connection_types: tuple[str, ...] | None = None

    def __bool__(self) -> bool:
        return self != LimitsPart()


@dataclass(frozen=True, slots=True)
class RolePart:
    """A role. `public_key` makes it of a key whose seed is elsewhere."""

    name: str
    public_key: PublicKey | None = None
    description: str | None = None
    permissions: PermissionsPart = field(default_factory=PermissionsPart)
    limits: LimitsPart = field(default_factory=LimitsPart)
    where: Where = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class UserPart:
    """A user; `role` "" is none."""

    name: str
    role: str | None = None
    public_key: PublicKey | None = None
    permissions: PermissionsPart = field(default_factory=PermissionsPart)
    limits: LimitsPart = field(default_factory=LimitsPart)
    tags: tuple[str, ...] | None = None
    starts: int | None = None
    expires: Until | None = None
    where: Where = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class LatencyPart:
    """Where latency reports of a service go; `sampling` 0 is "when a header asks for it"."""

    subject: str
    sampling: int = 0


@dataclass(frozen=True, slots=True)
class ExportPart:
    """A stream or service offered; kind and subject are its identity."""

    kind: ShareWord
    subject: str
    name: str | None = None
    private: bool | None = None
    response_type: str | None = None
    response_threshold: int | None = None
    latency: LatencyPart | Literal[False] | None = None
    account_token_position: int | None = None
    advertise: bool | None = None
    allow_trace: bool | None = None
    description: str | None = None
    info_url: str | None = None
    where: Where = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class ImportPart:
    """A stream or service taken from an account, named or by key; `token` comes from its holder."""

    kind: ShareWord
    subject: str
    source: str
    local_subject: str | None = None
    name: str | None = None
    token: str | None = None
    expires: Until | None = None
    share: bool | None = None
    allow_trace: bool | None = None
    where: Where = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class MappingPart:
    """Where a subject is sent; the whole list of its destinations."""

    source: str
    destinations: tuple[WeightedMapping, ...]
    where: Where = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class CalloutPart:
    """Auth callout: users by name or key, accounts by name, key or `*`; `xkey` "" is none."""

    users: tuple[str, ...] | None = None
    accounts: tuple[str, ...] | None = None
    xkey: str | bool | None = None
    where: Where = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class TracePart:
    """Message tracing."""

    subject: str
    sampling: int = 0


@dataclass(frozen=True, slots=True)
class JetStreamPart:
    """JetStream limits by the claim's field names: flat ones or tiers, never both; `off` for none."""

    flat: Mapping[str, int | bool] | None = None
    tiers: Mapping[str, Mapping[str, int | bool]] | None = None
    off: bool = False


@dataclass(frozen=True, slots=True)
class AccountPart:
    """An account and what is declared in it. A section that is None is not spoken of."""

    name: str
    public_key: PublicKey | None = None
    description: str | None = None
    info_url: str | None = None
    tags: tuple[str, ...] | None = None
    starts: int | None = None
    expires: Until | None = None
    limits: Mapping[str, int | bool] = field(default_factory=dict)
    jetstream: JetStreamPart | None = None
    signing_keys: int | None = None
    default_permissions: PermissionsPart = field(default_factory=PermissionsPart)
    trace: TracePart | Literal[False] | None = None
    cluster_traffic: str | None = None
    callout: CalloutPart | Literal[False] | None = None
    roles: tuple[RolePart, ...] | None = None
    exports: tuple[ExportPart, ...] | None = None
    imports: tuple[ImportPart, ...] | None = None
    mappings: tuple[MappingPart, ...] | None = None
    users: tuple[UserPart, ...] | None = None
    where: Where = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class OperatorPart:
    """The operator; without a name it is the one the caller means."""

    name: str | None = None
    account_server_url: str | None = None
    service_urls: tuple[str, ...] | None = None
    system_account: str | None = None
    signing_keys: int | None = None
    require_signing_keys: bool | None = None
    server_version: str | None = None
    tags: tuple[str, ...] | None = None
    starts: int | None = None
    expires: Until | None = None
    where: Where = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class PolicyPart:
    """The callout's policy, as its one spelling in JSON: always the whole of it."""

    body: str
    bindings: int
    where: Where = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Document:
    """A whole file. `digest` is of its text; `prune` names the sections that are to be complete."""

    name: str
    digest: str
    operator: OperatorPart = field(default_factory=OperatorPart)
    accounts: tuple[AccountPart, ...] | None = None
    prune: frozenset[str] = frozenset()
    policy: PolicyPart | None = None
