"""The text of configurations; that the real server takes them is tested in tests/system."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.errors import PeerError
from issuer.interop.server_config import (
    ConfigError,
    Options,
    Resolver,
    ServerConfig,
    comment,
    quoted,
    render,
)
from issuer.keys.nkeys import Role, encode_public

SYSTEM, OTHER = (encode_public(Role.ACCOUNT, bytes([byte]) * 32) for byte in (1, 2))
CONFIG = ServerConfig("full", "GRID", "a.b.c", SYSTEM, {SYSTEM: ("SYS", "d.e.f")})


def test_a_full_resolver_with_everything() -> None:
    options = Options(
        server_name="one",
        host="127.0.0.1",
        port=4222,
        monitor_port=8222,
        allow_delete=True,
        jetstream_dir="/data/js",
        cluster_name="c",
        cluster_port=6222,
        routes=("nats://a:6222", "nats://b:6222"),
        leafnode_port=7422,
        max_control_line=8192,
        pid_file="/run/nats.pid",
    )
    assert (
        render(CONFIG, options)
        == f"""\
server_name: "one"
listen: "127.0.0.1:4222"
http: "127.0.0.1:8222"
pid_file: "/run/nats.pid"
max_control_line: 8192
jetstream {{ store_dir: "/data/js" }}
leafnodes {{ listen: "127.0.0.1:7422" }}
cluster {{
  name: "c"
  listen: "127.0.0.1:6222"
  routes: ["nats://a:6222", "nats://b:6222"]
}}
# Operator GRID
operator: a.b.c
# System account SYS
system_account: {SYSTEM}
resolver {{
  type: full
  dir: "./jwt"
  allow_delete: true
  interval: "2m"
  timeout: "1.9s"
}}
resolver_preload {{
  # Account SYS
  {SYSTEM}: d.e.f
}}
"""
    )


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("memory", ["resolver: MEMORY"]),
        ("cache", ["  type: cache", '  ttl: "1h"', '  timeout: "1.9s"']),
        ("url", ['resolver: "URL(http://[::1]:80/jwt/v1/accounts/)"']),
    ],
)
def test_the_other_kinds(kind: Resolver, lines: list[str]) -> None:
    text = render(replace(CONFIG, resolver=kind, url="http://[::1]:80/jwt/v1/accounts/"))
    assert [line for line in lines if line not in text.splitlines()] == []
    assert "interval" not in text
    assert "allow_delete" not in text


def test_accounts_come_in_the_same_order_always() -> None:
    accounts: dict[str, tuple[str, str]] = {OTHER: ("B", "g.h.i"), SYSTEM: ("SYS", "d.e.f")}
    text = render(replace(CONFIG, resolver="memory", accounts=accounts))
    assert text == render(replace(CONFIG, resolver="memory", accounts=dict(reversed(list(accounts.items())))))
    assert text.index(f"  {min(SYSTEM, OTHER)}:") < text.index(f"  {max(SYSTEM, OTHER)}:")


@pytest.mark.parametrize("kind", ["full", "cache"])
def test_servers_that_are_pushed_to_need_a_system_account(kind: Resolver) -> None:
    with pytest.raises(ConfigError, match=f"a {kind} resolver needs a system account") as caught:
        render(replace(CONFIG, resolver=kind, system_account="", accounts={}))
    assert caught.value.hint
    for other in ("memory", "url"):
        without = replace(CONFIG, resolver=other, system_account="", accounts={}, url="http://h/")
        assert "system_account" not in render(without)


@pytest.mark.parametrize(
    "url", ["", "h:80/", "ftp://h/", "http://", "http://h/a b", 'http://h/"', "http://h/\nport: 1", "http:/h"]
)
def test_a_url_the_server_could_not_ask(url: str) -> None:
    with pytest.raises(ConfigError, match="URL"):
        render(replace(CONFIG, resolver="url", url=url))


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 65536},
        {"port": -2},
        {"monitor_port": 100_000},
        {"leafnode_port": -7},
        {"cluster_name": "c", "cluster_port": 65536},
        {"server_name": "two words"},
        {"cluster_name": "two words"},
        {"routes": ("nats://a:1",)},
        {"cluster_port": 1},
    ],
    ids=str,
)
def test_options_with_which_no_server_starts(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        render(CONFIG, Options(**wrong))


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c\nport: 1", "a b.c.d", "a.b.c\n", "$a.b.c", "a.b.c}"])
def test_nothing_but_a_token_stands_for_one(text: str) -> None:
    for config in (replace(CONFIG, operator_token=text), replace(CONFIG, accounts={SYSTEM: ("S", text)})):
        with pytest.raises(PeerError, match="is not the text of a token"):
            render(config)


@pytest.mark.parametrize("key", ["A", f"{SYSTEM}\n", SYSTEM[:-1] + "A", SYSTEM.replace("A", "U", 1)])
def test_nothing_but_an_account_key_stands_for_one(key: str) -> None:
    for config in (replace(CONFIG, system_account=key), replace(CONFIG, accounts={key: ("S", "a.b.c")})):
        with pytest.raises(PeerError, match="is not an account key"):
            render(config)


@given(st.text())
def test_a_name_never_ends_its_comment(name: str) -> None:
    assert len(f"# {comment(name)}".splitlines()) == 1
    assert comment(name).isprintable()


@given(st.text())
def test_a_quoted_text_is_one_value_or_refused(text: str) -> None:
    try:
        value = quoted(text)
    except PeerError:
        assert not text.isprintable()
        return
    assert re.fullmatch(r'"(?:[^"\\]|\\["\\])*"', value)
    assert re.sub(r"\\(.)", r"\1", value[1:-1]) == text
