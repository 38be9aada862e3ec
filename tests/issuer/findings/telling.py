"""Claims from plain bodies, and the words that are said of them."""

from __future__ import annotations

from typing import Any

from issuer.claims.wire import from_plain
from issuer.findings import validate
from issuer.tokens.envelope import KINDS
from tests.nasty_claims import ACCOUNT, OPERATOR, USER

NOW = 1_700_000_000
COLON = "first path segment in URL cannot contain colon"
SCHEMES = "protocol not supported (only 'nats', 'tls', 'ws', 'wss' only)"
Plain = dict[str, Any]


def claims(kind: str, body: Plain, **outer: Any) -> Any:
    subject = {"operator": OPERATOR, "account": ACCOUNT, "activation": ACCOUNT}.get(kind, USER)
    return from_plain({"iss": OPERATOR.public, "sub": subject.public, **outer, "nats": body}, KINDS[kind])


def told(kind: str, body: Plain, **outer: Any) -> list[str]:
    return [finding.message for finding in validate(claims(kind, body, **outer), now=NOW)]
