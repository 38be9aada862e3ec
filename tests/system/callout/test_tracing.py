"""Traces that arrive: a real service beside a real server, and a collector that hears OTLP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nats
import nats.errors
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.system.callout.front import Front, front

pytestmark = pytest.mark.component("nats-server")
POLICY = {
    "version": 1,
    "bindings": [{"name": "all", "match": {"directory": "services"}, "account": "APP", "role": "reader"}],
}


class Collector(ThreadingHTTPServer):
    """Takes what is posted."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.bodies: list[bytes] = []


class _Post(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@contextmanager
def collecting() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def come(made: Front, token: str) -> None:
    client = await nats.connect(
        made.url, user_credentials=made.creds("sentinel"), token=token, allow_reconnect=False
    )
    await client.close()


def test_every_login_is_a_trace_and_nothing_in_it_is_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with front("real", tmp_path) as made, collecting() as collector:
        made.run("callout", "enable", "--into", "APP")
        made.run("callout", "policy", "set", made.write("policy.yaml", POLICY))
        told = made.document("generate", "api-key", "-d", "services", "-s", "scada-the-subject")
        directory = {"name": "services", "kind": "keys", "entries": [told["entry"]]}
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "door-1")
        with made.serving({"directories": [directory]}):
            asyncio.run(come(made, told["key"]))
            with pytest.raises(nats.errors.Error):
                asyncio.run(come(made, told["key"][:-1] + "x"))
        # Told at the latest when the service ends.
        bodies = b"".join(collector.bodies)
        found = [
            (resource.resource.attributes, span)
            for body in collector.bodies
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
    names = [span.name for _, span in found]
    assert names.count("accredit.callout.login") == 2
    assert {"prove", "directory", "policy", "mint", "ledger"} <= set(names)
    services = {
        each.value.string_value
        for attributes, _ in found
        for each in attributes
        if each.key == "service.name"
    }
    assert services == {"door-1"}
    outcomes = {
        each.value.string_value
        for _, span in found
        for each in span.attributes
        if each.key == "accredit.outcome"
    }
    assert "granted" in outcomes
    assert len(outcomes) == 2
    for secret in (told["key"], "scada-the-subject", made.creds("sentinel")):
        assert secret.encode() not in bodies


def test_a_collector_that_is_down_holds_up_neither_logins_nor_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with front("real", tmp_path) as made:
        made.run("callout", "enable", "--into", "APP")
        made.run("callout", "policy", "set", made.write("policy.yaml", POLICY))
        told = made.document("generate", "api-key", "-d", "services", "-s", "scada")
        directory = {"name": "services", "kind": "keys", "entries": [told["entry"]]}
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with made.serving({"directories": [directory]}):
            for _ in range(5):
                asyncio.run(come(made, told["key"]))
