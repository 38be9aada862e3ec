"""What a token says, as tables for people. Rows and their order are nsc's where it has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from issuer.authority.inspecting import Description
from issuer.claims.account import AccountClaims, Export, JetStreamLimits, Scope, signing_key
from issuer.claims.exchange import ActivationClaims
from issuer.claims.operator import OperatorClaims
from issuer.claims.user import UserClaims
from issuer.cli.output import Screen
from issuer.cli.quantities import distance, iso

Row = tuple[str, Any]
_UNLIMITED: Final = -1


def draw(screen: Screen, found: Description, now: int) -> None:
    """Show one description."""
    claims = found.claims
    rows = [*_common(found, now)]
    match claims:
        case OperatorClaims():
            rows += _operator(claims, found.names)
        case AccountClaims():
            rows += _account(claims, found.names)
        case UserClaims():
            rows += _user(claims, found)
        case ActivationClaims():
            rows += [("Subject", claims.nats.subject), ("Kind", claims.nats.share)]
    screen.facts(rows, title=f"{found.kind.replace('_', ' ').capitalize()} {found.name}".strip())
    if isinstance(claims, AccountClaims):
        _shared(screen, claims, found.names)
        for entry in claims.nats.signing_keys:
            if isinstance(entry, Scope):
                _scope(screen, entry)
    if found.scope is not None:
        _scope(screen, found.scope)


def _common(found: Description, now: int) -> Iterator[Row]:
    claims = found.claims
    yield "Name", claims.name
    yield "Key", claims.sub
    yield "Issuer", _named(claims.iss, found.names)
    yield "Issued", _moment(claims.iat, now)
    if claims.nbf:
        yield "Valid from", _moment(claims.nbf, now)
    yield "Expires", _moment(claims.exp, now) if claims.exp else "never"
    tags = getattr(claims.nats, "tags", ())
    if tags:
        yield "Tags", tags


def _operator(claims: OperatorClaims, names: dict[str, str]) -> Iterator[Row]:
    body = claims.nats
    yield "Account server", body.account_server_url
    yield "Service URLs", body.operator_service_urls
    yield "System account", _named(body.system_account, names)
    yield "Require signing keys", body.strict_signing_key_usage
    yield "Signing keys", body.signing_keys
    if body.assert_server_version:
        yield "Server version", body.assert_server_version


def _account(claims: AccountClaims, names: dict[str, str]) -> Iterator[Row]:
    body, limits = claims.nats, claims.nats.limits
    if body.description:
        yield "Description", body.description
    if body.info_url:
        yield "Info URL", body.info_url
    yield (
        "Signing keys",
        [
            f"{signing_key(entry)}{f' (role {entry.role})' if isinstance(entry, Scope) else ''}"
            for entry in body.signing_keys
        ],
    )
    callout = body.authorization
    if callout.auth_users:
        yield "Callout users", [_named(key, names) for key in callout.auth_users]
        yield "Callout into", [_named(key, names) for key in callout.allowed_accounts]
        yield "Callout sealed for", callout.xkey or "nobody"
    for name, value in (
        ("Connections", limits.conn), ("Leaf connections", limits.leaf), ("Data", limits.data),
        ("Exports", limits.exports), ("Imports", limits.imports), ("Payload", limits.payload),
        ("Subscriptions", limits.subs),
    ):  # fmt: skip
        yield f"Max {name.lower()}", _limit(value)
    yield "Wildcard exports", limits.wildcards
    yield "Bearer tokens", not limits.disallow_bearer
    yield from _permissions(body.default_permissions)
    yield from _jetstream(claims)
    yield "Revocations", len(body.revocations)
    if body.trace is not None:
        yield "Traces", f"{body.trace.dest} ({body.trace.sampling or 100} %)"
    if body.cluster_traffic:
        yield "Cluster traffic", body.cluster_traffic


def _jetstream(claims: AccountClaims) -> Iterator[Row]:
    limits = claims.nats.limits
    if not limits.jetstream_enabled():
        yield "JetStream", "off"
        return
    tiers = limits.tiered_limits or {"": limits.flat_jetstream()}
    for name, tier in tiers.items():
        yield f"JetStream {name}".strip(), _tier(tier)


def _tier(tier: JetStreamLimits) -> str:
    parts = [
        f"memory {_limit(tier.mem_storage, none='none')}",
        f"disk {_limit(tier.disk_storage, none='none')}",
        f"streams {_limit(tier.streams, none='unlimited')}",
        f"consumers {_limit(tier.consumer, none='unlimited')}",
    ]
    for name, value in (
        ("ack pending", tier.max_ack_pending),
        ("memory stream", tier.mem_max_stream_bytes),
        ("disk stream", tier.disk_max_stream_bytes),
    ):
        if value:
            parts.append(f"{name} {_limit(value)}")
    if tier.max_bytes_required:
        parts.append("max bytes required")
    return "\n".join(parts)


def _user(claims: UserClaims, found: Description) -> Iterator[Row]:
    body = claims.nats
    yield "Account", _named(claims.account, found.names)
    if found.scope is not None:
        yield "Role", found.scope.role
        return
    yield "Bearer token", body.bearer_token
    yield from body_facts(body)


def body_facts(body: Any) -> Iterator[Row]:
    """What a user's body and a role's template have in common."""
    yield from _permissions(body)
    for name in ("subs", "data", "payload"):
        value = getattr(body, name)
        yield f"Max {name}", _limit(value) if isinstance(value, int) else "unlimited"
    if body.src:
        yield "Networks", body.src
    if body.times:
        zone = f" {body.times_location}" if body.times_location else ""
        yield "Times", [f"{window.start}-{window.end}{zone}" for window in body.times]
    if body.allowed_connection_types:
        yield "Connection types", body.allowed_connection_types


def _permissions(body: Any) -> Iterator[Row]:
    for name, permission in (("Pub", body.pub), ("Sub", body.sub)):
        if permission.allow:
            yield f"{name} allow", permission.allow
        if permission.deny:
            yield f"{name} deny", permission.deny
    if body.resp is not None:
        ttl = f" within {body.resp.ttl / 1e9:g} s" if body.resp.ttl else ""
        yield "Responses", f"{_limit(body.resp.max)}{ttl}"


def _shared(screen: Screen, claims: AccountClaims, names: dict[str, str]) -> None:
    body = claims.nats
    if body.exports:
        screen.table(
            ("Export", "Kind", "Subject", "Public", "Revoked", "Latency", "Trace"),
            [
                (one.name, one.type, one.subject, not one.token_req, len(one.revocations),
                 _latency(one),
                 one.allow_trace)
                for one in body.exports
            ],
            title="Exports",
        )  # fmt: skip
    if body.imports:
        screen.table(
            ("Import", "Kind", "Remote", "Local", "From", "By token", "Share", "Trace"),
            [
                (one.name, one.type, one.subject, one.local_subject or one.to or one.subject,
                 _named(one.account, names), bool(one.token), one.share, one.allow_trace)
                for one in body.imports
            ],
            title="Imports",
        )  # fmt: skip
    if body.mappings:
        rows = [
            (source, entry.subject, f"{entry.weight or 100} %", entry.cluster)
            for source, entries in body.mappings.items()
            for entry in entries
        ]
        screen.table(("From", "To", "Weight", "Cluster"), rows, title="Mappings")


def _latency(export: Export) -> str:
    latency = export.service_latency
    return f"{latency.results} ({latency.sampling})" if latency else ""


def _scope(screen: Screen, scope: Scope) -> None:
    rows: list[Row] = [("Key", scope.key)]
    if scope.description:
        rows.append(("Description", scope.description))
    rows.append(("Bearer token", scope.template.bearer_token))
    screen.facts([*rows, *body_facts(scope.template)], title=f"Role {scope.role}")


def _named(key: str, names: dict[str, str]) -> str:
    return f"{names[key]} {key}" if key in names else key


def _moment(second: int, now: int) -> str:
    return f"{iso(second)} ({distance(second, now)})"


def _limit(value: int, *, none: str | None = None) -> str:
    if value == _UNLIMITED:
        return "unlimited"
    return none if none is not None and value == 0 else f"{value:,}"
