"""Everything the broker can be told: one value, from a file in the real server's language (spec §1.1)."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from broker.configuration.accounts import read_accounts, read_authorization, require_unique
from broker.configuration.model import (
    ConfiguredAccount,
    ConfiguredUser,
    Mqtt,
    Notice,
    Proxies,
    Resolver,
    Tls,
    Websocket,
)
from broker.configuration.reading import (
    ConfigurationError,
    Handler,
    Reading,
    address,
    boolean,
    duration,
    integer,
    keep,
    port,
    table,
    text,
    texts,
    wrong,
)
from broker.configuration.sharing import read_mappings
from broker.configuration.syntax import parse
from broker.configuration.transports import read_mqtt, read_tls, read_websocket
from broker.configuration.trust import (
    read_operator_keys,
    read_operators,
    read_preload,
    read_proxies,
    read_resolver,
    url_resolver,
)
from broker.configuration.unsupported import IGNORED, UNSUPPORTED
from broker.configuration.values import UNREADABLE, Place, Table, Value, digest, unreadable
from issuer.claims.account import WeightedMapping
from issuer.claims.fields import clean_tags
from issuer.errors import Unavailable
from issuer.keys.nkeys import PublicKey

DEFAULT_PORT: Final = 4222
ANY_PORT: Final = -1
_AUTH_TIMEOUT: Final = 2.0
_TLS_GRACE: Final = 1.0
_SHORTEST_LAME_DUCK: Final = 30.0
_LARGEST_INT32: Final = 2**31 - 1
_MOST_TOKENS: Final = 255
_WRITE_TIMEOUTS: Final = frozenset({"default", "close", "retry"})


@dataclass(frozen=True, slots=True)
class Options:
    """The broker's options, with the real server's defaults. Durations in seconds, sizes in bytes.

    A port of -1 is any free one; for a listener besides the first, 0 is none.
    """

    host: str = "0.0.0.0"  # noqa: S104  the server's own default
    port: int = DEFAULT_PORT
    server_name: str = ""
    client_advertise: str = ""
    server_tags: tuple[str, ...] = ()
    server_metadata: Mapping[str, str] = field(default_factory=dict)

    max_connections: int = 65536
    """-1: any number."""
    max_control_line: int = 4096
    max_payload: int = 1024 * 1024
    max_pending: int = 64 * 1024 * 1024
    max_subscriptions: int = 0
    """0: any number."""
    max_subscription_tokens: int = 0
    """0: any number."""
    max_closed_clients: int = 10_000
    max_traced_msg_len: int = 0
    """0: whole messages."""
    ping_interval: float = 120.0
    ping_max: int = 2
    write_deadline: float = 10.0
    lame_duck_duration: float = 120.0
    lame_duck_grace_period: float = 10.0

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    authorization_timeout: float = 0.0
    """As configured; what counts is `auth_timeout`."""
    proxy_required: bool = False
    users: tuple[ConfiguredUser, ...] = ()
    """Those of `authorization` and of the accounts."""
    accounts: tuple[ConfiguredAccount, ...] = ()
    mappings: Mapping[str, tuple[WeightedMapping, ...]] = field(default_factory=dict)
    """Of the account `$G`."""
    no_auth_user: str = ""

    operators: tuple[str, ...] = ()
    """Their tokens."""
    trusted_keys: tuple[PublicKey, ...] = ()
    system_account: str = ""
    no_system_account: bool = False
    resolver: Resolver | None = None
    resolver_preload: Mapping[str, str] = field(default_factory=dict)
    resolver_pinned_accounts: frozenset[str] = frozenset()
    resolver_tls: Tls | None = None
    default_sentinel: str = field(default="", repr=False)
    proxies: Proxies = field(default_factory=Proxies)

    tls: Tls | None = None
    websocket: Websocket = field(default_factory=Websocket)
    mqtt: Mqtt = field(default_factory=Mqtt)
    http_host: str = ""
    """As configured; what counts is `monitor_host`."""
    http_port: int = 0
    https_port: int = 0
    http_base_path: str = "/"

    pid_file: str = ""
    ports_file_dir: str = ""
    log_file: str = ""
    log_size_limit: int = 0
    log_max_num: int = 0
    logtime: bool = True
    logtime_utc: bool = False
    debug: bool = False
    trace: bool = False

    config_file: str = ""
    config_digest: str = ""
    warnings: tuple[Notice, ...] = ()

    @property
    def auth_timeout(self) -> float:
        """How long a client has to show its credentials."""
        default = self.tls.timeout + _TLS_GRACE if self.tls else _AUTH_TIMEOUT
        return self.authorization_timeout or default

    @property
    def monitor_host(self) -> str:
        return self.http_host or self.host

    @classmethod
    def defaults(cls) -> Self:
        return cls()

    @classmethod
    def read(cls, path: str, *, environment: Mapping[str, str], read: Callable[[str], str]) -> Self:
        """The options of a configuration file. `read` gives a file's text, or raises OSError.

        Relative names of included files are below the folder of the file that includes them; all
        others below the working directory, as with the real server.

        Raises:
            Unavailable: the file cannot be read.
            SyntaxFault: it is not in the configuration language.
            ConfigurationError: it says what the real server would refuse; all of it is named.
        """
        try:
            content = read(path)
        except UNREADABLE as error:
            raise Unavailable(f"cannot be read: {unreadable(error)}", at=path) from None
        values = parse(content, file=path, environment=environment, read=read)
        return cls.of(values, read=read, file=path)

    @classmethod
    def of(cls, values: Table, *, read: Callable[[str], str], file: str = "") -> Self:
        """The options that parsed values say; `file` is where they stood."""
        reading = Reading(read)
        found: dict[str, Any] = {}
        reading.each(values, handlers(found, reading))
        _across_keys(found, values, reading, file)
        if reading.faults:
            raise ConfigurationError(*reading.faults)
        notices = tuple(reading.notices)
        return cls(**found, config_file=file, config_digest=digest(values), warnings=notices)


def handlers(found: dict[str, Any], reading: Reading) -> dict[str, Handler]:
    """What is done with each key at the top of a configuration."""
    return {
        **_listeners(found, reading),
        **_limits(found, reading),
        **_access(found, reading),
        **_surroundings(found),
        **{key: _noticed(reading, key, reason) for key, reason in UNSUPPORTED.items()},
        **dict.fromkeys(IGNORED, _nothing),
    }


def _listeners(found: dict[str, Any], reading: Reading) -> dict[str, Handler]:
    def listen(value: Value) -> None:
        host, number = address(value)
        found["host"], found["port"] = host or Options().host, number or DEFAULT_PORT

    def client_port(value: Value) -> int:
        # 0 is as if nothing had been said; -1 is any.
        return port(value) or DEFAULT_PORT

    def host(value: Value) -> str:
        return text(value) or Options().host

    def http(name: str) -> Handler:
        def handler(value: Value) -> None:
            found["http_host"], found[name] = address(value)

        return handler

    def base_path(value: Value) -> str:
        return posixpath.normpath("/" + text(value).lstrip("/"))

    def server_name(value: Value) -> str:
        if " " in text(value):
            wrong(value, "server name cannot contain spaces")
        return text(value)

    return {
        "listen": listen,
        "port": keep(found, "port", client_port),
        **dict.fromkeys(("host", "net"), keep(found, "host", host)),
        "server_name": keep(found, "server_name", server_name),
        "client_advertise": keep(found, "client_advertise", text),
        "server_tags": keep(found, "server_tags", lambda value: clean_tags(texts(value))),
        "server_metadata": keep(found, "server_metadata", _metadata),
        "tls": keep(found, "tls", lambda value: read_tls(value, reading)),
        **dict.fromkeys(
            ("websocket", "ws"), keep(found, "websocket", lambda value: read_websocket(value, reading))
        ),
        "mqtt": keep(found, "mqtt", lambda value: read_mqtt(value, reading)),
        "http": http("http_port"),
        "https": http("https_port"),
        **dict.fromkeys(("http_port", "monitor_port"), keep(found, "http_port", port)),
        "https_port": keep(found, "https_port", port),
        "http_base_path": keep(found, "http_base_path", base_path),
    }


def _limits(found: dict[str, Any], reading: Reading) -> dict[str, Handler]:
    def given(name: str, convert: Callable[[Value], Any]) -> Handler:
        """Zero is as if nothing had been said."""

        def handler(value: Value) -> None:
            if number := convert(value):
                found[name] = number

        return handler

    def write_timeout(value: Value) -> None:
        if text(value) not in _WRITE_TIMEOUTS:
            wrong(value, "write_timeout must be 'default', 'close' or 'retry'")
        if value.data == "retry":
            reason = "a client that does not read in time is closed"
            reading.unsupported("write_timeout", value, reason)

    def span(name: str) -> Handler:
        return given(name, lambda value: reading.span(name, value))

    def connections(value: Value) -> int:
        return integer(value) or -1

    def subscriptions(value: Value) -> int:
        return max(integer(value), 0)

    return {
        **dict.fromkeys(("max_connections", "max_conn"), keep(found, "max_connections", connections)),
        "max_control_line": given("max_control_line", _int32),
        "max_payload": given("max_payload", _int32),
        "max_pending": given("max_pending", integer),
        **dict.fromkeys(("max_subscriptions", "max_subs"), keep(found, "max_subscriptions", subscriptions)),
        **dict.fromkeys(
            ("max_subscription_tokens", "max_sub_tokens"), keep(found, "max_subscription_tokens", _tokens)
        ),
        "max_closed_clients": given("max_closed_clients", integer),
        "max_traced_msg_len": given("max_traced_msg_len", integer),
        "ping_interval": span("ping_interval"),
        "ping_max": given("ping_max", integer),
        "write_deadline": span("write_deadline"),
        "write_timeout": write_timeout,
        "lame_duck_duration": keep(found, "lame_duck_duration", _lame_duck),
        "lame_duck_grace_period": given("lame_duck_grace_period", _grace),
    }


def _access(found: dict[str, Any], reading: Reading) -> dict[str, Handler]:
    def authorization(value: Value) -> None:
        block = read_authorization(value, reading)
        found.update(
            username=block.username, password=block.password, token=block.token,
            authorization_timeout=block.timeout, proxy_required=block.proxy_required,
        )  # fmt: skip
        found["users"] = (*block.users, *found.get("users", ()))

    def accounts(value: Value) -> None:
        found["accounts"], users = read_accounts(value, reading)
        found["users"] = (*found.get("users", ()), *users)

    def operators(value: Value) -> None:
        known = read_operators(value, reading)
        found["operators"] = tuple(operator.token for operator in known)
        if len(known) == 1:
            body = known[0].claims.nats
            found.setdefault("system_account", body.system_account)
            if body.account_server_url:
                found.setdefault("resolver", url_resolver(f"{body.account_server_url}/accounts"))

    def mappings(value: Value) -> None:
        found["mappings"] = read_mappings(value, reading)

    names = ("operator", "operators", "roots", "root", "root_operators", "root_operator")
    resolvers = ("resolver", "account_resolver", "accounts_resolver")
    return {
        "authorization": authorization,
        "accounts": accounts,
        **dict.fromkeys(("mappings", "maps"), mappings),
        "no_auth_user": keep(found, "no_auth_user", text),
        **dict.fromkeys(names, operators),
        **dict.fromkeys(("trusted", "trusted_keys"), keep(found, "trusted_keys", read_operator_keys)),
        **dict.fromkeys(("system_account", "system"), keep(found, "system_account", text)),
        **dict.fromkeys(
            ("no_system_account", "no_system", "no_sys_acc"), keep(found, "no_system_account", boolean)
        ),
        **dict.fromkeys(resolvers, keep(found, "resolver", lambda value: read_resolver(value, reading))),
        "resolver_preload": keep(found, "resolver_preload", lambda value: read_preload(value, reading)),
        "resolver_pinned_accounts": keep(
            found, "resolver_pinned_accounts", lambda value: frozenset(texts(value))
        ),
        "resolver_tls": keep(found, "resolver_tls", lambda value: read_tls(value, reading)),
        "default_sentinel": keep(found, "default_sentinel", text),
        "proxies": keep(found, "proxies", lambda value: read_proxies(value, reading)),
    }


def _surroundings(found: dict[str, Any]) -> dict[str, Handler]:
    def tracing(value: Value) -> None:
        found["trace"] = boolean(value)

    return {
        **dict.fromkeys(("pid_file", "pidfile"), keep(found, "pid_file", text)),
        "ports_file_dir": keep(found, "ports_file_dir", text),
        **dict.fromkeys(("log_file", "logfile"), keep(found, "log_file", text)),
        **dict.fromkeys(("log_size_limit", "logfile_size_limit"), keep(found, "log_size_limit", integer)),
        **dict.fromkeys(("log_max_num", "logfile_max_num"), keep(found, "log_max_num", integer)),
        "logtime": keep(found, "logtime", boolean),
        "logtime_utc": keep(found, "logtime_utc", boolean),
        "debug": keep(found, "debug", boolean),
        **dict.fromkeys(("trace", "trace_verbose", "trace_headers"), tracing),
    }


def _across_keys(found: dict[str, Any], values: Table, reading: Reading, file: str) -> None:
    """What two keys may not say together."""
    if not values:
        words = "config has no values or is empty"
        reading.notice("deprecated", "", Place(file, 1, 1), words)
    blocks = {"authorization", "accounts"}
    place = next((value for key, value in values.items() if key.lower() in blocks), None)
    if place is None:
        return
    users: tuple[ConfiguredUser, ...] = found.get("users", ())
    require_unique(users, place, reading)
    if any(key.lower() == "accounts" for key in values) and users:
        if found.get("username"):
            reading.fault(place.place, "can not have a single user/pass and accounts")
        if found.get("token"):
            reading.fault(place.place, "can not have a token and accounts")


def _noticed(reading: Reading, key: str, reason: str) -> Handler:
    return lambda value: reading.unsupported(key, value, reason)


def _nothing(_: Value) -> None:
    return


def _metadata(value: Value) -> dict[str, str]:
    return {key: text(inner) for key, inner in table(value, "server_metadata").items()}


def _int32(value: Value) -> int:
    if integer(value) > _LARGEST_INT32:
        wrong(value, "value is too big")
    return integer(value)


def _tokens(value: Value) -> int:
    if not 0 < integer(value) <= _MOST_TOKENS:
        wrong(value, f"max_subscription_tokens is 1 to {_MOST_TOKENS}")
    return integer(value)


def _lame_duck(value: Value) -> float:
    if duration(value) < _SHORTEST_LAME_DUCK:
        wrong(value, f"invalid lame_duck_duration of {value.data}, minimum is 30 seconds")
    return duration(value)


def _grace(value: Value) -> float:
    if duration(value) < 0:
        wrong(value, "invalid lame_duck_grace_period, needs to be positive")
    return duration(value)
