"""Calls of clients: with TLS that is checked, or on this machine; bounded; and never led elsewhere."""

from __future__ import annotations

import http.server
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from issuer import https
from issuer.errors import Unavailable
from tests.callout.directories.authorities import (
    SERVER,
    Authority,
    key_pem,
    loopback,
    name_of,
    new_key,
    written,
)


@contextmanager
def answering(
    answer: Callable[[http.server.BaseHTTPRequestHandler], None], tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """A server on a free port of loopback."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *words: object) -> None: ...

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *words: object) -> None:
            """A client that goes away is what is tested."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def says(
    body: bytes, status: int = 200, **headers: str
) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.rfile.read(int(request.headers.get("content-length", 0)))
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


@pytest.mark.parametrize(
    "url",
    [
        "http://accredit.example/", "http://192.0.2.1/", "http://0.0.0.0/", "http://127.0.0.1.example/",
        "http://localhost.example/", "ftp://127.0.0.1/", "file:///etc/passwd", "//x/", "", "https://",
        "https://user:secret@host/", "https://host/#fragment", "https://host:port/", "https://[x/",
        "https://host/a b", "https://host/\r\nHost: other",
    ],
)  # fmt: skip
def test_addresses_that_are_not_called(url: str) -> None:
    with pytest.raises(https.UrlError) as refused:
        https.checked(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["https://accredit.example", "http://127.0.0.9:8521", "http://[::1]:1/", "http://localhost"]
)
def test_addresses_that_are(url: str) -> None:
    assert https.checked(url) == url


def test_an_answer_is_read() -> None:
    with answering(says(b'{"a": 1}', X_Thing="y")) as port:
        answer = https.post(f"http://127.0.0.1:{port}/x?y=z", {"a": "b c"})
    assert (answer.ok, answer.json(), answer.headers["x-thing"]) == (True, {"a": 1}, "y")


def test_a_redirect_is_not_followed() -> None:
    with answering(says(b"", 302, location="http://127.0.0.1:1/")) as port:
        assert https.get(f"http://127.0.0.1:{port}/").status == 302


@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b'{"a": 1, "a": 2}', b"\xff"])
def test_what_is_no_object_is_no_answer(body: bytes) -> None:
    with answering(says(body)) as port, pytest.raises(https.AnswerError):
        https.get(f"http://127.0.0.1:{port}/").json()


def test_too_much_of_an_answer() -> None:
    with answering(says(b"x" * (https.MAX_BYTES + 1))) as port, pytest.raises(https.AnswerError):
        https.get(f"http://127.0.0.1:{port}/")


def test_what_does_not_speak_http() -> None:
    def nonsense(request: http.server.BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"INFO {}\r\n")

    with answering(nonsense) as port, pytest.raises(https.AnswerError):
        https.get(f"http://127.0.0.1:{port}/")


def test_nobody_there() -> None:
    with pytest.raises(Unavailable):
        https.get("http://127.0.0.1:1/")


def test_a_server_that_hangs() -> None:
    ready = threading.Event()

    def hang(_: object) -> None:
        ready.wait(5)

    with answering(hang) as port:
        with pytest.raises(Unavailable):
            https.get(f"http://127.0.0.1:{port}/", seconds=0.3)
        ready.set()


def authority(folder: Path, *, address: bool) -> tuple[Path, ssl.SSLContext]:
    """The authority's file, and a server's side with a certificate for loopback or for another name."""
    made = Authority(time.time())
    key = new_key()
    names = (loopback(),) if address else (x509.DNSName("other.example"),)
    certificate = made.issue(subject=name_of("server"), names=names, key=key, usages=(SERVER,))
    chain = written(folder, "server.pem", certificate)
    (folder / "server.key").write_bytes(key_pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, folder / "server.key")
    return written(folder, "ca.pem", made.certificate), context


def test_a_certificate_of_the_authority_named(tmp_path: Path) -> None:
    ca, context = authority(tmp_path, address=True)
    with answering(says(b"{}"), context) as port:
        assert https.get(f"https://127.0.0.1:{port}/", ca_file=ca).ok


@pytest.mark.parametrize(("named", "address"), [(False, True), (True, False)], ids=["nobodys", "anothers"])
def test_a_certificate_that_is_not_trusted(named: bool, address: bool, tmp_path: Path) -> None:
    ca, context = authority(tmp_path, address=address)
    asked = threading.Event()
    with answering(lambda _: asked.set(), context) as port, pytest.raises(Unavailable, match="not trusted"):
        https.post(f"https://127.0.0.1:{port}/", {"secret": "x"}, ca_file=ca if named else None)
    assert not asked.is_set()


def test_authorities_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(https.UrlError):
        https.get("https://127.0.0.1:1/", ca_file=tmp_path / "missing.pem")
