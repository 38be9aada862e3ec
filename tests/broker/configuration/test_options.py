"""What the options say of a configuration; whether the real server takes it too is a system test."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.configuration.options import Options, handlers
from broker.configuration.reading import ConfigurationError, Reading
from broker.configuration.unsupported import IGNORED, UNSUPPORTED
from issuer.errors import AccreditError, Unavailable
from tests.broker.configuration.reading_files import FILE, options_of, reader


def test_defaults_are_the_real_servers() -> None:
    options = Options.defaults()
    # Enforcement spec §1.1.
    assert (options.host, options.port) == ("0.0.0.0", 4222)
    assert (options.max_control_line, options.max_payload, options.max_pending) == (4096, 1048576, 67108864)
    assert (options.max_connections, options.max_subscriptions, options.max_subscription_tokens) == (
        65536,
        0,
        0,
    )
    assert (options.ping_interval, options.ping_max, options.write_deadline) == (120, 2, 10)
    assert (options.auth_timeout, options.lame_duck_duration, options.lame_duck_grace_period) == (2, 120, 10)
    assert options == options_of("#").__class__()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("port: 4333", {"port": 4333}),
        ("port: 0", {"port": 4222}),
        ("port: -1", {"port": -1}),
        ("listen: localhost:-1", {"host": "localhost", "port": -1}),
        ('listen: "[::1]:4333"', {"host": "::1", "port": 4333}),
        ("listen: 4333", {"host": "0.0.0.0", "port": 4333}),
        ("net: 127.0.0.1", {"host": "127.0.0.1", "monitor_host": "127.0.0.1"}),
        ("http: localhost:8222", {"http_host": "localhost", "http_port": 8222, "monitor_host": "localhost"}),
        ("http: 8222", {"http_host": "", "http_port": 8222, "monitor_host": "0.0.0.0"}),
        ("monitor_port: -1", {"http_port": -1}),
        ("https_port: 8223", {"https_port": 8223}),
        ("http_base_path: nats/", {"http_base_path": "/nats"}),
        ("max_connections: 0", {"max_connections": -1}),
        ("max_conn: 10", {"max_connections": 10}),
        ("max_payload: 0", {"max_payload": 1048576}),
        ("max_payload: 8MB", {"max_payload": 8 * 1024 * 1024}),
        ("max_control_line: 4k", {"max_control_line": 4000}),
        ("max_subs: -1", {"max_subscriptions": 0}),
        ("max_sub_tokens: 16", {"max_subscription_tokens": 16}),
        ('ping_interval: "1m30s"', {"ping_interval": 90.0}),
        ("ping_interval: 5", {"ping_interval": 5.0}),
        ('write_deadline: "250ms"', {"write_deadline": 0.25}),
        ('lame_duck_duration: "1m"', {"lame_duck_duration": 60.0}),
        ("server_tags: [One, ' two ', one]", {"server_tags": ("one", "two")}),
        ("server_metadata {a: b}", {"server_metadata": {"a": "b"}}),
        ("trace_verbose: true", {"trace": True}),
        ("authorization {timeout: 5}", {"authorization_timeout": 5.0, "auth_timeout": 5.0}),
        ('authorization {timeout: "250ms"}', {"auth_timeout": 0.25}),
        ("tls {timeout: 3}", {"auth_timeout": 4.0}),
        ("DEBUG: true", {"debug": True}),
        ("logfile: x\npidfile: y", {"log_file": "x", "pid_file": "y"}),
    ],
)
def test_a_key_says(text: str, expected: dict[str, Any]) -> None:
    options = options_of(text)
    assert {name: getattr(options, name) for name in expected} == expected


def test_everything_wrong_is_named_at_once_with_its_place() -> None:
    with pytest.raises(ConfigurationError) as refused:
        options_of("port: x\nfoo: 1\nwebsocket {\n  bar: 2\n  port: true }\nping_interval: 1.5")
    assert [str(fault) for fault in refused.value.faults] == [
        "server.conf:1:1: expected an integer, got a string",
        'server.conf:2:1: unknown field "foo"',
        'server.conf:4:3: unknown field "bar"',
        "server.conf:5:3: expected an integer, got a boolean",
        "server.conf:6:1: expected a duration as a string, got a float",
    ]
    assert str(refused.value).splitlines() == [str(fault) for fault in refused.value.faults]


def test_a_key_that_is_only_a_variable_need_not_be_known() -> None:
    assert options_of("PORT_OF_OURS: 4333\nport: $PORT_OF_OURS").port == 4333
    with pytest.raises(ConfigurationError, match="unknown field"):
        options_of("PORT_OF_OURS: 4333")


@pytest.mark.parametrize("key", sorted(UNSUPPORTED))
def test_what_is_not_supported_is_said_with_place_and_way_out(key: str) -> None:
    (notice,) = options_of(f"debug: true\n  {key} {{ anything: goes }}").warnings
    assert (notice.kind, notice.key, notice.at) == ("unsupported", key, "server.conf:2:3")
    assert "nats-server" in notice.hint
    assert UNSUPPORTED[key] in notice.words


@pytest.mark.parametrize("key", sorted(IGNORED))
def test_what_nobody_can_tell_is_passed_over(key: str) -> None:
    assert options_of(f"{key}: 1").warnings == ()


@pytest.mark.parametrize("text", ["ping_interval: 5", "write_deadline: 5", "authorization {timeout: 90}", ""])
def test_what_the_real_server_warns_of_is_a_notice(text: str) -> None:
    (notice,) = options_of(text).warnings
    assert notice.kind == "deprecated"


def test_secrets_stay_out_of_sight() -> None:
    text = "authorization {user: a, password: hush-1}\naccounts {A {}}\ndefault_sentinel: hush-2"
    assert "hush" not in repr(options_of(text))
    users = "authorization {users: [{user: a, password: hush-3}]}"
    assert "hush" not in repr(options_of(users))
    assert options_of(users).users[0].password == "hush-3"
    with pytest.raises(ConfigurationError) as refused:
        options_of(
            "authorization {users: [{user: a, password: hush}, {user: a, password: hush}], token: hush}"
        )
    assert "hush" not in str(refused.value)


def test_no_file() -> None:
    with pytest.raises(Unavailable, match="No such file"):
        Options.read("none.conf", environment={}, read=reader({}))


def test_bytes_that_are_no_text() -> None:
    def read(path: str) -> str:
        return (b"include b.conf" if path == "a.conf" else b"\xff").decode()

    for path in ("a.conf", "b.conf"):
        with pytest.raises(AccreditError, match="not UTF-8"):
            Options.read(path, environment={}, read=read)


def test_includes_and_the_environment_reach_the_options() -> None:
    options = options_of("include a.conf\nserver_name: $NAME", {"a.conf": "port: 4333"}, NAME="'one'")
    assert (options.port, options.server_name, options.config_file) == (4333, "one", FILE)


def test_every_option_can_be_said() -> None:
    found: dict[str, Any] = {}
    known = handlers(found, Reading(reader({})))
    about_the_file = {"config_file", "config_digest", "warnings"}
    # By other names: of a block, or of a list that several blocks fill.
    inside = {
        "username",
        "password",
        "token",
        "authorization_timeout",
        "proxy_required",
        "users",
        "http_host",
    }
    inside |= {"operators"} & set(known)
    names = {field.name for field in fields(Options)} - about_the_file - inside
    assert names <= set(known)


_KEYS = st.sampled_from(sorted(set(handlers({}, Reading(reader({})))) | {"users", "type", "dir", "stream"}))
_LEAVES = st.sampled_from(
    ["1", "-1", "true", "x", '"2s"', '"a b"', "[]", "[x ]", "{}", "1.5", "MEM", "2026-12-31T23:59:59Z", "$v"]
)
_BLOCKS = st.recursive(
    _LEAVES,
    lambda inner: (
        st.dictionaries(_KEYS, inner, max_size=3).map(
            lambda found: "{" + " ".join(f"{key}: {value}\n" for key, value in found.items()) + "}"
        )
        | st.lists(inner, max_size=2).map(lambda found: "[" + ", ".join(found) + " ]")
    ),
    max_leaves=6,
)


@given(st.dictionaries(_KEYS, _BLOCKS, max_size=4))
def test_whatever_a_file_says_only_our_own_errors_come_out(found: dict[str, str]) -> None:
    try:
        options_of("v: 5\n" + "\n".join(f"{key}: {value}" for key, value in found.items()))
    except AccreditError as error:
        assert error.at is not None
