"""CONNECT is read as the real server's JSON library reads it."""

from __future__ import annotations

import pytest

from broker.protocol.connect import ConnectOptions, ConnectSyntaxError, read_connect


def test_what_is_absent_has_the_server_s_defaults() -> None:
    options = read_connect(b"{}")
    assert (options.verbose, options.pedantic, options.echo) == (True, True, True)
    assert (options.headers, options.no_responders, options.protocol) == (False, False, 0)


@pytest.mark.parametrize(
    ("sent", "name", "value"),
    [
        (b'{"verbose":false}', "verbose", False),
        (b'{"pass":"x"}', "password", "x"),
        (b'{"PASS":"x"}', "password", "x"),
        (b'{"Jwt":"t","unknown":[1,{}]}', "jwt", "t"),
        (b'{"protocol":1}', "protocol", 1),
        (b'{"name":null}', "name", ""),
        (b'{"name":"a","name":"b"}', "name", "b"),
        (b' {"user" : "u"} ', "user", "u"),
        (b"null", "verbose", True),
        (b'{"name":"\xff"}', "name", "\ufffd"),
        (b'{"what":1,"user":"u"}', "user", "u"),
        (rb'{"name":"a\ud800b"}', "name", "a\ufffdb"),
        (rb'{"name":"\udc00\ud83d"}', "name", "\ufffd\ufffd"),
        (rb'{"name":"\ud83d\ude00"}', "name", "\U0001f600"),
        (rb'{"name":"\\ud800"}', "name", "\\ud800"),
    ],
)
def test_members(sent: bytes, name: str, value: object) -> None:
    assert getattr(read_connect(sent), name) == value


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"x",
        b"[]",
        b"1",
        b'"x"',
        b"{",
        b'{"verbose":1}',
        b'{"name":1}',
        b'{"protocol":true}',
        b"{}x",
        b'{"sig":1,"sig":"good"}',
    ],
)
def test_what_is_no_connect(sent: bytes) -> None:
    with pytest.raises(ConnectSyntaxError):
        read_connect(sent)


def test_a_second_one_keeps_what_it_does_not_say() -> None:
    first = read_connect(b'{"verbose":false,"name":"n","jwt":"t"}')
    second = read_connect(b'{"name":"m"}', first)
    assert (second.verbose, second.name, second.jwt) == (False, "m", "t")


def test_secrets_are_not_shown() -> None:
    shown = repr(ConnectOptions(jwt="token", password="secret", sig="sig", auth_token="tok", name="me"))
    assert "me" in shown
    for secret in ("token", "secret", "sig=", "tok"):
        assert secret not in shown
