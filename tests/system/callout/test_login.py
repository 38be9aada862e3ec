"""From a login at a real identity provider to clients that work: for services by their own token, for people
by the device flow in a real browser."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nats
import pytest

from issuer.client import Credentials, TokenType
from tests import components
from tests.peers import NodeProcess
from tests.system.broker.callout.scene import Which
from tests.system.callout.front import ACCREDIT, SECONDS, Front, front
from tests.system.callout.oidc_provider import AUDIENCE, OidcProvider, new_key
from tests.system.callout.test_front import come

ONE, TWO = new_key("one"), new_key("two")
PAUSE = 1
"""Seconds before an unknown key makes us ask the issuer again."""
POLICY = {
    "version": 1,
    "bindings": [
        {
            "name": "services",
            "match": {"directory": "idp", "kind": "service"},
            "account": "APP",
            "role": "reader",
        },
        {
            "name": "operators",
            "match": {"directory": "idp", "groups": "grid-operators", "connection-type": "exchange"},
            "account": "APP",
            "role": "reader",
        },
    ],
}


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    with OidcProvider(components.require("node"), keys=[ONE], groups_in_access_tokens=True) as started:
        yield started


@pytest.fixture
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Front]:
    which: Which = getattr(request, "param", "real")
    with front(which, tmp_path) as made:
        made.run("callout", "enable", "--into", "APP")
        made.run("callout", "policy", "set", made.write("policy.yaml", POLICY))
        yield made


def configuration(provider: OidcProvider, **exchange: Any) -> dict[str, Any]:
    directory = {
        "name": "idp",
        "kind": "oidc",
        "issuer": provider.issuer,
        "audiences": [AUDIENCE, "cli"],
        "keys": {"pause_unknown": PAUSE},
        "fetch": {"insecure_loopback": True},
    }
    flow = {"directory": "idp", "client_id": "cli", "scopes": ["openid"]}
    return {"directories": [directory], "exchange": {"device_flow": [flow]} | exchange}


def exchanged(desk: Front, url: str, token: str, creds: Path, *, code: int = 0) -> str:
    how = ("--token-file", "-", "--token-type", "access", "--creds", str(creds))
    return desk.run("login", "--url", url, *how, told=token, code=code)


async def works(desk: Front, creds: Path) -> None:
    client = await come(desk, str(creds))
    await client.subscribe("grid.north")
    await client.flush()
    await client.close()


@pytest.mark.parametrize("desk", ["real", "ours"], indirect=True)
def test_a_services_token_becomes_creds_for_unmodified_clients(
    desk: Front, provider: OidcProvider, tmp_path: Path
) -> None:
    creds = tmp_path / "service.creds"
    with desk.serving(configuration(provider)) as said:
        token = provider.service_token()
        exchanged(desk, said["http"], token, creds)
        asyncio.run(works(desk, creds))
        wish = {"url": desk.url, "creds": creds.read_text(), "subscribe": ["grid.north"]}
        with NodeProcess("client", wish) as client:
            assert client.wait_for("connected", "refused")["event"] == "connected"
        (session,) = desk.document("sessions")
        assert (session["subject"], session["account"]) == (
            "svc-app",
            desk.document("describe", "account", "APP")["sub"],
        )
    assert token not in said["log"]


def test_the_provider_changes_its_keys_between_logins(
    desk: Front, provider: OidcProvider, tmp_path: Path
) -> None:
    creds = tmp_path / "service.creds"
    with desk.serving(configuration(provider)) as said:
        old = provider.service_token()
        exchanged(desk, said["http"], old, creds)
        first = creds.read_text()
        provider.restart(keys=[TWO])
        time.sleep(PAUSE)
        exchanged(desk, said["http"], provider.service_token(), creds)
        assert creds.read_text() != first
        asyncio.run(works(desk, creds))
        # With the new keys the old one went.
        exchanged(desk, said["http"], old, tmp_path / "no.creds", code=4)
    assert not (tmp_path / "no.creds").exists()


class Asking:
    """`accredit login` as it runs; what it says is read as it comes."""

    def __init__(self, desk: Front, *words: str, home: Path) -> None:
        self._process = subprocess.Popen(
            [ACCREDIT, "-H", str(desk.folder), "login", "--no-browser", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "XDG_CONFIG_HOME": str(home)},
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._said: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said.append(line)
            self._lines.put(line)

    def where(self) -> tuple[str, str]:
        """The address and the code it shows."""
        found: dict[str, str] = {}
        while len(found) < 2:
            line = self._lines.get(timeout=SECONDS)
            match = re.match(r"(log in at|code) +(\S+)", line)
            if match:
                found[match[1]] = match[2]
        return found["log in at"], found["code"]

    def end(self) -> tuple[int, str, str]:
        """Its exit code and all it said."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        out = self._process.stdout.read()
        code = self._process.wait(SECONDS)
        self._reader.join(SECONDS)
        self._process.stdout.close()
        self._process.stderr.close()
        return code, out, "".join(self._said)

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self.end()


