"""The broker's state as monitoring shows it: VARZ, CONNZ and the others (enforcement spec §7).

Each is a function of the core and what was asked; what only a cluster or JetStream has is there,
empty, as on a server that stands alone.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from broker.account import Account
from broker.client import Client
from broker.core import GLOBAL, ClosedClient, Core
from broker.services.asked import AskedWrongError
from broker.services.describe import issuer_key, raw_user, tags
from broker.services.envelope import FEATURE_FLAGS, duration, moment
from broker.trie import Subscription
from issuer.findings import Level, validate
from issuer.subjects import has_wildcards, is_valid, matches, overlaps
from issuer.tokens.envelope import Token, plain_claims

DEFAULT_LIMIT: Final = 1024
OPEN, CLOSED, ANY = 0, 1, 2
_ONLY_CLOSED: Final = frozenset({"stop", "reason"})

_NO_LINKS: Final = {"routes": 0, "gateways": 0, "leafs": 0}

Asked = Mapping[str, Any]
Shown = tuple[Client, ClosedClient | None]


def varz(core: Core, _: Asked) -> dict[str, Any]:
    options, counters, now = core.options, core.router.counters, core.now()
    found: dict[str, Any] = {
        **{name: value for name, value in core.identity.info().items() if name != "go"},
        "go": "",
        "host": options.host,
        "port": core.port,
        "max_connections": options.max_connections,
        "max_subscriptions": options.max_subscriptions,
        "ping_interval": _nanoseconds(options.ping_interval),
        "ping_max": options.ping_max,
        "http_host": options.monitor_host,
        "http_port": core.monitor_port,
        "http_base_path": options.http_base_path.rstrip("/"),
        "https_port": 0,
        "auth_timeout": options.auth_timeout,
        "max_control_line": options.max_control_line,
        "max_payload": options.max_payload,
        "max_pending": options.max_pending,
        "cluster": {},
        "gateway": {},
        "leaf": {},
        "mqtt": {},
        "websocket": {},
        "jetstream": {},
        "tls_timeout": options.tls.timeout if options.tls is not None else 2,
        "write_deadline": _nanoseconds(options.write_deadline),
        "start": moment(core.started),
        "now": moment(now),
        "uptime": duration(now - core.started),
        "mem": memory(),
        "cores": os.cpu_count() or 1,
        "gomaxprocs": 1,
        "cpu": 0,
        "connections": len(core.clients),
        "total_connections": core.total_connections,
        "routes": 0,
        "remotes": 0,
        "leafnodes": 0,
        "in_msgs": counters.in_msgs,
        "in_bytes": counters.in_bytes,
        "in_client_msgs": counters.in_msgs,
        "in_client_bytes": counters.in_bytes,
        "out_msgs": counters.out_msgs,
        "out_bytes": counters.out_bytes,
        "out_client_msgs": counters.out_msgs,
        "out_client_bytes": counters.out_bytes,
        "slow_consumers": core.slow_consumers,
        "stale_connections": 0,
        "stalled_clients": 0,
        "subscriptions": subscriptions(core),
        "http_req_stats": {},
        "config_load_time": moment(core.started),
        "config_digest": options.config_digest,
        "feature_flags": FEATURE_FLAGS,
        "slow_consumer_stats": {"clients": core.slow_consumers, **_NO_LINKS},
        "stale_connection_stats": {"clients": 0, **_NO_LINKS},
        "disk_io_wait_stats": {"waiters": 0, "waits": 0, "wait_time": 0, "max_wait_time": 0},
    }
    if not options.max_subscriptions:
        del found["max_subscriptions"]
    if core.required:
        found["auth_required"] = True
    if options.server_tags:
        found["tags"] = list(options.server_tags)
    if core.trust is not None:
        found["trusted_operators_jwt"] = list(options.operators)
        found["trusted_operators_claim"] = [plain_claims(Token(token)) for token in options.operators]
        if core.pinned_account_fails:
            found["pinned_account_fails"] = core.pinned_account_fails
    if core.system is not None:
        found["system_account"] = core.system.public
    return found


def statsz(core: Core) -> dict[str, Any]:
    counters = core.router.counters
    sent = {"msgs": counters.out_msgs, "bytes": counters.out_bytes}
    received = {"msgs": counters.in_msgs, "bytes": counters.in_bytes}
    return {
        "start": moment(core.started),
        "mem": memory(),
        "cores": os.cpu_count() or 1,
        "cpu": 0,
        "connections": len(core.clients),
        "total_connections": core.total_connections,
        "active_accounts": sum(bool(account.clients) for account in core.accounts.values()),
        "subscriptions": subscriptions(core),
        "sent": sent,
        "sent_to_clients": sent,
        "received": received,
        "received_from_clients": received,
        "slow_consumers": core.slow_consumers,
        "active_servers": 1,
        "gomaxprocs": 1,
    }


def connz(core: Core, asked: Asked) -> dict[str, Any]:
    """Connections, open or closed, as asked for. `total` counts before the filters, as on the server."""
    now = core.now()
    order = asked.get("sort") or "cid"
    _require_sense(asked, order)
    account = asked.get("acc") or ""
    offset, limit = _window(asked)
    found: dict[str, Any] = {"server_id": core.identity.id, "now": moment(now), "num_connections": 0}
    if account and account not in core.accounts:
        # A server stops here before it has written down who it is.
        return found | {"server_id": "", "total": 0, "offset": offset, "limit": limit, "connections": None}
    pool = _pool(core, asked.get("state", OPEN), account)
    found["total"] = len(pool)
    if cid := asked.get("cid"):
        limit = 1
        pool = [each for each in pool if each[0].cid == cid][:1]
    else:
        pool = _chosen(pool, asked)
    key, descending = _ORDERS[order]
    pool.sort(key=lambda pair: key(pair[0], pair[1], now), reverse=descending)
    page = pool[offset : offset + limit]
    wants_auth = bool(asked.get("auth"))
    return found | {
        "num_connections": len(page),
        "offset": offset,
        "limit": limit,
        "connections": [
            connection(client, closed, now, auth=wants_auth, asked=asked) for client, closed in page
        ],
    }


def _require_sense(asked: Asked, order: str) -> None:
    if order not in _ORDERS:
        raise AskedWrongError(f"invalid sorting option: {order}")
    if order in _ONLY_CLOSED and asked.get("state", OPEN) != CLOSED:
        raise AskedWrongError(f"sort by {order} only valid on closed connections")
    if asked.get("filter_subject", "") not in {"", ">"} and not asked.get("acc"):
        raise AskedWrongError("filter by subject only valid with account filtering")


def _pool(core: Core, state: int, account: str) -> list[Shown]:
    pool: list[Shown] = []
    if state in {OPEN, ANY}:
        pool += [(client, None) for client in core.clients.values() if client.account is not None]
    if state in {CLOSED, ANY}:
        pool += [(closed.client, closed) for closed in core.closed]
    if account:
        pool = [each for each in pool if each[0].account is not None and each[0].account.public == account]
    return pool


def _chosen(pool: list[Shown], asked: Asked) -> list[Shown]:
    if user := asked.get("user"):
        pool = [each for each in pool if raw_user(each[0]) == user]
    if mqtt := asked.get("mqtt_client"):
        pool = [each for each in pool if each[0].mqtt_id == mqtt]
    subject = asked.get("filter_subject", "")
    if subject not in {"", ">"}:
        # Those that are gone listen to nothing; a server shows them whatever was asked for.
        pool = [each for each in pool if each[1] is not None or _listens(each[0], subject)]
    return pool


def _window(asked: Asked) -> tuple[int, int]:
    limit = asked.get("limit", 0)
    return max(asked.get("offset", 0), 0), limit if limit > 0 else DEFAULT_LIMIT


def connection(
    client: Client, closed: ClosedClient | None, now: float, *, auth: bool, asked: Asked
) -> dict[str, Any]:
    ended = closed.stopped if closed is not None else now
    options = client.options
    found: dict[str, Any] = {
        "cid": client.cid,
        "kind": "Client",
        "type": client.kind.value,
        "ip": client.address,
        "port": client.port_number,
        "start": moment(client.started),
        "last_activity": moment(client.last_activity),
        "rtt": f"{client.rtt * 1e6:.0f}µs",
        "uptime": duration(ended - client.started),
        "idle": duration(ended - client.last_activity),
        "pending_bytes": 0 if closed is not None else client.pending_bytes(),
        "in_msgs": client.in_msgs,
        "out_msgs": client.out_msgs,
        "in_bytes": client.in_bytes,
        "out_bytes": client.out_bytes,
        "subscriptions": len(client.subscriptions if closed is None else closed.subscriptions),
    }
    if closed is not None and client.closed is not None:
        found["stop"] = moment(closed.stopped)
        found["reason"] = client.closed.value
    words = {"name": options.name, "lang": options.lang, "version": options.version}
    found |= {name: value for name, value in words.items() if value}
    if client.tls is not None:
        found["tls_version"], found["tls_cipher_suite"] = client.tls.version, client.tls.cipher
    if client.mqtt_id:
        found["mqtt_client"] = client.mqtt_id
    if auth:
        if raw_user(client):
            found["authorized_user"] = raw_user(client)
        if client.account is not None and client.account.public != GLOBAL:
            found["account"] = client.account.public
        # A bearer's token is all one needs to be that user: it is not shown.
        if client.token and not client.bearer:
            found["jwt"] = client.token
        if client.user is not None:
            found["issuer_key"] = issuer_key(client)
            if tags(client):
                found["tags"] = tags(client)
        if client.name_tag:
            found["name_tag"] = client.name_tag
    held = list(client.subscriptions.values()) if closed is None else list(closed.subscriptions)
    if asked.get("subscriptions_detail") and held:
        # Of a connection that is gone, servers also say whose it was.
        detail = _plain_detail if closed is None else _detail
        found["subscriptions_list_detail"] = [detail(client, each) for each in held]
    elif asked.get("subscriptions") and held:
        found["subscriptions_list"] = [each.subject for each in held]
    return found


def accountz(core: Core, asked: Asked) -> dict[str, Any]:
    found: dict[str, Any] = {"server_id": core.identity.id, "now": moment(core.now())}
    if core.system is not None:
        found["system_account"] = core.system.public
    name = asked.get("account")
    if name:
        account = core.accounts.get(name)
        if account is None:
            raise AskedWrongError(f"Account {name} does not exist")
        found["account_detail"] = account_info(account, core.now())
    else:
        found["accounts"] = list(core.accounts)
    return found


def account_info(account: Account, now: float) -> dict[str, Any]:
    """`complete` is false while one of its imports does not hold; `jwt` is what is in force."""
    found: dict[str, Any] = {
        "account_name": account.public,
        "update_time": moment(account.updated),
        "is_system": account.system,
        "expired": account.expired,
        "complete": account.complete,
        "jetstream_enabled": False,
        "leafnode_connections": 0,
        "client_connections": len(account.clients),
        "subscriptions": account.subscriptions(),
    }
    if not account.system:
        del found["is_system"]
    claims = account.claims
    if claims is not None and account.token:
        decoded = plain_claims(Token(account.token))
        body = decoded.get("nats") or {}
        for name in ("exports", "imports", "mappings"):
            if body.get(name):
                found[name] = body[name]
        found |= {"jwt": account.token, "issuer_key": claims.iss, "name_tag": claims.name}
        if claims.nats.tags:
            found["tags"] = list(claims.nats.tags)
        if claims.nats.revocations:
            found["revoked_user"] = {key: moment(at) for key, at in claims.nats.revocations.items()}
        found["decoded_jwt"] = decoded
        issues = [
            {
                "description": each.message,
                "blocking": each.level is Level.ERROR,
                "time_check": each.level is Level.TIME,
            }
            for each in validate(claims, now=int(now))
        ]
        if issues:
            found["validation_result_jwt"] = issues
    else:
        found["name_tag"] = account.name
    found["sublist_stats"] = _sublist_stats([account])
    return found


def subsz(core: Core, asked: Asked) -> dict[str, Any]:
    """Subscriptions of clients; those of the broker itself are counted, not listed."""
    test = asked.get("test") or ""
    if test and (has_wildcards(test) or not is_valid(test)):
        raise AskedWrongError(f"invalid test subject, must be valid publish subject: {test}")
    name = asked.get("account") or ""
    chosen = [each for each in core.accounts.values() if not name or each.public == name]
    offset, limit = _window(asked)
    found: dict[str, Any] = {
        "server_id": core.identity.id,
        "now": moment(core.now()),
        **_sublist_stats(chosen),
        "total": 0,
        "offset": offset,
        "limit": limit,
    }
    if asked.get("subscriptions"):
        held = [pair for account in chosen for pair in _held(account)]
        if test:
            held = [pair for pair in held if matches(pair[1].subject, test)]
        found["total"] = len(held)
        if page := held[offset : offset + limit]:
            found["subscriptions_list"] = [_detail(*pair) for pair in page]
    return found


def _sublist_stats(accounts: Iterable[Account]) -> dict[str, Any]:
    """How many there are; how often which was looked up is not counted here."""
    return {
        "num_subscriptions": sum(account.trie.count for account in accounts),
        "num_cache": 0,
        "num_inserts": 0,
        "num_removes": 0,
        "num_matches": 0,
        "cache_hit_rate": 0,
        "max_fanout": 0,
        "avg_fanout": 0,
    }


def healthz(_: Core, __: Asked) -> dict[str, Any]:
    return {"status": "ok", "status_code": 200}


def idz(core: Core, _: Asked) -> dict[str, Any]:
    return {"name": core.identity.name, "host": core.options.host, "id": core.identity.id}


def _stands_alone(**empty: Any) -> Callable[[Core, Asked], dict[str, Any]]:
    def shown(core: Core, _: Asked) -> dict[str, Any]:
        return {"server_id": core.identity.id, "now": moment(core.now()), **empty}

    return shown


PAGES: Final[dict[str, Callable[[Core, Asked], dict[str, Any]]]] = {
    "VARZ": varz,
    "CONNZ": connz,
    "SUBSZ": subsz,
    "ACCOUNTZ": accountz,
    "HEALTHZ": healthz,
    "ROUTEZ": lambda core, asked: {
        **_stands_alone(num_routes=0, routes=[])(core, asked),
        "server_name": core.identity.name,
    },
    "LEAFZ": _stands_alone(leafnodes=0, leafs=[]),
    "GATEWAYZ": _stands_alone(outbound_gateways={}, inbound_gateways={}),
    "JSZ": _stands_alone(
        disabled=True,
        memory=0,
        storage=0,
        reserved_memory=0,
        reserved_storage=0,
        accounts=0,
        ha_assets=0,
        api={"level": 0, "total": 0, "errors": 0},
        config={"max_memory": 0, "max_storage": 0},
        streams=0,
        consumers=0,
        messages=0,
        bytes=0,
        total=0,
    ),
}


def subscriptions(core: Core) -> int:
    return sum(account.trie.count for account in core.accounts.values())


def memory() -> int:
    """The most this process ever held, in bytes: what the standard library can tell."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)


