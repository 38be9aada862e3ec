"""Traces that arrive: a real service beside a real server, and a collector that hears OTLP."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import nats
import nats.errors
import pytest
from nats.aio.msg import Msg
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from callout.connection import Connection
from callout.responder import SUBJECT, XKEY_HEADER, Question
from issuer.keys.nkeys import Role, Seed
from issuer.tokens.envelope import Token
from issuer.tokens.signer import SeedSigner
from tests.system.broker.callout.scene import Server, Which
from tests.system.callout.front import Front, front

pytestmark = pytest.mark.component("nats-server")
POLICY = {
    "version": 1,
    "bindings": [
        {"name": "all", "match": {"directory": "services"}, "account": "APP", "role": "reader"},
        {"name": "people", "match": {"directory": "staff"}, "account": "APP", "role": "reader"},
    ],
}
PASSWORD = "correct-horse-battery-staple"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector(ThreadingHTTPServer):
    """Takes what is posted."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.posted: list[tuple[str, bytes]] = []
        """Path and body."""


class _Post(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        self.server.posted.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
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


async def come(made: Front, **shown: str) -> None:
    client = await nats.connect(made.url, allow_reconnect=False, **shown)
    await client.close()


@dataclass
class Echo:
    """Answers at once, and keeps the parents it was told."""

    parents: list[str] = field(default_factory=list)
    senders: list[str] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def hear(self, question: Question) -> None:
        self.parents.append(question.parent)
        self.senders.append(question.sender)
        task = asyncio.ensure_future(question.answer(b"yes"))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def drained(self, seconds: float) -> bool:
        return True


@pytest.mark.parametrize("which", ["real", "ours"])
def test_a_parent_comes_by_a_header_and_goes_back_by_one_and_no_other_header_does(which: Which) -> None:
    async def asked(url: str) -> tuple[Echo, list[Msg]]:
        echo = Echo()
        seed = Seed.generate(Role.USER)
        connection = Connection([url], lambda: (Token(""), SeedSigner(seed)), echo)
        await connection.open()
        client = await nats.connect(url, allow_reconnect=False)
        try:
            answers = [
                await client.request(SUBJECT, b"?", timeout=5, headers=headers)
                for headers in (
                    {"traceparent": PARENT, XKEY_HEADER: "X"},
                    {"traceparent": PARENT + "-more", XKEY_HEADER: "X"},
                    {XKEY_HEADER: "X"},
                    None,
                )
            ]
        finally:
            await client.close()
            await connection.close(patience=1)
        return echo, answers

    with Server(which, "") as server:
        echo, answers = asyncio.run(asked(f"nats://127.0.0.1:{server.port}"))
    assert echo.parents == [PARENT, "", "", ""]
    assert echo.senders == ["X", "X", "X", ""]
    assert [answer.headers for answer in answers] == [{"traceparent": PARENT}, None, None, None]


def test_every_login_is_a_trace_and_nothing_in_it_is_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with front("real", tmp_path) as made, collecting() as collector:
        made.run("callout", "enable", "--into", "APP")
        made.let_guests_in()
        made.run("callout", "policy", "set", made.write("policy.yaml", POLICY))
        told = made.document("generate", "api-key", "-d", "services", "-s", "scada-the-subject")
        hashed = json.loads(made.run("generate", "password-hash", "--json", told=PASSWORD + "\n"))["hash"]
        directories = [
            {"name": "services", "kind": "keys", "entries": [told["entry"]]},
            {"name": "staff", "kind": "passwords", "entries": [{"user": "ann-the-person", "hash": hashed}]},
        ]
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "door-1")
        # The web framework can export on its own, and would tell what stands in a URL.
        monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
        with made.serving({"directories": directories}) as said:
            httpx.get(f"{said['http']}/healthz", params={"filter": "bob-in-a-query"}, trust_env=False)
            asyncio.run(come(made, token=told["key"]))
            asyncio.run(come(made, user="staff:ann-the-person", password=PASSWORD))
            with pytest.raises(nats.errors.Error):
                asyncio.run(come(made, token=told["key"][:-1] + "x"))
            with pytest.raises(nats.errors.Error):
                asyncio.run(come(made, user="staff:ann-the-person", password="not-the-pass-word"))
        # Told at the latest when the service ends.
        bodies = b"".join(body for _, body in collector.posted)
        assert {path for path, _ in collector.posted} == {"/v1/traces"}
        found = [
            (resource.resource.attributes, span)
            for _, body in collector.posted
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
    names = [span.name for _, span in found]
    assert names.count("accredit.callout.login") == 4
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
    assert outcomes == {"granted", "credentials.malformed", "credentials.wrong"}
    kinds = {
        each.value.string_value
        for _, span in found
        for each in span.attributes
        if each.key == "accredit.directory.kind"
    }
    assert kinds == {"keys", "passwords"}
    sentinel = Path(made.creds("sentinel")).read_text(encoding="utf-8").splitlines()[1]
    shown = (told["key"], PASSWORD, "not-the-pass-word", sentinel)
    who = ("ann-the-person", "scada-the-subject", "bob-in-a-query")
    secrets = shown + who
    assert [secret for secret in secrets if secret.encode() in bodies] == []


def test_a_collector_that_is_down_holds_up_neither_logins_nor_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with front("real", tmp_path) as made:
        made.run("callout", "enable", "--into", "APP")
        made.let_guests_in()
        made.run("callout", "policy", "set", made.write("policy.yaml", POLICY))
        told = made.document("generate", "api-key", "-d", "services", "-s", "scada")
        directory = {"name": "services", "kind": "keys", "entries": [told["entry"]]}
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with made.serving({"directories": [directory]}):
            for _ in range(5):
                asyncio.run(come(made, token=told["key"]))
