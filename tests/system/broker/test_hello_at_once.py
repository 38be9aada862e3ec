"""A client that says its TLS hello the moment INFO is there, as quick ones do; many times, for it is a race.

On uvloop: a loop of its own process, as the broker has it where it is installed.
"""

from __future__ import annotations

import json
import socket
import ssl
import time
from pathlib import Path

import pytest

from tests.callout.directories.authorities import (
    SERVER,
    Authority,
    key_pem,
    loopback,
    name_of,
    new_key,
    written,
)
from tests.processes import HOST
from tests.system.broker.callout.scene import Server, Which

TIMES = 100
SECONDS = 5.0
CONNECT = b"CONNECT " + json.dumps({"verbose": False, "tls_required": True}).encode() + b"\r\nPING\r\n"


@pytest.mark.parametrize("which", ["real", "ours"])
def test_a_hello_that_comes_at_once_is_never_read_as_text(which: Which, tmp_path: Path) -> None:
    authority, key = Authority(time.time()), new_key()
    (tmp_path / "key.pem").write_bytes(key_pem(key))
    ca = written(tmp_path, "ca.pem", authority.certificate)
    own = written(tmp_path, "own.pem", authority.issue(subject=name_of("meter7"), key=key))
    cert = written(tmp_path, "server.pem", authority.issue(names=[loopback()], usages=(SERVER,), key=key))
    config = f'tls {{ cert_file: "{cert}", key_file: "{tmp_path}/key.pem", ca_file: "{ca}", verify: true }}\n'
    context = ssl.create_default_context(cafile=str(ca))
    context.load_cert_chain(own, tmp_path / "key.pem")
    with Server(which, config) as server:
        for _ in range(TIMES):
            with socket.create_connection((HOST, server.port), timeout=SECONDS) as link:
                assert _answer(link, context).startswith(b"PONG")


def _answer(link: socket.socket, context: ssl.SSLContext) -> bytes:
    """What is said to a CONNECT and a PING, when the hello is ready and follows INFO at once."""
    heard, saying = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(heard, saying, server_hostname=HOST)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = saying.read()
    line = link.recv(8192)
    link.sendall(hello)
    assert line.startswith(b"INFO ")
    assert line.endswith(b"\r\n")
    for step in (tls.do_handshake, lambda: tls.write(CONNECT), lambda: tls.read(4096)):
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                link.sendall(saying.read())
                more = link.recv(16384)
                assert more, "closed"
                heard.write(more)
            else:
                link.sendall(saying.read())
                break
    assert isinstance(done, bytes)
    return done
