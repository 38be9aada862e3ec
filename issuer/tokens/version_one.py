"""Reading first-format tokens into today's claims (claims spec §2.6). Never written."""

from __future__ import annotations

from typing import Any

from issuer.claims.account import AccountClaims
from issuer.claims.exchange import ActivationClaims, GenericClaims
from issuer.claims.fields import UNLIMITED
from issuer.claims.operator import OperatorClaims
from issuer.claims.user import UserClaims
from issuer.claims.wire import AmbiguousMemberError, from_plain

# What Go carries over from the body of each kind; the rest it drops.
_CARRIED: dict[type[Any], frozenset[str]] = {
    OperatorClaims: frozenset(
        {"signing_keys", "account_server_url", "operator_service_urls", "system_account"}
    ),
    AccountClaims: frozenset({"imports", "exports", "limits", "signing_keys", "revocations"}),
    UserClaims: frozenset(
        {"pub", "sub", "resp", "src", "times", "times_location", "subs", "data", "payload", "bearer_token"}
    ),
    ActivationClaims: frozenset({"subject"}),
}
_ACCOUNT_LIMITS = frozenset(
    {"subs", "data", "payload", "imports", "exports", "wildcards", "disallow_bearer", "conn", "leaf"}
)


_OUTER = frozenset({"type", "tags", "issuer_account"})


def modernised(plain: dict[str, Any], kind: type[Any]) -> Any:
    """Claims of a first-format token; `version` in the body stays 1 until it is encoded anew."""
    outer = dict(plain)
    found, tags = outer.pop("type", ""), outer.pop("tags", None)
    issuer_account = outer.pop("issuer_account", "")
    source = outer.get("nats") or {}
    carried = _CARRIED.get(kind)
    _refuse_variants(outer, _OUTER)
    _refuse_variants(source, carried or frozenset())
    body = dict(source) if carried is None else {k: v for k, v in source.items() if k in carried}
    if kind is AccountClaims and isinstance(body.get("limits"), dict):
        body["limits"] = {k: v for k, v in body["limits"].items() if k in _ACCOUNT_LIMITS}
    if kind is UserClaims:
        # In the first format an absent limit was unlimited.
        body = {"subs": UNLIMITED, "data": UNLIMITED, "payload": UNLIMITED, **body}
    if kind is ActivationClaims and source.get("type"):
        body["kind"] = source["type"]
    if kind in {UserClaims, ActivationClaims} and issuer_account:
        body["issuer_account"] = issuer_account
    if found:
        body["type"] = found
    if tags:
        body["tags"] = tags
    if kind is not GenericClaims:
        body["version"] = 1
    return from_plain({**outer, "nats": body}, kind)


def _refuse_variants(given: dict[str, Any], known: frozenset[str]) -> None:
    # Go would take them for the known ones; we would drop them, and disagree about the token.
    for name in given:
        if name not in known and name.casefold() in known:
            raise AmbiguousMemberError(f"member {name!r} is a known member in other letter case")
