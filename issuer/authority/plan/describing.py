"""What claims say, in the file's words: plain dicts and lists, every member, defaults too. Pure.

Compared, two of them make the diff; thinned out, one of them makes the exported file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import UNSET

from issuer.authority.plan.quantities import show_count, show_moment, show_size, show_span
from issuer.authority.plan.words import (
    ACCOUNT_LIMITS,
    HEADERS,
    JETSTREAM_LIMITS,
    PERMISSIONS,
    USER_LIMITS,
    LimitWord,
)
from issuer.claims.account import (
    AccountBody,
    AccountClaims,
    AccountLimits,
    Export,
    ExternalAuthorization,
    Import,
    Scope,
    WeightedMapping,
)
from issuer.claims.fields import UNLIMITED, Envelope, Permissions, ResponsePermission
from issuer.claims.operator import OperatorClaims
from issuer.claims.user import UserBody, UserClaims, UserTemplate

Plain = dict[str, Any]
Naming = Callable[[str], str]


def operator_plain(claims: OperatorClaims, name_of: Naming) -> Plain:
    body = claims.nats
    return {
        "account-server-url": body.account_server_url,
        "service-urls": list(body.operator_service_urls),
        "system-account": name_of(body.system_account) if body.system_account else "",
        "signing-keys": len(body.signing_keys),
        "require-signing-keys": body.strict_signing_key_usage,
        "server-version": body.assert_server_version,
        "tags": list(body.tags),
        **_validity(claims),
    }


def account_plain(claims: AccountClaims, name_of: Naming) -> Plain:
    """An account without its users. `name_of` gives the name of a key that has one, else the key."""
    body = claims.nats
    # In claims they stand in the order of their keys, which is nobody's.
    roles = sorted((e for e in body.signing_keys if isinstance(e, Scope) and e.role), key=lambda e: e.role)
    return {
        "description": body.description,
        "info-url": body.info_url,
        "tags": list(body.tags),
        **_validity(claims),
        "limits": _limits(body.limits, ACCOUNT_LIMITS),
        "jetstream": _jetstream(body.limits),
        "signing-keys": sum(isinstance(entry, str) for entry in body.signing_keys),
        "default-permissions": permissions_plain(body.default_permissions),
        "trace": {"subject": body.trace.dest, "sampling": body.trace.sampling or 100}
        if body.trace
        else False,
        "cluster-traffic": body.cluster_traffic,
        "auth-callout": _callout(body.authorization, name_of),
        "roles": {entry.role: role_plain(entry) for entry in roles},
        "exports": {export_key(entry): export_plain(entry) for entry in body.exports},
        "imports": _imports(body, name_of),
        "mappings": {
            source: {"to": [destination_plain(entry) for entry in entries]}
            for source, entries in sorted(body.mappings.items())
        },
    }


def user_plain(claims: UserClaims, role: str) -> Plain:
    own = {} if role else {**permissions_plain(claims.nats), **user_limits_plain(claims.nats)}
    return {"role": role, **own, "tags": list(claims.nats.tags), **_validity(claims)}


def role_plain(scope: Scope) -> Plain:
    return {
        "description": scope.description,
        **permissions_plain(scope.template),
        **user_limits_plain(scope.template),
    }


def permissions_plain(body: Permissions | UserBody | UserTemplate) -> Plain:
    plain: Plain = {word: list(getattr(getattr(body, side), way)) for word, side, way in PERMISSIONS}
    return {**plain, "allow-responses": responses_plain(body.resp)}


def responses_plain(resp: ResponsePermission | None) -> Plain | bool:
    if resp is None:
        return False
    return {"max": resp.max, "ttl": show_span(resp.ttl)}


def user_limits_plain(body: UserBody | UserTemplate) -> Plain:
    return {
        **{
            limit.word: _shown(UNLIMITED if (value := getattr(body, limit.member)) is UNSET else value, limit)
            for limit in USER_LIMITS
        },
        "bearer": body.bearer_token,
        "proxy-required": body.proxy_required,
        "networks": list(body.src),
        "times": [f"{window.start}-{window.end}" for window in body.times],
        "locale": body.times_location,
        "connection-types": list(body.allowed_connection_types),
    }


def export_key(entry: Export) -> str:
    """An export's identity within its account, in words."""
    return f"{entry.type} {entry.subject}"


def export_plain(entry: Export) -> Plain:
    latency: Plain | bool = False
    if entry.service_latency is not None:
        sampling = entry.service_latency.sampling
        latency = {"subject": entry.service_latency.results, "sampling": sampling or HEADERS}
    return {
        "name": entry.name,
        "private": entry.token_req,
        "response-type": entry.response_type or "Singleton",
        "response-threshold": show_span(entry.response_threshold),
        "latency": latency,
        "account-token-position": entry.account_token_position,
        "advertise": entry.advertise,
        "allow-trace": entry.allow_trace,
        "description": entry.description,
        "info-url": entry.info_url,
    }


def import_plain(entry: Import) -> Plain:
    return {
        "name": entry.name,
        "local-subject": entry.local_subject,
        "share": entry.share,
        "allow-trace": entry.allow_trace,
    }


def import_keys(entries: Iterable[Import], name_of: Naming) -> list[str]:
    """The identities of imports in words; the local subject tells twins apart."""
    plain = [f"{entry.type} {entry.subject} from {name_of(entry.account)}" for entry in entries]
    return [
        f"{words} as {entry.local_subject or entry.subject}" if plain.count(words) > 1 else words
        for words, entry in zip(plain, entries, strict=True)
    ]


def destination_plain(entry: WeightedMapping) -> Plain | str:
    weight = entry.weight or 100
    if weight == 100 and not entry.cluster:
        return entry.subject
    return {"to": entry.subject, "weight": weight, **({"cluster": entry.cluster} if entry.cluster else {})}


def _imports(body: AccountBody, name_of: Naming) -> Plain:
    keys = import_keys(body.imports, name_of)
    return {key: import_plain(entry) for key, entry in zip(keys, body.imports, strict=True)}


def _callout(setting: ExternalAuthorization, name_of: Naming) -> Plain | bool:
    if not (setting.auth_users or setting.allowed_accounts or setting.xkey):
        return False
    return {
        "users": [name_of(key) for key in setting.auth_users],
        "accounts": [name_of(key) for key in setting.allowed_accounts],
        "encrypt": bool(setting.xkey),
    }


def _jetstream(limits: AccountLimits) -> Plain | bool:
    if limits.tiered_limits:
        tiers = {name: _limits(tier, JETSTREAM_LIMITS) for name, tier in limits.tiered_limits.items()}
        return {"tiers": dict(sorted(tiers.items()))}
    flat = limits.flat_jetstream()
    if not any(getattr(flat, limit.member) for limit in JETSTREAM_LIMITS):
        return False
    return _limits(flat, JETSTREAM_LIMITS)


def _limits(limits: Any, table: Iterable[LimitWord]) -> Plain:
    return {limit.word: _shown(getattr(limits, limit.member), limit) for limit in table}


def _shown(value: int, limit: LimitWord) -> int | str | bool:
    if limit.kind == "flag":
        return bool(value)
    return show_size(value) if limit.kind == "size" else show_count(value)


def _validity(claims: Envelope) -> Plain:
    return {"starts": show_moment(claims.nbf), "expires": show_moment(claims.exp)}
