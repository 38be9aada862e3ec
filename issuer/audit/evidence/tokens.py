"""The tokens of a state, as evidence: each as it was signed, but for those that are credentials as they are.

They are read and not verified: that is the auditor's program's business, which follows the same rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from issuer.audit.evidence.state import State
from issuer.store.spans import tokens_of
from issuer.store.unit import Unit
from issuer.tokens.envelope import Token, plain_claims

Claims = dict[str, Any]


def token_rows(unit: Unit, state: State) -> Iterator[dict[str, Any]]:
    """A row for each head, in the order of the state: the token, None if whoever finds it could connect
    by it (bearer tokens), and whether the key that signed it may still do so."""
    above: dict[str, Claims] = {}
    rows = list(state.rows())
    tokens = tokens_of(unit, ((row["key"], row["sha256"]) for row in rows))
    for row, token in zip(rows, tokens, strict=True):
        key = row["key"]
        claims = plain_claims(Token(token))
        if not key.startswith("U"):
            above[key] = claims
        withheld = key.startswith("U") and _is_bearer(claims, above)
        yield {
            "key": key,
            "sha256": row["sha256"],
            "token": None if withheld else token,
            "counts": None if withheld else counts(claims, above),
        }


def counts(claims: Claims, above: dict[str, Claims]) -> bool:
    """Whether what is above a token lets the key sign it that did."""
    key, issuer = claims["sub"], claims["iss"]
    if key.startswith("O"):
        return bool(issuer == key)
    operators = [each for each in above.values() if each["sub"].startswith("O")]
    if key.startswith("A"):
        return any(_signs(each, issuer, strict=_is_strict(each)) for each in operators)
    owner = above.get(_account_of(claims))
    if owner is None:
        return False
    strict = any(_is_strict(each) and _signs(each, owner["iss"], strict=False) for each in operators)
    return _signs(owner, issuer, strict=strict)


def _signs(claims: Claims, key: str, *, strict: bool) -> bool:
    if key == claims["sub"]:
        return not strict
    return any(key == _key_of(entry) for entry in _signing_keys(claims))


def _is_strict(operator: Claims) -> bool:
    return bool(operator["nats"].get("strict_signing_key_usage"))


def _is_bearer(claims: Claims, above: dict[str, Claims]) -> bool:
    if claims["nats"].get("bearer_token"):
        return True
    owner = above.get(_account_of(claims), {"nats": {}})
    roles = [
        entry for entry in _signing_keys(owner) if isinstance(entry, dict) and entry["key"] == claims["iss"]
    ]
    return any(entry.get("template", {}).get("bearer_token") for entry in roles)


def _account_of(claims: Claims) -> str:
    return str(claims["nats"].get("issuer_account") or claims.get("issuer_account") or claims["iss"])


def _signing_keys(claims: Claims) -> list[Any]:
    return claims["nats"].get("signing_keys") or []


def _key_of(entry: Any) -> str:
    return str(entry["key"] if isinstance(entry, dict) else entry)
