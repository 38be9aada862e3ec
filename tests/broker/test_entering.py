"""On the way in, over real sockets: who waits for an answer from elsewhere, and who needs to say nothing."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import pytest

from broker.in_thread import ThreadedBroker
from broker.listeners.tcp import MAX_HELD
from broker.pytest_plugin import Start
from broker.server import Broker
from tests.broker.configuration.reading_files import options_of
from tests.broker.scenes import Scene

SECONDS = 10.0
LISTEN = "host: 127.0.0.1\nport: -1\n"


class Line:
    """A connection that is read line by line."""

    def __init__(self, broker: ThreadedBroker) -> None:
        host, _, port = broker.url.removeprefix("nats://").rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=SECONDS)
        self._file = self.socket.makefile("rb")
        self.info = json.loads(self.next().removeprefix("INFO "))

    def next(self) -> str:
        return self._file.readline().decode().rstrip()

    def say(self, text: str) -> None:
        self.socket.sendall(text.encode())

    def connect(self, scene: Scene) -> str:
        return f"CONNECT {json.dumps({'verbose': False, **scene.members(self.info['nonce'])})}\r\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()


class Tokens(ThreadingHTTPServer):
    """Gives account tokens away by HTTP, when it may."""

    daemon_threads = True
    tokens: dict[str, str]
    may: threading.Event


class _Page(BaseHTTPRequestHandler):
    server: Tokens

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        self.server.may.wait(SECONDS)
        body = self.server.tokens.get(name, "").encode()
        self.send_response(200 if body or not name else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(tokens: dict[str, str]) -> Iterator[Tokens]:
    server = Tokens(("127.0.0.1", 0), _Page)
    server.tokens, server.may = tokens, threading.Event()
    server.may.set()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def scene() -> Scene:
    return Scene(int(time.time()))


def with_resolver(scene: Scene, server: Tokens) -> str:
    port = server.server_address[1]
    return f'{LISTEN}operator: {scene.operator_token()}\nresolver: URL("http://127.0.0.1:{port}/accounts/")\n'


def test_an_account_comes_from_an_address(start_broker: Start, scene: Scene) -> None:
    with serving({scene.key.public: scene.account_token()}) as server:
        broker = start_broker(options_of(with_resolver(scene, server)))
        with Line(broker) as line:
            line.say(line.connect(scene) + "PING\r\n")
            assert line.next() == "PONG"


def test_an_account_that_is_not_at_the_address_lets_nobody_in(start_broker: Start, scene: Scene) -> None:
    with serving({}) as server:
        broker = start_broker(options_of(with_resolver(scene, server)))
        with Line(broker) as line:
            line.say(line.connect(scene))
            assert line.next() == "-ERR 'Authorization Violation'"
            assert line.next() == ""


def test_what_is_sent_ahead_is_read_once_the_account_is_there(start_broker: Start, scene: Scene) -> None:
    messages = 4 * MAX_HELD // 100
    with serving({scene.key.public: scene.account_token()}) as server:
        broker = start_broker(options_of(with_resolver(scene, server)))
        server.may.clear()
        with Line(broker) as line:
            line.say(line.connect(scene) + "SUB a 1\r\n")
            ahead = f"PUB a 80\r\n{'x' * 80}\r\n" * messages
            sender = threading.Thread(target=lambda: line.say(ahead + "PING\r\n"))
            sender.start()
            while broker.call(lambda running: next(iter(running.core.clients.values())).closed) is None:
                if broker.call(_held) > MAX_HELD:
                    break
            server.may.set()
            heard = 0
            while (said := line.next()) != "PONG":
                heard += said.startswith("MSG a 1 80")
            sender.join(SECONDS)
            assert heard == messages


def _held(running: Broker) -> int:
    port: Any = next(iter(running.core.clients.values())).port
    buffered: int = port.reader.buffered
    return buffered


@pytest.mark.parametrize("first", ["PING\r\n", "SUB a 1\r\nPING\r\n", "PUB a 1\r\nx\r\nPING\r\n"])
def test_the_guest_of_the_configuration_needs_no_connect(start_broker: Start, first: str) -> None:
    guest = "no_auth_user: ann\nauthorization { users: [{user: ann, password: secret}] }\n"
    with Line(start_broker(options_of(LISTEN + guest))) as line:
        line.say(first)
        # Who said nothing of it is told of every line that it was read.
        while (said := line.next()) == "+OK":
            pass
        assert said == "PONG"
        line.say("PING\r\n")
        assert line.next() == "PONG"


def test_without_a_guest_somebody_who_does_not_connect_is_shown_out(start_broker: Start) -> None:
    users = "authorization { users: [{user: ann, password: secret}] }\n"
    with Line(start_broker(options_of(LISTEN + users))) as line:
        line.say("PING\r\nPING\r\n")
        assert line.next() == "-ERR 'Authorization Violation'"
        assert line.next() == ""
