"""What a real nats-server tells of connections, in the log `servers` of a real `accredit serve`."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import nats.errors
import pytest
from nats.aio.client import Client

from issuer.keys.creds import parse_creds
from tests.processes import wait_until
from tests.servers import NatsServer
from tests.system.callout.crowd import enabled
from tests.system.callout.front import ACCREDIT, SECONDS, Front


class Place:
    """A house, its server with JetStream, and the service beside it when it runs."""

    def __init__(self, made: Front, server: NatsServer) -> None:
        self.made = made
        self.server = server
        self.said = ""

    @contextmanager
    def serving(self) -> Iterator[None]:
        ready = self.made.folder.parent / "ready"
        process = subprocess.Popen(
            [ACCREDIT, "-H", str(self.made.folder), "serve", "--http-port", "0", "--ready-file", str(ready)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ,
            text=True,
        )
        try:
            wait_until(
                lambda: ready.exists() or process.poll() is not None, seconds=SECONDS, what="the ready file"
            )
            assert process.poll() is None, process.communicate()[0]
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            self.said += process.communicate(timeout=SECONDS)[0]
        assert process.returncode == 0, self.said

    def wait_hearing(self) -> None:
        """Until a visit is told of."""

        def heard() -> bool:
            self.visit(self.made.creds("probe", "APP"))
            return bool(self.sessions("--user", "probe"))

        wait_until(heard, what="the service to hear")

    def sessions(self, *words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.made.document("audit", "sessions", *words)
        return found

    def events(self, code: str = "") -> list[dict[str, Any]]:
        words = ["--code", code] if code else []
        found: list[dict[str, Any]] = self.made.document("audit", "list", "--log", "servers", *words)
        return found

    def visit(self, creds: str, *, code: str = "", **more: Any) -> None:
        """Come and go; or be refused."""

        async def quiet(error: Exception) -> None:
            del error

        async def visit() -> None:
            client = Client()
            try:
                await client.connect(
                    self.server.url,
                    user_credentials=creds,
                    allow_reconnect=False,
                    error_cb=quiet,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    **more,
                )
                await client.publish("grid.x", b"hello")
                await client.flush()
            finally:
                await client.close()

        if code == "refused":
            with suppress(nats.errors.Error):
                asyncio.run(visit())
                pytest.fail("let in")
        else:
            asyncio.run(visit())


@pytest.fixture
def place(tmp_path: Path, start_nats: Callable[..., NatsServer]) -> Place:
    made = Front(tmp_path / "data")
    made.run("init", "GRID")
    made.run("add", "account", "APP")
    made.run(
        "edit", "signing-key", "-a", "APP", "--sk", "generate", "--role", "reader",
        "--allow-sub", "grid.>", "--allow-pubsub", "_INBOX.>",
    )  # fmt: skip
    made.run("add", "user", "joe", "-a", "APP")
    made.run("add", "user", "probe", "-a", "APP")
    made.run("add", "user", "bear", "-a", "APP", "--bearer")
    config = made.run("generate", "config", "--nats-resolver")
    server = start_nats(f'{config}\njetstream {{ store_dir: "{tmp_path}/js" }}\n', name="S1")
    made.url = server.url
    made.run("edit", "operator", "--service-url", server.url)
    made.run("push", "-A")
    return Place(made, server)


def ended(place: Place, user: str) -> bool:
    return any(each["ended"] is not None for each in place.sessions("--user", user))


def test_a_connection_is_tied_to_credential_and_approval(place: Place) -> None:
    made = place.made
    with place.serving():
        place.wait_hearing()
        place.visit(made.creds("joe", "APP"), name="joe's own")
        wait_until(lambda: ended(place, "joe"), what="the end of the connection")
    [session] = place.sessions("--user", "joe")
    assert (session["credential"], session["identity"], session["server"]) == ("issued", "joe", "S1")
    assert session["reason"] == "Client Closed"
    [issued] = made.document("audit", "list", "--code", "user.issued", "--target", session["user"])
    assert session["approval"]["seq"] == issued["seq"]
    assert session["token_sha256"] == issued["after"]
    assert "unknown" not in {each["credential"] for each in place.sessions()}


def test_a_stream_keeps_what_happens_while_nobody_writes(place: Place) -> None:
    made = place.made
    made.run("audit", "ingest", "enable")
    made.run("audit", "ingest", "enable")  # nothing is added twice
    made.run("push", "-A")
    with place.serving():
        # The stream is made by the service, the first time.
        place.wait_hearing()
    place.visit(made.creds("joe", "APP"))
    assert not place.sessions("--user", "joe")
    with place.serving():
        wait_until(lambda: ended(place, "joe"), what="what happened meanwhile")
        [session] = place.sessions("--user", "joe")
        assert (session["credential"], session["reason"]) == ("issued", "Client Closed")
        streams = place.server.monitor("/jsz?accounts=true&streams=true")
        # One that was on its way to the service when it stopped comes again half a minute later.
        wait_until(lambda: streams_empty(place.server), seconds=60, what="the stream to forget")
        assert streams["account_details"]
    assert {each["credential"] for each in place.sessions()} <= {"issued", "service"}


def streams_empty(server: NatsServer) -> bool:
    """Whether no message, and so no token, waits in a stream."""
    found = server.monitor("/jsz?accounts=true&streams=true")["account_details"]
    return all(stream["state"]["messages"] == 0 for each in found for stream in each["stream_detail"])


def test_the_callouts_guests_and_those_turned_away(place: Place, tmp_path: Path) -> None:
    made = place.made
    keys, configuration = enabled(made)
    made.run("push", "-A")
    bearer, _ = parse_creds(Path(made.creds("bear", "APP")).read_text(encoding="utf-8"))
    with place.serving(), made.serving(configuration):
        place.wait_hearing()
        place.visit(made.creds("sentinel"), token=keys["ann"])
        wait_until(lambda: ended(place, "ann"), what="the end of the connection")
        place.visit(made.creds("sentinel"), token="hunter2", code="refused")
        place.visit(made.creds("bear", "APP"))
        made.run("revoke", "user", "joe", "-a", "APP")
        made.run("push", "-A")
        place.visit(made.creds("joe", "APP"), code="refused")
        wait_until(lambda: len(place.events("server.refused")) == 2, what="both refusals")
        wait_until(lambda: ended(place, "bear"), what="the end of the connection")
    [session] = place.sessions("--user", "ann")
    assert (session["credential"], session["role"]) == ("callout", "reader")
    assert session["approval"]["code"] == "login.granted"
    refused = {each["detail"].get("name") for each in place.events("server.refused")}
    assert refused == {"sentinel", "joe"}
    # A refusal is told twice by the server, and stands once in the log.
    closed = [each["detail"]["reason"] for each in place.events("server.disconnected")]
    assert "Authentication Failure" not in closed
    assert "unknown" not in {each["credential"] for each in place.sessions()}
    signature = bearer.rpartition(".")[2].encode()
    kept = [path for path in made.folder.rglob("*") if path.is_file() and path.suffix != ".creds"]
    assert len(kept) > 2
    # The store keeps the tokens it issued, in their table; in what servers told there is none.
    assert signature.decode() not in place.said
    assert all(signature.decode() not in str(each) for each in place.events())


def test_a_token_made_past_us_is_an_alarm(place: Place) -> None:
    from issuer.claims.user import new_user
    from issuer.keys.creds import format_creds
    from issuer.keys.nkeys import Role, Seed
    from issuer.tokens.envelope import encode
    from tests.system.callout.crowd import inside

    made = place.made
    with inside(made) as (wiring, workspace):
        account = made.document("describe", "account", "-n", "APP")
        key = account.get("sub") or account["claims"]["sub"]
        with wiring.database.reading() as unit:
            signer = wiring.authority.keyring.signer(unit, key)
        seed = Seed.generate(Role.USER)
        token = encode(new_user(seed.public, "joe"), signer, now=workspace.now).token
        stolen = made.folder.parent / "stolen.creds"
        stolen.write_text(format_creds(token, seed), encoding="utf-8")
    with place.serving():
        place.wait_hearing()
        place.visit(str(stolen))
        wait_until(lambda: bool(place.events("server.unknown-token")), what="the alarm")
    [alarm] = place.events("server.unknown-token")
    assert alarm["target"] == seed.public
    assert "never issued" in place.said
    signature = token.rpartition(".")[2].encode()
    kept = [path for path in made.folder.rglob("*") if path.is_file()]
    assert not [path for path in kept if signature in path.read_bytes()]
    assert signature.decode() not in place.said