@contextmanager
def asking(desk: Front, *words: str, home: Path) -> Iterator[Asking]:
    made = Asking(desk, *words, home=home)
    try:
        yield made
    finally:
        made.stop()


@pytest.mark.component("chromium")
def test_a_person_logs_in_by_a_browser(desk: Front, provider: OidcProvider, tmp_path: Path) -> None:
    from tests.system.callout.browser import browser, log_in

    home = tmp_path / "home"
    with desk.serving(configuration(provider, max_lifetime=900)) as said:
        # The provider's key is changed before anybody logs in, as between any two days.
        provider.restart(keys=[TWO])
        with (
            asking(desk, "--url", said["http"], "--context", "grid", "--json", home=home) as run,
            browser(components.require("chromium")) as page,
        ):
            log_in(page, *run.where(), "alice")
            code, out, words = run.end()
        assert code == 0, words
        found = json.loads(out)
        creds = Path(found["creds"])
        assert creds == home / "accredit" / "login.creds"
        assert creds.stat().st_mode & 0o777 == 0o600
        assert (found["account"], found["servers"]) == ("APP", [desk.url])
        asyncio.run(works(desk, creds))

        context = json.loads((home / "nats" / "context" / "grid.json").read_text())
        assert (context["creds"], context["url"]) == (str(creds), desk.url)
        assert sorted(path.name for path in home.rglob("*") if path.is_file()) == ["grid.json", "login.creds"]

        (session,) = desk.document("sessions")
        assert (session["issuer"], session["subject"]) == (provider.issuer, "alice")
        desk.run("logout", "--creds", str(creds))
        assert not creds.exists()


@pytest.mark.component("chromium")
def test_a_person_who_says_no(desk: Front, provider: OidcProvider, tmp_path: Path) -> None:
    from tests.system.callout.browser import browser, refuse

    with (
        desk.serving(configuration(provider)) as said,
        asking(desk, "--url", said["http"], home=tmp_path / "home") as run,
        browser(components.require("chromium")) as page,
    ):
        refuse(page, *run.where())
        code, _, words = run.end()
    assert code == 4
    assert "the login was refused at the identity provider" in words
    assert not (tmp_path / "home").exists()


def test_a_source_that_is_not_offered(desk: Front, provider: OidcProvider, tmp_path: Path) -> None:
    with desk.serving(configuration(provider)) as said:
        with asking(desk, "--url", said["http"], "--source", "okta", home=tmp_path / "home") as run:
            code, _, words = run.end()
        assert (code, "known are idp" in words) == (3, True)


def test_a_program_stays_connected_over_the_end_of_its_tokens(
    desk: Front, provider: OidcProvider, tmp_path: Path
) -> None:
    """nats-py alone closes for good when its token ends (nats.py issue 1019)."""

    async def run(url: str) -> None:
        credentials = Credentials(url, provider.service_token, kind=TokenType.ACCESS_TOKEN, renew_at=0.5)
        first = await credentials.renew()
        reconnected, closed = asyncio.Event(), asyncio.Event()

        async def came() -> None:
            reconnected.set()

        async def went() -> None:
            closed.set()

        client = await nats.connect(
            credentials.servers,
            **credentials.options(),
            reconnected_cb=came,
            closed_cb=went,
            reconnect_time_wait=0.1,
        )
        async with credentials.kept(client), asyncio.timeout(SECONDS):
            await reconnected.wait()
            # Past the end of the first token, on whatever clock the server has.
            await asyncio.sleep(max(first.expires_at - first.issued_at, 0) + 1)
            await client.flush()
        assert not closed.is_set()
        assert credentials.issued != first
        await client.close()

    with desk.serving(configuration(provider, max_lifetime=6)) as said:
        asyncio.run(run(said["http"]))
