"""What configures a way in: `tls`, `websocket`, `mqtt`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from broker.configuration.model import Mqtt, Tls, Websocket
from broker.configuration.reading import (
    REAL_SERVER,
    Handler,
    Reading,
    address,
    boolean,
    duration,
    integer,
    keep,
    port,
    seconds,
    table,
    text,
    texts,
    wrong,
)
from broker.configuration.values import UNREADABLE, DurationFault, Value, kind_of, nanoseconds, unreadable

Handlers = dict[str, Handler]

FALLBACK: Final = 0.05  # seconds a client has to begin its handshake, with handshake_first: auto
_VERSIONS: Final[Mapping[str, Literal["1.2", "1.3"]]] = {"1.2": "1.2", "1.3": "1.3"}
_OLD_VERSIONS: Final = frozenset({"1.0", "1.1"})

# Without these, what the configuration shuts would be open: not something to warn of and go on.
_TLS_REFUSED: Final = {
    "pinned_certs": "client certificates are not checked against a list",
    "ocsp_peer": "client certificates are not asked about at their issuer",
}
_TLS_UNSUPPORTED: Final = {
    "verify_and_map": "a certificate names no user; clients must show one, and credentials besides",
    "cipher_suites": "those of the TLS library are used",
    "curve_preferences": "those of the TLS library are used",
    "allow_insecure_cipher_suites": "they are never used",
    "insecure": "it is about servers that connect to others",
    "verify_cert_and_check_known_urls": "it is about routes and gateways",
    "connection_rate_limit": "handshakes are not counted",
    "certs": "one certificate is used, that of cert_file",
    "certificates": "one certificate is used, that of cert_file",
    "cert_store": "certificates come from files",
    "cert_match_by": "certificates come from files",
    "cert_match": "certificates come from files",
    "cert_match_skip_invalid": "certificates come from files",
    "ca_certs_match": "certificates come from files",
}
_WEBSOCKET_UNSUPPORTED: Final = {
    "compress": "messages are sent as they are",
    "compression": "messages are sent as they are",
    "user_cookie": "cookies may hold a token of a user only: jwt_cookie",
    "pass_cookie": "cookies may hold a token of a user only: jwt_cookie",
    "token_cookie": "cookies may hold a token of a user only: jwt_cookie",
}
_MQTT_UNSUPPORTED: Final = {
    "js_api_timeout": "sessions are in memory, not in JetStream",
    "api_timeout": "sessions are in memory, not in JetStream",
    "js_domain": "sessions are in memory, not in JetStream",
    "stream_replicas": "sessions are in memory, not in JetStream",
    "consumer_replicas": "sessions are in memory, not in JetStream",
    "consumer_memory_storage": "sessions are in memory, not in JetStream",
    "consumer_inactive_threshold": "sessions are in memory, not in JetStream",
    "consumer_auto_cleanup": "sessions are in memory, not in JetStream",
}
_OWN_CREDENTIALS: Final = "credentials of its own for one way in are not supported"
_MOST_UNACKNOWLEDGED: Final = 0xFFFF


def read_tls(value: Value, reading: Reading) -> Tls:
    """A `tls` block; its files must be there."""
    found: dict[str, Any] = {}

    def handshake_first(value: Value) -> None:
        found["handshake_first"], found["handshake_first_fallback"] = _handshake_first(value)

    def verify_and_map(value: Value) -> None:
        if boolean(value):
            found["verify"] = True
            reading.unsupported("verify_and_map", value, _TLS_UNSUPPORTED["verify_and_map"])

    def timeout(value: Value) -> None:
        if span := seconds(value):
            found["timeout"] = span

    block = table(value, "tls")
    handlers: Handlers = {
        **{name: keep(found, name, text) for name in ("cert_file", "key_file", "ca_file")},
        "verify": keep(found, "verify", boolean),
        "timeout": timeout,
        **dict.fromkeys(("handshake_first", "first", "immediate"), handshake_first),
        "min_version": keep(found, "min_version", _min_version),
        **_refusing(_TLS_REFUSED),
        **_noticing(_TLS_UNSUPPORTED, reading),
        "verify_and_map": verify_and_map,
    }
    for key, inner in block.items():
        if key.lower() not in handlers:
            # Not even as a variable, here.
            reading.fault(inner.place, f"error parsing tls config, unknown field {key!r}")
    reading.each({key: inner for key, inner in block.items() if key.lower() in handlers}, handlers)
    tls = Tls(**found)
    _require_files(tls, value, reading)
    return tls


def read_websocket(value: Value, reading: Reading) -> Websocket:
    found: dict[str, Any] = {}

    def handshake_timeout(value: Value) -> None:
        if isinstance(value.data, float):
            wrong(value, f"expected an integer or a duration, got {kind_of(value.data)}")
        if span := seconds(value):
            found["handshake_timeout"] = span

    def headers(value: Value) -> None:
        found["headers"] = {key: text(inner) for key, inner in table(value, "headers").items()}

    def ping_interval(value: Value) -> None:
        found["ping_interval"] = reading.span("ping_interval", value)

    origins = ("allowed_origins", "allowed_origin", "allow_origins", "allow_origin", "origins", "origin")
    reading.each(
        table(value, "websocket"),
        {
            **_listening(found),
            "advertise": keep(found, "advertise", text),
            "no_tls": keep(found, "no_tls", boolean),
            "tls": keep(found, "tls", lambda value: read_tls(value, reading)),
            "same_origin": keep(found, "same_origin", boolean),
            **dict.fromkeys(origins, keep(found, "allowed_origins", texts)),
            "handshake_timeout": handshake_timeout,
            "jwt_cookie": keep(found, "jwt_cookie", text),
            "no_auth_user": keep(found, "no_auth_user", text),
            "headers": headers,
            "ping_interval": ping_interval,
            **_refusing({"authorization": _OWN_CREDENTIALS, "authentication": _OWN_CREDENTIALS}),
            **_noticing(_WEBSOCKET_UNSUPPORTED, reading),
        },
    )
    return Websocket(**found)


def read_mqtt(value: Value, reading: Reading) -> Mqtt:
    found: dict[str, Any] = {}

    def ack_wait(value: Value) -> None:
        if span := reading.span("ack_wait", value):
            found["ack_wait"] = span

    def max_ack_pending(value: Value) -> None:
        number = integer(value)
        if not 0 <= number <= _MOST_UNACKNOWLEDGED:
            wrong(value, f"invalid value {number}, should be in the range 0 to {_MOST_UNACKNOWLEDGED}")
        if number:
            found["max_ack_pending"] = number

    reading.each(
        table(value, "mqtt"),
        {
            **_listening(found),
            "tls": keep(found, "tls", lambda value: read_tls(value, reading)),
            "no_auth_user": keep(found, "no_auth_user", text),
            **dict.fromkeys(("ack_wait", "ackwait"), ack_wait),
            **dict.fromkeys(("max_ack_pending", "max_pending", "max_inflight"), max_ack_pending),
            "reject_qos2_publish": keep(found, "reject_qos2_publish", boolean),
            "downgrade_qos2_subscribe": keep(found, "downgrade_qos2_subscribe", boolean),
            **_refusing({"authorization": _OWN_CREDENTIALS, "authentication": _OWN_CREDENTIALS}),
            **_noticing(_MQTT_UNSUPPORTED, reading),
        },
    )
    return Mqtt(**found)


def _listening(found: dict[str, Any]) -> Handlers:
    def listen(value: Value) -> None:
        host, found["port"] = address(value)
        if host:
            found["host"] = host

    host = keep(found, "host", text)
    return {"listen": listen, "port": keep(found, "port", port), "host": host, "net": host}


def _noticing(reasons: Mapping[str, str], reading: Reading) -> Handlers:
    def noticing(key: str, reason: str) -> Handler:
        return lambda value: reading.unsupported(key, value, reason)

    return {key: noticing(key, reason) for key, reason in reasons.items()}


def _refusing(reasons: Mapping[str, str]) -> Handlers:
    def refusing(key: str, reason: str) -> Handler:
        return lambda value: wrong(value, f'"{key}" is not supported: {reason}', REAL_SERVER)

    return {key: refusing(key, reason) for key, reason in reasons.items()}


def _min_version(value: Value) -> Literal["1.2", "1.3"]:
    name = text(value)
    if name in _OLD_VERSIONS:
        wrong(value, f"error parsing tls config: unsupported TLS version: TLS {name}")
    if name not in _VERSIONS:
        wrong(value, f"error parsing tls config: unknown version: {name}", '"1.2" or "1.3"')
    return _VERSIONS[name]


def _handshake_first(value: Value) -> tuple[bool, float]:
    if isinstance(value.data, bool):
        return value.data, 0.0
    match text(value).lower():
        case "true" | "on":
            return True, 0.0
        case "false" | "off":
            return False, 0.0
        case "auto" | "auto_fallback":
            return True, FALLBACK
    try:
        nanoseconds(text(value))
    except DurationFault:
        wrong(value, f"the value {value.data!r} is invalid", 'true, false, "auto" or a duration')
    return True, duration(value)


def _require_files(tls: Tls, value: Value, reading: Reading) -> None:
    if tls.cert_file and not tls.key_file:
        reading.fault(value.place, "missing 'key_file' in TLS configuration")
    elif tls.key_file and not tls.cert_file:
        reading.fault(value.place, "missing 'cert_file' in TLS configuration")
    for what, path in (("cert_file", tls.cert_file), ("key_file", tls.key_file), ("ca_file", tls.ca_file)):
        if path:
            _require_pem(what, path, value, reading)


def _require_pem(what: str, path: str, value: Value, reading: Reading) -> None:
    try:
        content = reading.read(path)
    except UNREADABLE as error:
        reading.fault(value.place, f"{what} {path!r} cannot be read: {unreadable(error)}")
        return
    if "-----BEGIN " not in content:
        reading.fault(value.place, f"{what} {path!r} holds no PEM block")
