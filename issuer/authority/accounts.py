"""Acts on accounts: create, change limits and settings, delete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from issuer.audit.catalogue import EventCode
from issuer.authority.changes import (
    NO_PERMISSIONS,
    NO_TAGS,
    NO_VALIDITY,
    PermissionChange,
    TagChange,
    Validity,
    dated,
    merged_tags,
    with_permissions,
)
from issuer.authority.desk import Outcome, Turn
from issuer.authority.finding import the_account, the_operator
from issuer.authority.keeping import GENERATE, keep_identity, keep_signing_key
from issuer.authority.names import checked_name
from issuer.authority.signing import head, sign_account
from issuer.claims.account import (
    AccountBody,
    AccountClaims,
    AccountLimits,
    JetStreamLimits,
    Trace,
    new_account,
    signing_key,
)
from issuer.claims.fields import with_body
from issuer.claims.operator import OperatorClaims
from issuer.errors import AlreadyExists, NotFound, Refused
from issuer.keys.nkeys import PublicKey, Role, Seed, parse_public
from issuer.store import hierarchy, outbox
from issuer.store.hierarchy import Account


@dataclass(frozen=True, slots=True)
class AddAccount:
    """A new account; with `public_key` its seed stays elsewhere."""

    name: str
    operator: str | None = None
    seed: Seed | None = None
    public_key: str | None = None
    permissions: PermissionChange = NO_PERMISSIONS
    tags: tuple[str, ...] = ()
    validity: Validity = NO_VALIDITY


@dataclass(frozen=True, slots=True)
class EditAccount:
    """A change to an account; None leaves a field as it is, an empty text clears it.

    `limits` takes the names of the claim's own fields (`subs`, `conn`, `mem_storage`, …);
    with `tier` the JetStream ones apply to that tier.
    """

    account: str
    operator: str | None = None
    limits: Mapping[str, int | bool] = field(default_factory=dict)
    tier: str | None = None
    remove_tier: str | None = None
    disable_jetstream: bool = False
    add_signing_keys: tuple[str, ...] = ()
    remove_signing_keys: tuple[str, ...] = ()
    permissions: PermissionChange = NO_PERMISSIONS
    description: str | None = None
    info_url: str | None = None
    trace_destination: str | None = None
    trace_sampling: int | None = None
    cluster_traffic: str | None = None
    tags: TagChange = NO_TAGS
    validity: Validity = NO_VALIDITY


@dataclass(frozen=True, slots=True)
class RenameAccount:
    """A new name for the same key."""

    account: str
    name: str
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class DeleteAccount:
    """Delete an account here and on every server; its users cannot connect any more."""

    account: str
    operator: str | None = None
    keep_keys: bool = False


JETSTREAM_FIELDS = frozenset(JetStreamLimits.__struct_fields__) - {"extra"}
LIMIT_FIELDS = frozenset(AccountLimits.__struct_fields__) - {"extra", "tiered_limits"}


def add_account(turn: Turn, act: AddAccount) -> Outcome:
    name = checked_name(act.name, "account")
    operator = the_operator(turn.unit, act.operator)
    if hierarchy.find_account(turn.unit, operator.id, name) is not None:
        raise AlreadyExists(f"account {name!r} exists already", at="name")
    key = act.seed or _own_key(act.public_key)
    public = key.public if isinstance(key, Seed) else key
    row_id = keep_identity(turn, key)
    row = hierarchy.add_account(turn.unit, row_id, operator.id, public, name, now=turn.now)
    claims = dated(new_account(public, name, tags=merged_tags((), TagChange(act.tags))), act.validity)
    body = claims.nats
    defaults = with_permissions(body.default_permissions, act.permissions)
    claims = with_body(claims, default_permissions=defaults)
    return sign_account(turn, row, claims, EventCode.ACCOUNT_CREATED, operator=operator)


def edit_account(turn: Turn, act: EditAccount) -> Outcome:
    operator = the_operator(turn.unit, act.operator)
    row = the_account(turn.unit, operator, act.account)
    claims: AccountClaims = head(turn, "account", row.id).claims
    body = claims.nats
    fields: dict[str, Any] = {
        "limits": with_account_limits(body.limits, act),
        "signing_keys": _signing_keys(turn, act, row, body),
        "default_permissions": with_permissions(body.default_permissions, act.permissions),
        "tags": merged_tags(body.tags, act.tags),
    }
    for name in ("description", "info_url", "cluster_traffic"):
        value = getattr(act, name)
        if value is not None:
            fields[name] = value
    fields["trace"] = _trace(body.trace, act)
    changed = dated(with_body(claims, **fields), act.validity)
    return resign(turn, row, claims, changed, "settings")


def rename_account(turn: Turn, act: RenameAccount) -> Outcome:
    operator = the_operator(turn.unit, act.operator)
    row = the_account(turn.unit, operator, act.account)
    name = checked_name(act.name, "account")
    if hierarchy.find_account(turn.unit, operator.id, name) is not None:
        raise AlreadyExists(f"account {name!r} exists already", at="name")
    claims: AccountClaims = head(turn, "account", row.id).claims
    hierarchy.rename_account(turn.unit, row, name, now=turn.now)
    row = the_account(turn.unit, operator, name)
    return resign(turn, row, claims, msgspec.structs.replace(claims, name=name), "name")


def delete_account(turn: Turn, act: DeleteAccount) -> Outcome:
    """Take an account out of service; delivery goes on until no server has it any more."""
    operator = the_operator(turn.unit, act.operator)
    row = the_account(turn.unit, operator, act.account)
    authority: OperatorClaims = head(turn, "operator", operator.id).claims
    if authority.nats.system_account == row.public:
        raise Refused(
            f"{row.name!r} is the system account: without it no server can be managed",
            at="account",
            hint="name another one first: accredit edit operator --system-account",
        )
    last = hierarchy.head_token(turn.unit, "account", row.id)
    users = 0
    for user in hierarchy.users(turn.unit, row.id):
        hierarchy.mark_deleted(turn.unit, user, turn.now)
        users += 1
    hierarchy.mark_deleted(turn.unit, row, turn.now)
    outbox.enqueue(turn.unit, row.id, outbox.DELETE, last.id, last.version, turn.now)
    turn.record(
        EventCode.ACCOUNT_DELETED, row.public, before=last.sha256, detail={"name": row.name, "count": users}
    )
    return Outcome(EventCode.ACCOUNT_DELETED, row.name, row.public, notes=tuple(turn.notes))


def resign(turn: Turn, row: Account, before: AccountClaims, after: AccountClaims, what: str) -> Outcome:
    """Sign the account when something really changed; asking twice is not an error."""
    sorted_after = msgspec.structs.replace(after, nats=after.nats.sorted())
    if sorted_after == before:
        return Outcome(EventCode.ACCOUNT_CHANGED, row.name, row.public, changed=False)
    return sign_account(turn, row, after, EventCode.ACCOUNT_CHANGED, detail={"what": what})


def with_account_limits(limits: AccountLimits, act: EditAccount) -> AccountLimits:
    """The limits after a change. Pure.

    Raises:
        NotFound: a limit or tier that does not exist.
    """
    for name in act.limits:
        if name not in LIMIT_FIELDS:
            raise NotFound(f"there is no limit {name!r}", at=name)
    if act.disable_jetstream:
        cleared = {name: False if name == "max_bytes_required" else 0 for name in JETSTREAM_FIELDS}
        limits = msgspec.structs.replace(limits, tiered_limits={}, **cleared)
    tiers = dict(limits.tiered_limits)
    if act.remove_tier is not None:
        if act.remove_tier not in tiers:
            raise NotFound(f"there is no JetStream tier {act.remove_tier!r}", at="tier")
        del tiers[act.remove_tier]
    own = dict(act.limits)
    if act.tier:
        for_tier = {name: own.pop(name) for name in tuple(own) if name in JETSTREAM_FIELDS}
        tier = tiers.get(act.tier, JetStreamLimits())
        tiers[act.tier] = msgspec.structs.replace(tier, **for_tier)
    return msgspec.structs.replace(limits, tiered_limits=tiers, **own)


def _own_key(public_key: str | None) -> Seed | PublicKey:
    if public_key is None:
        return Seed.generate(Role.ACCOUNT)
    return parse_public(public_key, Role.ACCOUNT, at="public key")


def _signing_keys(turn: Turn, act: EditAccount, row: Account, body: AccountBody) -> tuple[Any, ...]:
    present = {signing_key(entry) for entry in body.signing_keys}
    for key in act.remove_signing_keys:
        if key not in present:
            raise NotFound(f"{key} is not a signing key of account {row.name!r}", at="--rm-sk")
    kept = [entry for entry in body.signing_keys if signing_key(entry) not in act.remove_signing_keys]
    for text in act.add_signing_keys:
        if text == GENERATE:
            kept.append(keep_signing_key(turn, Seed.generate(Role.ACCOUNT), owner_id=row.id))
        elif text not in present:
            kept.append(parse_public(text, Role.ACCOUNT, at="--sk"))
    return tuple(kept)


def _trace(trace: Trace | None, act: EditAccount) -> Trace | None:
    if act.trace_destination == "":
        return None
    if act.trace_destination is None and act.trace_sampling is None:
        return trace
    trace = trace or Trace()
    if act.trace_destination is not None:
        trace = msgspec.structs.replace(trace, dest=act.trace_destination)
    if act.trace_sampling is not None:
        trace = msgspec.structs.replace(trace, sampling=act.trace_sampling)
    return trace
