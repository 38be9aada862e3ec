"""`accredit serve` beside a nats-server that fetches its accounts from it, and is pushed to."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from tests.processes import wait_until
from tests.servers import NatsServer

ACCREDIT = str(Path(sys.executable).with_name("accredit"))
SECONDS = 30


class House:
    """A data folder, and the command line on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [ACCREDIT, "-H", str(self.folder), *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def creds(self, user: str) -> str:
        return str(self.folder / "creds" / "GRID" / "GRID" / f"{user}.creds")


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path / "data")
    house.run("init", "GRID")
    return house


@pytest.fixture
def server(start_nats: Callable[..., NatsServer]) -> NatsServer:
    """A server whose address is known, and that is not there yet."""
    server = start_nats("debug: false")
    server.stop()
    return server


@pytest.fixture
def serving(house: House, server: NatsServer, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The service beside that server; what its ready file says."""
    ready = tmp_path / "ready"
    process = subprocess.Popen(
        [
            ACCREDIT, "serve", "-H", str(house.folder), "--http-port", "0",
"--nats", server.url, "--ready-file", str(ready),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ,
    )  # fmt: skip
    try:
        wait_until(ready.exists, seconds=SECONDS, what="the ready file")
        yield json.loads(ready.read_text())
    finally:
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=SECONDS)[0]
    assert process.returncode == 0, said


def test_a_server_with_a_url_resolver_is_fed_and_told(
    house: House, serving: dict[str, Any], server: NatsServer
) -> None:
    house.run("add", "user", "m1")
    config = house.run("generate", "config", "--url-resolver", f"{serving['http']}/jwt/v1/accounts/")
    server.configure(config)
    server.start()

    async def story() -> None:
        gone = asyncio.Event()

        async def closed() -> None:
            gone.set()

        client = Client()
        await client.connect(
            server.url, user_credentials=house.creds("m1"), allow_reconnect=False, closed_cb=closed
        )
        await asyncio.to_thread(house.run, "revoke", "m1")
        await asyncio.wait_for(gone.wait(), SECONDS)
        again = Client()
        with pytest.raises(nats.errors.Error):
            await again.connect(server.url, user_credentials=house.creds("m1"), allow_reconnect=False)
        await again.close()  # the library leaves the socket open

    asyncio.run(story())
