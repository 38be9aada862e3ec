"""What is wrong with an operator (claims spec §4.3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from issuer.claims.operator import OperatorBody, OperatorClaims
from issuer.claims.quoting import quoted
from issuer.findings.finding import Findings, error
from issuer.findings.subjects import integer
from issuer.findings.urls import UrlError, parse_url
from issuer.keys.nkeys import Role, is_public

_SERVICE_SCHEMES: Final = frozenset({"nats", "tls", "ws", "wss"})


def operator(claims: OperatorClaims) -> Findings:
    body = claims.nats
    for fault in _account_server(body.account_server_url):
        yield error("operator.account-server", fault, "/nats/account_server_url")
    for index, url in enumerate(body.operator_service_urls):
        for fault in _service(url):
            yield error("operator.service-url", fault, f"/nats/operator_service_urls/{index}")
    yield from _keys(body)
    fault = _version_fault(body.assert_server_version)
    if fault:
        words = f"assert server version error: {fault}"
        yield error("operator.server-version", words, "/nats/assert_server_version")


def _account_server(text: str) -> Iterator[str]:
    if not text:
        return
    try:
        url = parse_url(text)
    except UrlError as broken:
        yield f"error parsing account server url: {broken}"
        return
    if not url.scheme:
        yield f"account server url {quoted(text)} requires a protocol"


def _service(text: str) -> Iterator[str]:
    if not text:
        return
    name = f"operator service url {quoted(text)}"
    try:
        url = parse_url(text)
    except UrlError as broken:
        yield f"error parsing {name}: {broken}"
        return
    if url.user_info is not None:
        yield f"{name} - credentials are not supported"
    elif url.path:
        yield f"{name} - paths are not supported"
    elif url.scheme not in _SERVICE_SCHEMES:
        yield f"{name} - protocol not supported (only 'nats', 'tls', 'ws', 'wss' only)"


def _keys(body: OperatorBody) -> Findings:
    for index, key in enumerate(body.signing_keys):
        if not is_public(key, Role.OPERATOR):
            words = f"{key} is not an operator public key"
            yield error("operator.signing-key", words, f"/nats/signing_keys/{index}")
    if body.system_account and not is_public(body.system_account, Role.ACCOUNT):
        words = f"{body.system_account} is not an account public key"
        yield error("operator.system-account", words, "/nats/system_account")


def _version_fault(text: str) -> str:
    if not text:
        return ""
    parts = text.split(".")
    if len(parts) != 3:
        return "asserted server version must be of the form <major>.<minor>.<update>"
    for part in parts:
        if integer(part) is None:
            return f"asserted server version cant parse {part} to int"
    if any((integer(part) or 0) < 0 for part in parts):
        # The library's own words, spelling included: tools compare them.
        return f"asserted server version can'b contain negative values: {text}"
    return ""
