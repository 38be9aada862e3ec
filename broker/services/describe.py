"""A connection in words for events and monitoring; empty members are left out, as servers do."""

from __future__ import annotations

from typing import Any, Final

from broker.client import Client
from broker.core import GLOBAL, Core
from broker.services.envelope import moment

REDACTED: Final = "[REDACTED]"


def raw_user(client: Client) -> str:
    """Who it says it is: its key, its name, or that there is a token."""
    options = client.options
    if client.callout is not None:
        return client.username
    if options.nkey:
        return options.nkey
    if options.user:
        return options.user
    if client.user is not None:
        return client.user.sub
    return REDACTED if options.auth_token and not options.jwt else ""


def describe_client(core: Core, client: Client) -> dict[str, Any]:
    """The `client` object of events, and of requests that share who asks."""
    options = client.options
    account = client.account
    token = client.token or (options.jwt if core.trust is not None else "")
    found = {
        "start": moment(client.started),
        "host": client.address,
        "id": client.cid,
        "acc": account.public if account is not None else GLOBAL,
        "user": raw_user(client),
        "name": options.name,
        "lang": options.lang,
        "ver": options.version,
        "rtt": int(client.rtt * 1e9),
        "jwt": token,
        "issuer_key": issuer_key(client),
        "name_tag": client.name_tag if account is not None else GLOBAL,
        "tags": tags(client),
        "kind": "Client",
        "client_type": client.kind.value,
        "client_id": client.mqtt_id,
    }
    return {name: value for name, value in found.items() if value not in ("", [], 0)}


def tags(client: Client) -> list[str]:
    """Of the token it came with: a callout's user has the tags of the sentinel."""
    shown = client.user if client.callout is None else client.callout.sentinel
    return list(shown.nats.tags) if shown is not None else []


def issuer_key(client: Client) -> str:
    """The key that signed the user, as monitoring shows it."""
    return client.issuer if client.user is not None else ""
