"""What of a changed configuration can be taken up by a running server, as far as the real one does."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Final

from broker.configuration.model import Mqtt, Websocket
from broker.configuration.options import Options

# Not options but notes on where they come from.
_NOTES: Final = frozenset({"config_file", "config_digest", "warnings"})
RELOADABLE: Final = frozenset({
    "accounts", "authorization_timeout", "client_advertise", "debug", "default_sentinel", "log_file",
    "logtime", "logtime_utc", "mappings", "max_connections", "max_control_line", "max_payload",
    "max_traced_msg_len", "password", "pid_file", "ping_interval", "ping_max", "ports_file_dir",
    "proxies", "resolver_pinned_accounts", "resolver_preload", "resolver_tls", "server_metadata",
    "server_tags", "tls", "token", "trace", "username", "users", "write_deadline",
})  # fmt: skip


def changes(old: Options, new: Options) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of options that differ: those a running server can take, and those that need a restart."""
    live: list[str] = []
    restart: list[str] = []
    for name in sorted(field.name for field in fields(Options) if field.name not in _NOTES):
        before, after = getattr(old, name), getattr(new, name)
        if before == after:
            continue
        if name == "websocket":
            _split(name, before, after, _still_websocket(before, after), live, restart)
        elif name == "mqtt":
            _split(name, before, after, _still_mqtt(before, after), live, restart)
        elif name in RELOADABLE or _reloadable_now(name, old, new):
            live.append(name)
        else:
            restart.append(name)
    return tuple(live), tuple(restart)


def _still_websocket(before: Websocket, after: Websocket) -> Websocket:
    """The old block with what may change while it listens."""
    return replace(before, tls=after.tls)


def _still_mqtt(before: Mqtt, after: Mqtt) -> Mqtt:
    return replace(before, tls=after.tls, ack_wait=after.ack_wait, max_ack_pending=after.max_ack_pending)


def _split(
    name: str,
    before: Websocket | Mqtt,
    after: Websocket | Mqtt,
    still: Websocket | Mqtt,
    live: list[str],
    restart: list[str],
) -> None:
    if still != before:
        live.extend(
            f"{name} {part.name}"
            for part in fields(before)
            if getattr(still, part.name) != getattr(before, part.name)
        )
    if still != after:
        restart.append(name)


def _reloadable_now(name: str, old: Options, new: Options) -> bool:
    if name == "resolver":
        # Another one, but not from none or to none.
        return old.resolver is not None and new.resolver is not None
    if name != "no_auth_user":
        return False
    # The user nobody had to name may go when the user itself goes.
    return not new.no_auth_user and all(user.name != old.no_auth_user for user in new.users)
