"""Exports, imports and activations (claims spec §4.5, §4.6, §4.9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from issuer.claims.account import Export, Import, ServiceLatency
from issuer.claims.exchange import ActivationBody, ActivationClaims
from issuer.claims.quoting import quoted
from issuer.errors import AccreditError
from issuer.findings.finding import Findings, error, warning
from issuer.findings.info import info
from issuer.findings.subjects import renaming, subject, without_references
from issuer.keys.nkeys import Role, is_public
from issuer.subjects import has_wildcards
from issuer.subjects import library_contained_in as contained

_RESPONSE_TYPES: Final = frozenset({"", "Singleton", "Stream", "Chunked"})


def exports(offered: Sequence[Export], at: str) -> Findings:
    for index, export in enumerate(offered):
        yield from _export(export, f"{at}/{index}")
    for service in (True, False):
        yield from _overlapping_exports(offered, at, service=service)


def _export(export: Export, at: str) -> Findings:
    service = export.type == "service"
    if not export.type:
        yield error("export.type", 'invalid export type: "unknown"', at + "/type")
    if service and export.response_type not in _RESPONSE_TYPES:
        words = f"invalid response type for service: {quoted(export.response_type)}"
        yield error("export.response-type", words, at + "/response_type")
    if export.type == "stream":
        if export.response_type:
            words = f"invalid response type for stream: {quoted(export.response_type)}"
            yield error("export.response-type", words, at + "/response_type")
        if export.allow_trace:
            yield error("export.trace", "AllowTrace only valid for service export", at + "/allow_trace")
    if export.service_latency is not None:
        if not service:
            words = "latency tracking only permitted for services"
            yield error("export.latency", words, at + "/service_latency")
        yield from _latency(export.service_latency, at + "/service_latency")
    if export.response_threshold < 0:
        words = "negative response threshold is invalid"
        yield error("export.response-threshold", words, at + "/response_threshold")
    if export.response_threshold > 0 and not service:
        words = "response threshold only valid for services"
        yield error("export.response-threshold", words, at + "/response_threshold")
    yield from subject(export.subject, at + "/subject")
    yield from _token_position(export, at + "/account_token_position")
    yield from info(export.description, export.info_url, at)


def _latency(latency: ServiceLatency, at: str) -> Findings:
    sampling = latency.sampling
    if isinstance(sampling, int) and sampling != 0 and not 1 <= sampling <= 100:
        words = "sampling percentage needs to be between 1-100"
        yield error("export.latency-sampling", words, at + "/sampling")
    yield from subject(latency.results, at + "/results")
    if has_wildcards(latency.results):
        words = "results subject can not contain wildcards"
        yield error("export.latency-results", words, at + "/results")


def _token_position(export: Export, at: str) -> Findings:
    position, text = export.account_token_position, export.subject
    if position <= 0:
        return
    tokens = text.split(".")
    if not has_wildcards(text):
        words = f"Account Token Position can only be used with wildcard subjects: {text}"
    elif position > len(tokens):
        words = f"Account Token Position {position} exceeds length of subject '{text}'"
    elif tokens[position - 1] != "*":
        token = tokens[position - 1]
        words = f"Account Token Position {position} matches '{token}' but must match a * in: {text}"
    else:
        return
    yield error("export.token-position", words, at)


def _overlapping_exports(offered: Sequence[Export], at: str, *, service: bool) -> Findings:
    indexed = enumerate(offered)
    group = [(index, each.subject) for index, each in indexed if (each.type == "service") is service]
    noun = "service" if service else "stream"
    times = Counter(text for _, text in group)
    reported: set[str] = set()
    for index, outer in group:
        if outer in reported:
            continue
        # A subject that is offered twice contains itself, and is named by whichever comes first.
        inner = next((t for i, t in group if contained(t, outer) and (i != index or times[outer] > 1)), None)
        if inner is not None:
            reported.add(outer)
            words = f"{noun} export subject {quoted(outer)} already exports {quoted(inner)}"
            yield error("export.overlap", words, f"{at}/{index}/subject")


def imports(taken: Sequence[Import], importer: str, at: str) -> Findings:
    """The imports of the account `importer`."""
    seen: dict[str, dict[str, None]] = {}
    for index, entry in enumerate(taken):
        pointer = f"{at}/{index}"
        if entry.type == "service":
            yield from _overlapping_import(entry, seen.setdefault(entry.account, {}), pointer)
        yield from _import(entry, importer, pointer)


def _overlapping_import(entry: Import, earlier: dict[str, None], at: str) -> Findings:
    local = entry.to or without_references(entry.local_subject) or entry.subject
    account = quoted(entry.account)
    for other in earlier:
        if contained(local, other) or contained(other, local):
            words = (
                f"overlapping subject namespace for {quoted(local)} and {quoted(other)} "
                f"in same account {account}"
            )
            yield error("import.overlap", words, at)
    if local in earlier:
        words = f"overlapping subject namespace for {quoted(local)} in account {account}"
        yield error("import.overlap", words, at)
    earlier[local] = None


def _import(entry: Import, importer: str, at: str) -> Findings:
    if not entry.type:
        yield error("import.type", 'invalid import type: "unknown"', at + "/type")
    if entry.type == "service" and entry.allow_trace:
        yield error("import.trace", "AllowTrace only valid for stream import", at + "/allow_trace")
    if not entry.account:
        yield error("import.account", "account to import from is not specified", at + "/account")
    if entry.to:
        words = "the field to has been deprecated (use LocalSubject instead)"
        yield warning("import.to", words, at + "/to")
    yield from subject(entry.subject, at + "/subject")
    if entry.local_subject:
        yield from renaming(entry.local_subject, entry.subject, at + "/local_subject")
        if entry.to:
            yield error("import.to", "Local Subject replaces To", at + "/to")
    if entry.share and entry.type != "service":
        words = (
            f"sharing information (for latency tracking) is only valid for services: {quoted(entry.subject)}"
        )
        yield error("import.share", words, at + "/share")
    if entry.token:
        yield from _import_token(entry, importer, at)


def _import_token(entry: Import, importer: str, at: str) -> Findings:
    # The one arrow from claims up to tokens, because an import carries a whole token inside.
    from issuer.tokens.envelope import decode

    name, pointer = quoted(entry.subject), at + "/token"
    try:
        claims = decode(entry.token, ActivationClaims).claims
    except AccreditError:
        words = f"import {name} contains an invalid activation token"
        yield error("import.token", words, pointer)
        return
    granted = claims.nats
    if entry.account not in {claims.iss, granted.issuer_account}:
        words = f"activation token doesn't match account for import {name}"
        yield error("import.token-account", words, pointer)
    if claims.sub != importer:
        words = f"activation token doesn't match account it is being included in, {name}"
        yield error("import.token-importer", words, pointer)
    if granted.share != entry.type:
        kinds = (granted.share or "unknown", entry.type or "unknown")
        words = "mismatch between token import type {} and type of import {}".format(*kinds)
        yield error("import.token-type", words, pointer)
    yield from activation_body(granted, pointer)
    asked = entry.to if entry.type == "service" and entry.to else entry.subject
    if not contained(asked, granted.subject):
        words = f"activation token import subject {quoted(granted.subject)} doesn't match import {name}"
        yield error("import.token-subject", words, pointer)


def activation_body(body: ActivationBody, at: str) -> Findings:
    if not body.share:
        yield error("activation.type", 'invalid import type: "unknown"', at + "/kind")
    yield from subject(body.subject, at + "/subject")
    if body.issuer_account and not is_public(body.issuer_account, Role.ACCOUNT):
        words = "account_id is not an account public key"
        yield error("activation.issuer-account", words, at + "/issuer_account")
