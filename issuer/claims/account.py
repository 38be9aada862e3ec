"""Account claims: limits, sharing, roles, revocations (claims spec §3.2–3.4, §3.6, §3.9)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any, ClassVar, Final, Literal, Self

import msgspec

from issuer.claims.fields import EVERYONE, UNLIMITED, VERSION, Envelope, Permissions
from issuer.claims.user import UserTemplate
from issuer.claims.wire import Claim, Int64, UInt8, UInt64, always
from issuer.keys.nkeys import PublicKey, Role
from issuer.subjects import Subject

ShareKind = Literal["", "stream", "service"]
SCOPE_KIND: Final = "user_scope"


class JetStreamLimits(Claim, frozen=True, kw_only=True):
    """One tier. Storage 0 is none; for the counters the server reads 0 as unlimited (§3.2)."""

    mem_storage: Int64 = 0
    disk_storage: Int64 = 0
    streams: Int64 = 0
    consumer: Int64 = 0
    max_ack_pending: Int64 = 0
    mem_max_stream_bytes: Int64 = 0
    disk_max_stream_bytes: Int64 = 0
    max_bytes_required: bool = False


class AccountLimits(Claim, frozen=True, kw_only=True):
    """The flat `limits` object. Absent is 0, which means none; -1 is unlimited."""

    subs: Int64 = 0
    data: Int64 = 0
    payload: Int64 = 0
    imports: Int64 = 0
    exports: Int64 = 0
    wildcards: bool = False
    disallow_bearer: bool = False
    conn: Int64 = 0
    leaf: Int64 = 0
    mem_storage: Int64 = 0
    disk_storage: Int64 = 0
    streams: Int64 = 0
    consumer: Int64 = 0
    max_ack_pending: Int64 = 0
    mem_max_stream_bytes: Int64 = 0
    disk_max_stream_bytes: Int64 = 0
    max_bytes_required: bool = False
    tiered_limits: dict[str, JetStreamLimits] = {}

    def flat_jetstream(self) -> JetStreamLimits:
        names = JetStreamLimits.__struct_fields__
        return JetStreamLimits(**{name: getattr(self, name) for name in names if name != "extra"})

    def jetstream_enabled(self) -> bool:
        tiers = tuple(self.tiered_limits.values()) or (self.flat_jetstream(),)
        return any(tier.mem_storage or tier.disk_storage for tier in tiers)


def spelt_sampling(name: str, value: Any) -> Any:
    """Go reads the word in any letter case."""
    return value.lower() if name == "sampling" and isinstance(value, str) else value


class ServiceLatency(Claim, frozen=True, kw_only=True):
    """Latency reports of a service: a percentage 1..100, or "headers" for on request only."""

    __wire_reform__ = staticmethod(spelt_sampling)

    sampling: Int64 | Literal["headers"] = msgspec.field(default_factory=lambda: "headers")
    results: Subject = always(str)

    def __post_init__(self) -> None:
        # Zero is how Go keeps "headers" in memory; written it is always the word.
        if self.sampling == 0:
            msgspec.structs.force_setattr(self, "sampling", "headers")


class Export(Claim, frozen=True, kw_only=True):
    """A stream or service offered to other accounts. `response_threshold` is in nanoseconds."""

    name: str = ""
    subject: Subject = Subject("")
    type: ShareKind = ""
    token_req: bool = False
    revocations: dict[str, Int64] = {}
    response_type: str = ""
    response_threshold: Int64 = 0
    service_latency: ServiceLatency | None = None
    account_token_position: UInt64 = 0
    advertise: bool = False
    allow_trace: bool = False
    description: str = ""
    info_url: str = ""


class Import(Claim, frozen=True, kw_only=True):
    """A stream or service taken from another account."""

    name: str = ""
    subject: Subject = Subject("")
    account: str = ""
    token: str = ""
    to: Subject = Subject("")
    local_subject: Subject = Subject("")
    type: ShareKind = ""
    share: bool = False
    allow_trace: bool = False


class Scope(Claim, frozen=True, kw_only=True):
    """A role: a signing key that may only issue users of its template."""

    kind: Literal["user_scope"] = msgspec.field(default_factory=lambda: SCOPE_KIND)
    key: PublicKey = always(str)
    role: str = always(str)
    template: UserTemplate = msgspec.field(default_factory=UserTemplate)
    description: str = always(str)


class WeightedMapping(Claim, frozen=True, kw_only=True):
    """One destination of a mapping; weight 0 means 100."""

    subject: Subject = always(str)
    weight: UInt8 = 0
    cluster: str = ""


class ExternalAuthorization(Claim, frozen=True, kw_only=True):
    """Auth callout of an account; in force when `auth_users` is not empty."""

    auth_users: tuple[str, ...] = ()
    allowed_accounts: tuple[str, ...] = ()
    xkey: str = ""


class Trace(Claim, frozen=True, kw_only=True):
    """Message tracing: where to, and for how many percent (0 is read as 100)."""

    dest: Subject = Subject("")
    sampling: Int64 = 0


class AccountBody(Claim, frozen=True, kw_only=True):
    """The `nats` object of an account token."""

    imports: tuple[Import, ...] = ()
    exports: tuple[Export, ...] = ()
    limits: AccountLimits = msgspec.field(default_factory=AccountLimits)
    signing_keys: tuple[str | Scope, ...] = ()
    revocations: dict[str, Int64] = {}
    default_permissions: Permissions = msgspec.field(default_factory=Permissions)
    mappings: dict[str, tuple[WeightedMapping, ...]] = {}
    authorization: ExternalAuthorization = msgspec.field(default_factory=ExternalAuthorization)
    trace: Trace | None = None
    cluster_traffic: str = ""
    description: str = ""
    info_url: str = ""
    tags: tuple[str, ...] = ()
    type: str = ""
    version: Int64 = 0

    def sorted(self) -> Self:
        """Exports and imports by subject, signing keys by key, as Go writes them (§2.4)."""
        exports = tuple(sorted(self.exports, key=attrgetter("subject")))
        imports = tuple(sorted(self.imports, key=attrgetter("subject")))
        keys = tuple(sorted(self.signing_keys, key=signing_key))
        if (exports, imports, keys) == (self.exports, self.imports, self.signing_keys):
            return self
        return msgspec.structs.replace(self, exports=exports, imports=imports, signing_keys=keys)


class AccountClaims(Envelope, frozen=True, kw_only=True):
    """An account: an isolated space of subjects, and who may issue users into it."""

    kind: ClassVar[str] = "account"
    issuers: ClassVar[tuple[Role, ...]] = (Role.OPERATOR, Role.ACCOUNT)
    subjects: ClassVar[tuple[Role, ...]] = (Role.ACCOUNT,)

    nats: AccountBody = msgspec.field(default_factory=AccountBody)

    def signing_keys(self) -> tuple[PublicKey, ...]:
        return tuple(signing_key(entry) for entry in self.nats.signing_keys)

    def scope(self, key: str) -> Scope | None:
        """The role a signing key stands for; None for a plain or unknown key."""
        # Of a key listed twice the last entry counts: servers read the list into a map (§3.6).
        for entry in reversed(self.nats.signing_keys):
            if signing_key(entry) == key:
                return entry if isinstance(entry, Scope) else None
        return None

    def role(self, name: str) -> Scope | None:
        for entry in self.nats.signing_keys:
            if isinstance(entry, Scope) and entry.role == name:
                return entry
        return None

    def revoked(self, user: str, issued_at: int) -> bool:
        return cut_off(self.nats.revocations, user, issued_at)


def signing_key(entry: str | Scope) -> PublicKey:
    return entry.key if isinstance(entry, Scope) else PublicKey(entry)


def cut_off(revocations: Mapping[str, int], key: str, issued_at: int) -> bool:
    """Whether a token of that second is revoked; the same second counts (claims spec §3.9)."""
    return any(name in revocations and revocations[name] >= issued_at for name in (EVERYONE, key))


def with_revocation(revocations: Mapping[str, int], key: str, at: int) -> dict[str, int]:
    """The list with `key` cut off up to `at`, never earlier than it was."""
    # A clock that stepped back must not let anyone in again.
    return {**revocations, key: max(at, revocations.get(key, at))}


def compacted(revocations: Mapping[str, int]) -> dict[str, int]:
    """The list without entries that `*` already covers."""
    floor = revocations.get(EVERYONE)
    if floor is None:
        return dict(revocations)
    return {key: at for key, at in revocations.items() if key == EVERYONE or at > floor}


def new_account(subject: PublicKey, name: str, *, tags: Iterable[str] = ()) -> AccountClaims:
    """An account without limits and without JetStream, as the Go constructor makes it."""
    limits = AccountLimits(
        subs=UNLIMITED,
        data=UNLIMITED,
        payload=UNLIMITED,
        imports=UNLIMITED,
        exports=UNLIMITED,
        wildcards=True,
        conn=UNLIMITED,
        leaf=UNLIMITED,
    )
    body = AccountBody(limits=limits, tags=tuple(tags), type=AccountClaims.kind, version=VERSION)
    return AccountClaims(sub=subject, name=name, nats=body)
