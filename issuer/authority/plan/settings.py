"""Claims with what a document says written into them, field by field. Pure.

A list with the same entries in another order is left as it is: nothing is signed for the order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeVar

import msgspec

from issuer.authority.plan.document import (
    ExportPart,
    JetStreamPart,
    LimitsPart,
    PermissionsPart,
    TracePart,
    Until,
)
from issuer.authority.plan.words import PERMISSIONS
from issuer.claims.account import AccountLimits, Export, JetStreamLimits, ServiceLatency, Trace
from issuer.claims.fields import Envelope, Permissions, clean_tags
from issuer.claims.user import UserBody, UserTemplate
from issuer.subjects import Subject

E = TypeVar("E", bound=Envelope)
P = TypeVar("P", UserBody, UserTemplate, Permissions)
L = TypeVar("L", UserBody, UserTemplate)
T = TypeVar("T")

# A token that was given a span is renewed by an apply in the last third of it: late enough not to
# sign at every run, early enough for a daily one.
RENEWAL: Final = 3


def spoken(members: Mapping[str, Any]) -> dict[str, Any]:
    """Without those the file is silent about."""
    return {name: value for name, value in members.items() if value is not None}


def kept(current: tuple[T, ...], wanted: tuple[T, ...] | None) -> tuple[T, ...]:
    """The list wanted, or the present one when it is silent or says the same."""
    # Not as sets: claims have no hash.
    if wanted is None or (len(wanted) == len(current) and all(entry in current for entry in wanted)):
        return current
    return wanted


def kept_tags(current: tuple[str, ...], wanted: tuple[str, ...] | None) -> tuple[str, ...]:
    return current if wanted is None or set(wanted) == set(clean_tags(current)) else wanted


def expiry(current: int, wanted: Until | None, now: int) -> int:
    """The second a token shall end; one that lasts long enough still is left alone."""
    if wanted is None:
        return current
    if not wanted.lasting:
        return wanted.second
    left = current - now
    if left <= wanted.lasting and left * RENEWAL > wanted.lasting:
        return current
    return now + wanted.lasting


def with_validity(claims: E, starts: int | None, expires: Until | None, now: int) -> E:
    return msgspec.structs.replace(
        claims,
        nbf=claims.nbf if starts is None else starts,
        exp=expiry(claims.exp, expires, now),
    )


def with_permissions(body: P, part: PermissionsPart) -> P:
    fields: dict[str, Any] = {side: getattr(body, side) for side in ("pub", "sub")}
    for word, side, way in PERMISSIONS:
        wanted = getattr(part, word.replace("-", "_"))
        present = getattr(fields[side], way)
        fields[side] = msgspec.structs.replace(fields[side], **{way: kept(present, wanted)})
    if part.responses is not None:
        fields["resp"] = part.responses or None
    return msgspec.structs.replace(body, **fields)


def with_user_limits(body: L, part: LimitsPart) -> L:
    fields: dict[str, Any] = {
        "src": kept(body.src, part.networks),
        "times": kept(body.times, part.times),
        "allowed_connection_types": kept(body.allowed_connection_types, part.connection_types),
    }
    said = {
        "subs": part.subs,
        "data": part.data,
        "payload": part.payload,
        "bearer_token": part.bearer,
        "proxy_required": part.proxy_required,
        "times_location": part.locale,
    }
    return msgspec.structs.replace(body, **fields, **spoken(said))


def with_account_limits(
    limits: AccountLimits, own: Mapping[str, int | bool], jetstream: JetStreamPart | None, *, prune: bool
) -> AccountLimits:
    """The limits of an account; flat JetStream limits and tiers put each other out (claims spec §3.2)."""
    limits = msgspec.structs.replace(limits, **own)
    if jetstream is None:
        return limits
    nothing: dict[str, Any] = msgspec.structs.asdict(JetStreamLimits())
    nothing.pop("extra")
    if jetstream.off:
        return msgspec.structs.replace(limits, tiered_limits={}, **nothing)
    if jetstream.tiers is None:
        return msgspec.structs.replace(limits, **{"tiered_limits": {}, **(jetstream.flat or {})})
    tiers = {} if prune else dict(limits.tiered_limits)
    for name, values in jetstream.tiers.items():
        present = limits.tiered_limits.get(name, JetStreamLimits())
        tiers[name] = msgspec.structs.replace(present, **values)
    return msgspec.structs.replace(limits, **{**nothing, "tiered_limits": tiers})


def with_trace(trace: Trace | None, part: TracePart | Literal[False] | None) -> Trace | None:
    if part is None:
        return trace
    if not isinstance(part, TracePart):
        return None
    if trace is not None and (trace.dest, trace.sampling or 100) == (part.subject, part.sampling):
        return trace
    return Trace(dest=Subject(part.subject), sampling=part.sampling)


def with_export(export: Export, part: ExportPart) -> Export:
    fields = spoken({
        "name": part.name,
        "token_req": part.private,
        "response_threshold": part.response_threshold,
        "account_token_position": part.account_token_position,
        "advertise": part.advertise,
        "allow_trace": part.allow_trace,
        "description": part.description,
        "info_url": part.info_url,
    })  # fmt: skip
    # Absent is Singleton, to the server and to us.
    if part.response_type is not None and part.response_type != (export.response_type or "Singleton"):
        fields["response_type"] = part.response_type
    if part.latency is False:
        fields["service_latency"] = None
    elif part.latency is not None:
        sampling: Any = part.latency.sampling or "headers"
        latency = export.service_latency or ServiceLatency()
        fields["service_latency"] = msgspec.structs.replace(
            latency, results=Subject(part.latency.subject), sampling=sampling
        )
    return msgspec.structs.replace(export, **fields)
