"""What is wrong with an account, in the order the reference library says it (claims spec §4.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import UNSET

from issuer.claims.account import (
    AccountBody,
    AccountClaims,
    AccountLimits,
    ExternalAuthorization,
    JetStreamLimits,
    Scope,
    Trace,
    WeightedMapping,
)
from issuer.claims.fields import EVERYONE, UNLIMITED
from issuer.claims.quoting import quoted
from issuer.claims.user import UserTemplate
from issuer.claims.wire import go_float
from issuer.findings.access import permissions
from issuer.findings.finding import Findings, error, step, warning
from issuer.findings.info import info
from issuer.findings.sharing import exports, imports
from issuer.findings.subjects import subject
from issuer.keys.nkeys import Role, is_public
from issuer.subjects import has_wildcards

_WHOLE: Final = 100  # percent
_NO_JETSTREAM: Final = JetStreamLimits()


def account(claims: AccountClaims) -> Findings:
    body = claims.nats
    yield from imports(body.imports, claims.sub, "/nats/imports")
    yield from exports(body.exports, "/nats/exports")
    yield from _limits(body.limits, "/nats/limits")
    yield from permissions(body.default_permissions, "/nats/default_permissions")
    for source, destinations in body.mappings.items():
        yield from _mapping(source, destinations, "/nats/mappings" + step(source))
    yield from _authorization(body.authorization, "/nats/authorization")
    if body.trace is not None:
        yield from _trace(body.trace, "/nats/trace")
    yield from _counts(body)
    yield from _signing_keys(body)
    yield from info(body.description, body.info_url, "/nats")
    if body.cluster_traffic not in {"", "system", "owner"}:
        words = f"unknown cluster traffic option: {quoted(body.cluster_traffic)}"
        yield error("account.cluster-traffic", words, "/nats/cluster_traffic")
    if is_public(claims.iss, Role.ACCOUNT) and not _without_limits(body.limits):
        words = "self-signed account JWTs shouldn't contain operator limits"
        yield warning("account.self-signed-limits", words, "/nats/limits")


def _without_limits(limits: AccountLimits) -> bool:
    """All zero, which is none of everything; the library calls that empty."""
    names = AccountLimits.__struct_fields__
    return not any(getattr(limits, name) for name in names if name != "extra")


def _limits(limits: AccountLimits, at: str) -> Findings:
    if not limits.tiered_limits:
        return
    if limits.flat_jetstream() != _NO_JETSTREAM:
        words = "JetStream Limits and tiered JetStream Limits are mutually exclusive"
        yield error("account.tiers-exclusive", words, at + "/tiered_limits")
    if "" in limits.tiered_limits:
        words = 'Tiered JetStream Limits can not contain a blank "" tier name'
        yield error("account.tier-name", words, at + "/tiered_limits/")


def _mapping(source: str, destinations: Sequence[WeightedMapping], at: str) -> Findings:
    yield from subject(source, at)
    name = quoted(source)
    shares: Counter[str] = Counter()
    for index, destination in enumerate(destinations):
        pointer = f"{at}/{index}"
        yield from subject(destination.subject, pointer + "/subject")
        weight = destination.weight or _WHOLE
        cluster = destination.cluster
        if weight > _WHOLE:
            words = f"Mapping {name} has a weight {weight} that exceeds 100"
            yield error("account.mapping-weight", words, pointer + "/weight")
        shares[cluster] += weight
        if cluster and shares[cluster] > _WHOLE:
            words = (
                f"Mapping {name} in cluster {quoted(cluster)} exceeds 100% among all of "
                "it's weighted to mappings"
            )
            yield error("account.mapping-sum", words, pointer)
    if shares[""] > _WHOLE:
        words = f"Mapping {name} exceeds 100% among all of it's weighted to mappings"
        yield error("account.mapping-sum", words, at)


def _authorization(callout: ExternalAuthorization, at: str) -> Findings:
    if callout.allowed_accounts and not callout.auth_users:
        words = "External authorization cannot have accounts without users specified"
        yield error("account.callout-users", words, at + "/auth_users")
    for index, user in enumerate(callout.auth_users):
        if not is_public(user, Role.USER):
            words = f"AuthUser {quoted(user)} is not a valid user public key"
            yield error("account.callout-users", words, f"{at}/auth_users/{index}")
    for index, allowed in enumerate(callout.allowed_accounts):
        pointer = f"{at}/allowed_accounts/{index}"
        if allowed == EVERYONE:
            if len(callout.allowed_accounts) > 1:
                words = 'AllowedAccounts can only be a list of accounts or "*"'
                yield error("account.callout-accounts", words, pointer)
        elif not is_public(allowed, Role.ACCOUNT):
            words = f"Account {quoted(allowed)} is not a valid account public key"
            yield error("account.callout-accounts", words, pointer)
    if callout.xkey and not is_public(callout.xkey, Role.CURVE):
        words = f"XKey {quoted(callout.xkey)} is not a valid public xkey"
        yield error("account.callout-xkey", words, at + "/xkey")


def _trace(trace: Trace, at: str) -> Findings:
    first = next(subject(trace.dest, at + "/dest"), None)
    if first is not None:
        words = f"the account Trace.Destination {first.message}"
        yield error("account.trace-dest", words, first.pointer)
    if has_wildcards(trace.dest):
        words = f"the account Trace.Destination subject {quoted(trace.dest)} is not a valid publish subject"
        yield error("account.trace-dest", words, at + "/dest")
    if not 0 <= trace.sampling <= _WHOLE:
        words = (
            f"the account Trace.Sampling value '{trace.sampling}' is not valid, "
            "should be in the range [1..100]"
        )
        yield error("account.trace-sampling", words, at + "/sampling")


def _counts(body: AccountBody) -> Findings:
    limits = body.limits
    words = "the account contains more imports than allowed by the operator"
    # The library asks twice, with conditions that differ only at the edges.
    if 0 <= limits.imports < len(body.imports) and not _without_limits(limits):
        yield error("account.imports", words, "/nats/imports")
    if limits.imports != UNLIMITED and len(body.imports) > limits.imports:
        yield error("account.imports", words, "/nats/imports")
    if limits.exports == UNLIMITED:
        return
    if len(body.exports) > limits.exports:
        words = "the account contains more exports than allowed by the operator"
        yield error("account.exports", words, "/nats/exports")
    if not limits.wildcards:
        words = "the account contains wildcard exports that are not allowed by the operator"
        for index, export in enumerate(body.exports):
            if has_wildcards(export.subject):
                yield error("account.wildcard-export", words, f"/nats/exports/{index}/subject")


def _signing_keys(body: AccountBody) -> Findings:
    for index, entry in enumerate(body.signing_keys):
        if isinstance(entry, Scope):
            yield from _readable_numbers(entry.template, f"/nats/signing_keys/{index}/template")
    # Later entries of one key win, as in the map the library reads them into.
    entries: Mapping[str, tuple[int, str | Scope]] = {
        entry.key if isinstance(entry, Scope) else entry: (index, entry)
        for index, entry in enumerate(body.signing_keys)
    }
    for key, (index, entry) in entries.items():
        if is_public(key, Role.ACCOUNT):
            continue
        pointer = f"/nats/signing_keys/{index}"
        if isinstance(entry, Scope):
            yield error("account.scope-key", f"{key} is not an account public key", pointer + "/key")
        else:
            yield error("account.signing-key", f"{quoted(key)} is not a valid account signing key", pointer)


def _readable_numbers(template: UserTemplate, at: str) -> Findings:
    # The library reads templates by way of floats, and what one rounds up out of range it cannot read
    # at all: the account would be lost to every server.
    numbers = {name: getattr(template, name) for name in ("subs", "data", "payload")}
    if template.resp is not None:
        numbers |= {"resp/max": template.resp.max, "resp/ttl": template.resp.ttl}
    for name, number in numbers.items():
        if number is not UNSET and not -(2**63) <= int(go_float(float(number))) < 2**63:
            words = f"no server can read a number as large as {number} in a role"
            yield error("account.scope-number", words, f"{at}/{name}")
