"""Websockets and MQTT without an operator, and with TLS, beside the real nats-server: one file for both."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from broker.in_thread import ThreadedBroker
from tests.broker.mqtt.wire import PING, mqtt_connect, mqtt_publish, mqtt_subscribe
from tests.processes import HOST, free_port, wait_until
from tests.servers import NatsServer
from tests.system.broker.transport_scene import (
    SECONDS,
    Line,
    Web,
    all_at_once,
    connect,
    frame,
    hang_up,
    in_this_process,
)

Start = Callable[[str], tuple[dict[str, int], dict[str, int]]]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    hang_up()


@pytest.fixture
def both(start_nats: Callable[..., NatsServer], tmp_path: Path) -> Iterator[Start]:
    """Start both with this text; `%(websocket)d` and `%(mqtt)d` in it are their ports."""
    ours: list[ThreadedBroker] = []

    def start(text: str) -> tuple[dict[str, int], dict[str, int]]:
        ports = [{name: free_port() for name in ("port", "websocket", "mqtt")} for _ in range(2)]
        own = f"jetstream {{ store_dir: {json.dumps(str(tmp_path / 'js'))} }}\nserver_name: place\n"
        real = start_nats(own + text % ports[0])
        # Whoever asked whether it greets is gone, and counts no more.
        wait_until(lambda: real.monitor("/varz")["connections"] == 0, what="nobody to be connected")
        file = tmp_path / "ours.conf"
        file.write_text(f"port: %(port)d\nhost: {HOST}\n" % ports[1] + text % ports[1], encoding="utf-8")
        ours.append(in_this_process(file))
        return ports[0], ports[1]

    try:
        yield start
    finally:
        for broker in ours:
            broker.stop()


# A key in INFO may hold the letters of a PONG.
_WORD: Final = re.compile(rb"^\x20\x02..|PONG(?=\r\n)|-ERR", re.DOTALL)
WAYS: Final = """
websocket { listen: "127.0.0.1:%(websocket)d", no_tls: true }
mqtt { listen: "127.0.0.1:%(mqtt)d" }
"""


def who_gets_in(ports: dict[str, int]) -> dict[str, tuple[bool, list[bytes]]]:
    """Each way of saying who one is, by websocket and by MQTT: whether it was closed, and the first word."""
    script = mqtt_subscribe(1, ("a", 1)) + mqtt_publish("a", b"x") + PING
    mqtt: dict[str, dict[str, Any]] = {
        "nobody": {"user": None},
        "alice": {"user": "alice", "password": "secret"},
        "alice, wrongly": {"user": "alice", "password": "x"},
        "alice without a password": {"user": "alice"},
        "bob": {"user": "bob", "password": "secret"},
        "mallory": {"user": "mallory", "password": "x"},
        "no text": {"user": "alice", "password": b"\xff"},
    }
    web = {
        "nobody": connect(),
        "alice": connect(user="alice", **{"pass": "secret"}),
        "alice, wrongly": connect(user="alice", **{"pass": "x"}),
        "bob": connect(user="bob", **{"pass": "secret"}),
    }
    lines: dict[str, tuple[Line, bytes]] = {
        f"mqtt: {name}": (Line(ports["mqtt"]), mqtt_connect(f"c{at}", **how) + script)
        for at, (name, how) in enumerate(mqtt.items())
    }
    for name, said in web.items():
        line = Web(ports["websocket"])
        line.frame()
        lines[f"web: {name}"] = line, frame(said + b"PING\r\n")
    lines["web: without connect"] = Web(ports["websocket"]), frame(b"PING\r\n")
    heard = all_at_once(lines, seconds=1.5)
    return {name: (each.closed, _WORD.findall(each.data)[:1]) for name, each in heard.items()}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "authorization { users: [ { user: alice, password: secret }, { user: bob, password: secret, "
        'allowed_connection_types: ["WEBSOCKET"] } ] }',
        "authorization { user: alice, password: secret }",
        "authorization { token: secret }",
    ],
    ids=["open", "users", "one user", "token"],
)
def test_who_gets_in(both: Start, text: str) -> None:
    real, ours = map(who_gets_in, both(WAYS + text))
    assert ours == real


def test_a_default_user_for_each_way(both: Start) -> None:
    text = """
websocket { listen: "127.0.0.1:%(websocket)d", no_tls: true, no_auth_user: alice }
mqtt { listen: "127.0.0.1:%(mqtt)d", no_auth_user: bob }
authorization { users: [ { user: alice, password: secret }, { user: bob, password: secret } ] }
"""
    real, ours = map(who_gets_in, both(text))
    for found in (real, ours):
        del found["web: without connect"]  # not a matter of the way: as on the listener without frames
    assert ours == real
    assert ours["mqtt: nobody"] == (False, [b"\x20\x02\x00\x00"])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += [
        "-keyout",
        str(folder / "key.pem"),
        "-out",
        str(folder / "cert.pem"),
        "-subj",
        "/CN=localhost",
    ]
    subprocess.run(command, check=True, capture_output=True)
    return folder


class Secret(Line):
    """A line within TLS."""

    def __init__(self, port: int) -> None:
        Line.__init__(self, port)  # not that of a websocket, which would speak at once
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._socket = context.wrap_socket(self._socket)


class SecretWeb(Secret, Web):
    """A websocket within TLS."""

    def __init__(self, port: int) -> None:
        Secret.__init__(self, port)
        self.answer = self.open_with()


def test_tls(both: Start, certificate: Path) -> None:
    tls = f'tls {{ cert_file: "{certificate}/cert.pem", key_file: "{certificate}/key.pem" }}'
    text = (
        f'websocket {{ listen: "{HOST}:%(websocket)d", {tls} }}\nmqtt {{ listen: "{HOST}:%(mqtt)d", {tls} }}'
    )

    def scene(ports: dict[str, int]) -> Any:
        web = SecretWeb(ports["websocket"])
        first = json.loads(web.frame()[1].removeprefix(b"INFO "))
        web.send(frame(connect() + b"PING\r\n"))
        second = json.loads(web.until_said(b"} \r\n").removeprefix(b"PONG\r\nINFO "))
        mqtt = Secret(ports["mqtt"])
        mqtt.send(mqtt_connect("c", user=None), PING)
        time.sleep(0.5)
        said = [
            {name: info.get(name) for name in ("tls_required", "tls_available")} for info in (first, second)
        ]
        return said, mqtt.hear().data

    real, ours = map(scene, both(text))
    assert ours == real
    assert ours[1] == b"\x20\x02\x00\x00\xd0\x00"


def test_who_is_too_many(both: Start) -> None:
    def scene(ports: dict[str, int]) -> Any:
        web = Web(ports["websocket"])
        web.frame()
        late = Web(ports["websocket"])
        late.frame()
        mqtt = Line(ports["mqtt"])
        mqtt.send(mqtt_connect("c", user=None))
        # Both come to their end; a server with much to do may pause before it.
        return late.hear(quiet=SECONDS), mqtt.hear(quiet=SECONDS)

    real, ours = map(scene, both(WAYS + "max_connections: 1"))
    assert ours == real
