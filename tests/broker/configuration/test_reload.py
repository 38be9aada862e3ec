from __future__ import annotations

from dataclasses import fields

import pytest

from broker.configuration.options import Options
from broker.configuration.reload import RELOADABLE, changes
from tests.broker.configuration.reading_files import options_of

USER = "authorization {users: [{user: a}]}"


@pytest.mark.parametrize(
    ("old", "new", "live", "restart"),
    [
        ("debug: false", "debug: true", ("debug",), ()),
        ("max_payload: 1k # a", "max_payload: 1000", (), ()),
        ("max_payload: 1k", "max_payload: 2k, port: 4333", ("max_payload",), ("port",)),
        ("resolver: MEM", "resolver {type: full, dir: d}", ("resolver",), ()),
        ("debug: false", "resolver: MEM", (), ("resolver",)),
        ("websocket {port: 1}", "websocket {port: 2}", (), ("websocket",)),
        ("mqtt {port: 1}", 'mqtt {port: 1, ack_wait: "5s", max_ack_pending: 5}', ("mqtt ack_wait", "mqtt max_ack_pending"), ()),
        ("mqtt {port: 1}", 'mqtt {port: 2, ack_wait: "5s"}', ("mqtt ack_wait",), ("mqtt",)),
        (USER, "authorization {users: [{user: b}]}", ("users",), ()),
        (f"{USER}\nno_auth_user: a", "authorization {users: [{user: b}]}", ("no_auth_user", "users"), ()),
        (f"{USER}\nno_auth_user: a", USER, (), ("no_auth_user",)),
        ("cluster {name: a}", "cluster {name: b}", (), ()),
    ],
)  # fmt: skip
def test_changes(old: str, new: str, live: tuple[str, ...], restart: tuple[str, ...]) -> None:
    assert changes(options_of(old), options_of(new)) == (live, restart)


def test_names_are_those_of_options() -> None:
    assert {field.name for field in fields(Options)} > RELOADABLE
