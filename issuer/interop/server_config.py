"""Configurations of nats-server in operator mode (enforcement spec §2.4, §5.1, §5.2). Pure text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from issuer.errors import PeerError, Refused
from issuer.keys.nkeys import Role, is_public

Resolver = Literal["memory", "full", "cache", "url"]
_FULL_INTERVAL: Final = "2m"
_TIMEOUT: Final = "1.9s"
_CACHE_TTL: Final = "1h"
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
EVERYWHERE: Final = "0.0.0.0"  # noqa: S104  the server's own default
LOOPBACK: Final = "127.0.0.1"


class ConfigError(Refused):
    """A configuration that the server would not start with."""

    code = "config.incomplete"


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What the configuration is about. `accounts`: public key to (name, token), for the preload."""

    resolver: Resolver
    operator_name: str
    operator_token: str
    system_account: str = ""
    accounts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    url: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """What is not about accounts. A port of -1 lets the server pick one; None leaves the line out."""

    server_name: str = ""
    host: str = ""
    port: int | None = None
    monitor_port: int | None = None
    resolver_dir: str = "./jwt"
    interval: str = _FULL_INTERVAL
    timeout: str = _TIMEOUT
    cache_ttl: str = _CACHE_TTL
    allow_delete: bool = False
    jetstream_dir: str = ""
    cluster_name: str = ""
    cluster_port: int | None = None
    routes: tuple[str, ...] = ()
    leafnode_port: int | None = None
    max_control_line: int | None = None
    pid_file: str = ""


def render(config: ServerConfig, options: Options | None = None) -> str:
    """The text of a configuration file.

    Raises:
        ConfigError: something is missing, or of a form that the server would not start with.
    """
    options = options or Options()
    _require_usable(options)
    if config.resolver in {"full", "cache"} and not config.system_account:
        raise ConfigError(
            f"a {config.resolver} resolver needs a system account",
            at="system account",
            hint="accredit edit operator --system-account NAME",
        )
    if config.resolver == "url":
        _require_url(config.url)
    return "\n".join([*_server(options), *_trust(config), *_resolver(config, options), ""])


def quoted(text: str) -> str:
    """A text as a quoted value of the server's configuration language.

    Raises:
        PeerError: a control character: the language has no way to write most of them.
    """
    if not text.isprintable():
        raise PeerError("holds a character that a configuration cannot", at=repr(text))
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _require_usable(options: Options) -> None:
    ports = {
        "port": options.port,
        "monitor port": options.monitor_port,
        "cluster port": options.cluster_port,
        "leafnode port": options.leafnode_port,
    }
    for what, port in ports.items():
        # The server's own check of a configuration lets any number pass.
        if port is not None and not -1 <= port <= 65535:
            raise ConfigError(f"{port} is no port", at=what)
    for what, name in (("server name", options.server_name), ("cluster name", options.cluster_name)):
        if " " in name:
            raise ConfigError("may not hold a blank", at=what)
    if not options.cluster_name and (options.routes or options.cluster_port is not None):
        raise ConfigError("routes and their port need the name of the cluster", at="cluster name")


def _require_url(url: str) -> None:
    if not url:
        raise ConfigError("a URL resolver needs its URL", at="--url")
    if not re.fullmatch(r"https?://[^\s\"]+", url):
        raise ConfigError("is no http or https URL", at=url)


def _token(text: str, at: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise PeerError("is not the text of a token", at=at)
    return text


def _server(options: Options) -> Iterator[str]:
    if options.server_name:
        yield f"server_name: {quoted(options.server_name)}"
    if options.port is not None:
        yield f"listen: {quoted(_address(options.host or EVERYWHERE, options.port))}"
    if options.monitor_port is not None:
        yield f"http: {quoted(_address(options.host or LOOPBACK, options.monitor_port))}"
    if options.pid_file:
        yield f"pid_file: {quoted(options.pid_file)}"
    if options.max_control_line is not None:
        yield f"max_control_line: {options.max_control_line}"
    if options.jetstream_dir:
        yield f"jetstream {{ store_dir: {quoted(options.jetstream_dir)} }}"
    if options.leafnode_port is not None:
        address = _address(options.host or EVERYWHERE, options.leafnode_port)
        yield f"leafnodes {{ listen: {quoted(address)} }}"
    if options.cluster_name:
        yield "cluster {"
        yield f"  name: {quoted(options.cluster_name)}"
        if options.cluster_port is not None:
            yield f"  listen: {quoted(_address(options.host or EVERYWHERE, options.cluster_port))}"
        if options.routes:
            yield f"  routes: [{', '.join(map(quoted, options.routes))}]"
        yield "}"


def _trust(config: ServerConfig) -> Iterator[str]:
    yield f"# Operator {comment(config.operator_name)}"
    yield f"operator: {_token(config.operator_token, 'operator')}"
    if config.system_account:
        _require_account(config.system_account, "system_account")
        name = config.accounts.get(config.system_account, ("", ""))[0]
        if name:
            yield f"# System account {comment(name)}"
        yield f"system_account: {config.system_account}"


def _resolver(config: ServerConfig, options: Options) -> Iterator[str]:
    if config.resolver == "memory":
        yield "resolver: MEMORY"
    elif config.resolver == "url":
        # Quoted as a whole: bare, the brackets of an IPv6 address end the value.
        yield f"resolver: {quoted(f'URL({config.url})')}"
    else:
        yield "resolver {"
        yield f"  type: {config.resolver}"
        yield f"  dir: {quoted(options.resolver_dir)}"
        if config.resolver == "full":
            yield f"  allow_delete: {str(options.allow_delete).lower()}"
            yield f"  interval: {quoted(options.interval)}"
        else:
            yield f"  ttl: {quoted(options.cache_ttl)}"
        yield f"  timeout: {quoted(options.timeout)}"
        yield "}"
    # A server that fetches its accounts refuses to start with any in the file, though `-t` lets it pass.
    if config.accounts and config.resolver != "url":
        yield "resolver_preload {"
        for public, (name, token) in sorted(config.accounts.items()):
            _require_account(public, "resolver_preload")
            yield f"  # Account {comment(name)}"
            yield f"  {public}: {_token(token, public)}"
        yield "}"


def _require_account(public: str, at: str) -> None:
    if not is_public(public, Role.ACCOUNT):
        raise PeerError(f"{public!r} is not an account key", at=at)


def comment(name: str) -> str:
    """A name that stays within its comment."""
    return "".join(character if character.isprintable() else "?" for character in name)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
