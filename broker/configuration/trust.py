"""Whom the configuration trusts: operators or keys, where account tokens come from, proxies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from broker.configuration.model import Proxies, Resolver, ResolverKind
from broker.configuration.reading import (
    Handler,
    Reading,
    array,
    boolean,
    duration,
    integer,
    keep,
    table,
    text,
    texts,
    wrong,
)
from broker.configuration.values import UNREADABLE, Value, kind_of, unreadable
from issuer.claims.account import AccountClaims
from issuer.claims.operator import OperatorClaims
from issuer.errors import AccreditError
from issuer.keys.creds import parse_decorated_token
from issuer.keys.nkeys import PublicKey, Role, is_public
from issuer.tokens.envelope import Verified, decode

_INLINE: Final = "eyJ"
_MEMORY: Final = re.compile("MEM", re.IGNORECASE)
_URL: Final = re.compile(r'URL(?:\(\s*"?([^\s"]*)"?\s*\))?', re.IGNORECASE)
_CACHE_LIMIT: Final = 1000
_RESOLVER_WORDS: Final = "error parsing account resolver"
_RESOLVER_HINT: Final = 'MEMORY, URL("url"), or a map with a dir and the type full or cache'
RESOLVER_KEYS: Final = (
    "type", "dir", "allow_delete", "hard_delete", "interval", "limit", "ttl", "timeout",
)  # fmt: skip


def read_operators(value: Value, reading: Reading) -> tuple[Verified[OperatorClaims], ...]:
    """The operators: each a file, or the token itself."""
    items = value.data if isinstance(value.data, tuple) else (value,)
    return tuple(reading.every(items, lambda item: _operator(item, reading)))


def read_resolver(value: Value, reading: Reading) -> Resolver:
    if isinstance(value.data, str):
        return _named_resolver(value, value.data)
    if not isinstance(value.data, Mapping):
        wrong(value, f"error parsing operator resolver, wrong type: {kind_of(value.data)}", _RESOLVER_HINT)
    found: dict[str, Any] = {}
    handlers: dict[str, Handler] = {
        "type": keep(found, "kind", text),
        "dir": keep(found, "dir", text),
        **{name: keep(found, name, boolean) for name in ("allow_delete", "hard_delete")},
        "limit": keep(found, "limit", integer),
        **{name: keep(found, name, duration) for name in ("interval", "ttl", "timeout")},
    }
    for key, inner in value.data.items():
        # Here the real server knows no other spelling, and says nothing about what it does not know.
        if key in handlers:
            reading.each({key: inner}, handlers)
        else:
            words = f'unknown field "{key}" in resolver has no effect'
            reading.notice("ignored", key, inner.place, words, ", ".join(RESOLVER_KEYS))
    kind = str(found.pop("kind", "")).upper()
    if kind not in {"MEM", "MEMORY", "FULL", "CACHE"}:
        wrong(value, _RESOLVER_WORDS, _RESOLVER_HINT)
    if kind.startswith("MEM"):
        return Resolver("memory")
    return _directory(value, reading, "full" if kind == "FULL" else "cache", found)


def url_resolver(url: str) -> Resolver:
    """A resolver that asks for `url` followed by the account's key."""
    return Resolver("url", url=url if url.endswith("/") else f"{url}/")


def read_preload(value: Value, reading: Reading) -> dict[str, str]:
    """Account keys with their tokens; the keys are the writer's word, as for the real server."""
    found: dict[str, str] = {}
    for key, inner in table(value, "resolver_preload").items():

        def preload(value: Value, key: str = key) -> None:
            token = text(value)
            try:
                decode(token, AccountClaims)
            except AccreditError as error:
                wrong(value, f"invalid account JWT: {error.message}")
            found[key] = token

        reading.each({"token": inner}, {"token": preload})
    return found


def read_operator_keys(value: Value) -> tuple[PublicKey, ...]:
    keys = texts(value)
    for key in keys:
        if not is_public(key, Role.OPERATOR):
            wrong(value, f'trust key "{key}" required to be a valid public operator nkey')
    return tuple(map(PublicKey, keys))


def read_proxies(value: Value, reading: Reading) -> Proxies:
    keys: list[PublicKey] = []

    def key(value: Value) -> None:
        public = text(value)
        if not is_public(public):
            wrong(value, f'invalid proxy key "{public}"')
        keys.append(PublicKey(public))

    def trusted(value: Value) -> None:
        for item in array(value, "the trusted proxies"):
            reading.each(table(item, "a trusted proxy"), {"key": key, "public_key": key})

    reading.each(table(value, "proxies"), {"trusted": trusted})
    return Proxies(tuple(keys))


def _operator(value: Value, reading: Reading) -> Verified[OperatorClaims]:
    named = text(value)
    try:
        content = named if named.startswith(_INLINE) else reading.read(named)
        return decode(parse_decorated_token(content), OperatorClaims)
    except (OSError, UnicodeDecodeError) as error:
        wrong(value, f"error parsing operator JWT: {named!r} cannot be read: {unreadable(error)}")
    except AccreditError as error:
        wrong(value, f"error parsing operator JWT: {error.message}")


def _named_resolver(value: Value, name: str) -> Resolver:
    if _MEMORY.search(name):
        return Resolver("memory")
    found = _URL.search(name)
    if found is None:
        wrong(value, _RESOLVER_WORDS, _RESOLVER_HINT)
    url = found[1] or ""
    try:
        parts = urlsplit(url)
    except ValueError:
        wrong(value, f"error parsing account resolver url [{url!r}]")
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        wrong(value, f"account resolver url [{url!r}] is no http or https URL")
    return url_resolver(url)


def _is_file(path: str, reading: Reading) -> bool:
    try:
        reading.read(path)
    except UNREADABLE:
        return False
    return True


def _directory(value: Value, reading: Reading, kind: ResolverKind, found: dict[str, Any]) -> Resolver:
    if not found.get("dir"):
        reading.fault(value.place, "dir has no value and needs to point to a directory")
    elif _is_file(found["dir"], reading):
        reading.fault(value.place, "dir needs to point to an accessible directory")
    if kind == "cache":
        for name, words in (("interval", "sync"), ("allow_delete", "allow_delete")):
            if found.get(name):
                reading.fault(value.place, f"CACHE does not accept {words}")
        if "hard_delete" in found:
            reading.fault(value.place, "CACHE does not accept hard_delete")
        found["limit"] = found.get("limit") or _CACHE_LIMIT
    else:
        if found.get("ttl"):
            reading.fault(value.place, "FULL does not accept ttl")
        if "hard_delete" in found and not found.get("allow_delete"):
            reading.fault(value.place, "hard_delete has no effect without delete")
    for name in ("interval", "timeout"):
        if found.get(name, 1) <= 0:
            del found[name]
    return Resolver(kind, **found)