def _held(account: Account) -> Iterable[tuple[Client, Subscription]]:
    for client in account.clients.values():
        for subscription in client.subscriptions.values():
            yield client, subscription


def _detail(client: Client, subscription: Subscription) -> dict[str, Any]:
    account = client.account
    whose = {"account": account.public if account is not None else "", "account_tag": client.name_tag}
    return {**{name: value for name, value in whose.items() if value}, **_plain_detail(client, subscription)}


def _plain_detail(client: Client, subscription: Subscription) -> dict[str, Any]:
    found: dict[str, Any] = {
        "subject": subscription.subject,
        "qgroup": subscription.queue,
        "sid": subscription.sid,
        "msgs": subscription.delivered,
        "max": subscription.maximum,
        "cid": client.cid,
    }
    return {name: value for name, value in found.items() if value not in ("", 0) or name == "msgs"}


def _listens(client: Client, subject: str) -> bool:
    return any(overlaps(each.subject, subject) for each in client.subscriptions.values())


def _uptime(client: Client, closed: ClosedClient | None, now: float) -> float:
    return (closed.stopped if closed is not None else now) - client.started


# What to compare, and whether the largest comes first.
_ORDERS: Final[dict[str, tuple[Callable[[Client, ClosedClient | None, float], Any], bool]]] = {
    "cid": (lambda client, _, __: client.cid, False),
    "start": (lambda client, _, __: client.cid, False),
    "subs": (lambda client, _, __: len(client.subscriptions), True),
    "pending": (lambda client, closed, _: 0 if closed else client.pending_bytes(), True),
    "msgs_to": (lambda client, _, __: client.out_msgs, True),
    "msgs_from": (lambda client, _, __: client.in_msgs, True),
    "bytes_to": (lambda client, _, __: client.out_bytes, True),
    "bytes_from": (lambda client, _, __: client.in_bytes, True),
    "last": (lambda client, _, __: client.last_activity, True),
    "idle": (lambda client, _, __: client.last_activity, False),
    "uptime": (_uptime, False),
    "stop": (lambda _, closed, __: closed.stopped if closed else 0.0, True),
    "reason": (lambda client, _, __: client.closed.value if client.closed else "", False),
    "rtt": (lambda client, _, __: client.rtt, True),
}


__all__ = ["PAGES", "account_info", "connz", "healthz", "idz", "statsz", "subsz", "varz"]
