"""`accredit up` as a new user meets it: started, used from another shell by unmodified clients, stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from tests.peers import NodeProcess
from tests.processes import wait_until

ACCREDIT = str(Path(sys.executable).with_name("accredit"))
SECONDS = 30


@dataclass
class Running:
    """A running `accredit up` and the shell beside it."""

    process: subprocess.Popen[str]
    data_dir: Path
    ready_file: Path
    ready: dict[str, Any]

    def shell(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [ACCREDIT, "-H", str(self.data_dir), *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == code, done.stderr
        return done.stdout

    def creds(self, user: str, account: str = "APP") -> str:
        return str(self.data_dir / "creds" / "accredit" / account / f"{user}.creds")

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.ready["http"] + path, timeout=5) as answer:
            text: str = answer.read().decode()
            return text


def start(data_dir: Path, *more: str) -> Running:
    ready_file = data_dir.with_suffix(".ready")
    process = subprocess.Popen(
        [
            ACCREDIT, "up", "-H", str(data_dir), "--http-port", "0", "--nats-port", "0",
            "--ready-file", str(ready_file), *more,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(data_dir.parent)},
    )  # fmt: skip
    wait_until(
        lambda: ready_file.exists() or process.poll() is not None, seconds=SECONDS, what="the ready file"
    )
    if not ready_file.exists():
        raise AssertionError(process.communicate()[0])
    return Running(process, data_dir, ready_file, json.loads(ready_file.read_text()))


def stop(running: Running) -> str:
    running.process.send_signal(signal.SIGTERM)
    said = running.process.communicate(timeout=SECONDS)[0]
    assert running.process.returncode == 0, said
    return said


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Running]:
    running = start(tmp_path / "data")
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGTERM)
            running.process.communicate(timeout=SECONDS)


def test_a_client_is_let_in_held_to_its_permissions_cut_off_and_kept_out(up: Running) -> None:
    up.shell("add", "user", "m1", "-a", "APP", "--allow-pub", "meters.>", "--allow-sub", "_INBOX.>")

    async def story() -> list[str]:
        errors: list[str] = []
        gone = asyncio.Event()

        async def on_error(error: Exception) -> None:
            errors.append(str(error).lower())

        async def on_closed() -> None:
            gone.set()

        how = {"user_credentials": up.creds("m1"), "allow_reconnect": False, "error_cb": on_error}
        client = Client()
        await client.connect(up.ready["nats"], closed_cb=on_closed, **how)
        await client.publish("meters.m1", b"230 V")
        await client.publish("secrets.m1", b"no")
        await client.flush()
        await asyncio.to_thread(up.shell, "revoke", "m1", "-a", "APP")
        await asyncio.wait_for(gone.wait(), SECONDS)
        again = Client()
        with pytest.raises(nats.errors.Error, match=r"(?i)authorization violation"):
            await again.connect(up.ready["nats"], **how)
        await again.close()  # the library leaves the socket open
        return errors

    errors = asyncio.run(story())
    said = "\n".join(errors)
    assert 'permissions violation for publish to "secrets.m1"' in said
    # The library closes without a word; the server says why.
    with urllib.request.urlopen(up.ready["monitor"] + "/connz?state=closed", timeout=5) as answer:
        assert "Credentials Revoked" in {one["reason"] for one in json.load(answer)["connections"]}
    report = json.loads(up.shell("push", "-a", "APP", "--json"))
    assert "in-force" in json.dumps(report)


@pytest.mark.component("node")
def test_the_javascript_client_takes_our_creds_and_is_cut_off(up: Running) -> None:
    up.shell("add", "user", "js", "-a", "APP")
    client = NodeProcess(
        "client",
        {
            "url": up.ready["nats"],
            "creds": Path(up.creds("js")).read_text(),
            "subscribe": ["x.>"],
            "reconnect": False,
        },
    )
    try:
        client.wait_for("connected")
        up.shell("revoke", "js", "-a", "APP")
        client.wait_for("closed")
    finally:
        client.close()


def test_the_resolver_path_gives_what_servers_ask_for(up: Running) -> None:
    base = "/jwt/v1/accounts/"
    assert up.get(base)
    system = up.get(base + up.ready["system_account"])
    assert system == up.shell("describe", "account", "SYS", "--raw").strip()
    with pytest.raises(urllib.error.HTTPError, match="404"):
        up.get(base + "ADWUSKGGFDI4FRXK5EBTRECZSVQSSWJHHJOGH6JWG3AUMFFMQ435D6HD")
    assert json.loads(up.get("/healthz"))["status"] == "ok"


def test_what_it_writes_is_its_owners_alone(up: Running) -> None:
    for path in [up.data_dir, *up.data_dir.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        inside_server = "nats" in path.relative_to(up.data_dir).parts[:1] and path.name != "nats-server.conf"
        assert inside_server or not mode & 0o077, f"{path} has mode {mode:o}"


def test_a_second_start_finds_everything_and_two_at_once_are_refused(tmp_path: Path) -> None:
    first = start(tmp_path / "data")
    first.shell("add", "user", "m1", "-a", "APP")
    refused = subprocess.run(
        [ACCREDIT, "up", "-H", str(first.data_dir), "--http-port", "0", "--nats-port", "0"],
        capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    assert refused.returncode == 4
    assert "another accredit up" in refused.stderr
    stop(first)
    assert not first.ready_file.exists()
    second = start(tmp_path / "data")
    assert second.ready["operator"] == first.ready["operator"]
    assert "m1" in second.shell("list", "users", "-a", "APP")

    async def connect() -> None:
        client = await nats.connect(
            second.ready["nats"], user_credentials=second.creds("m1"), allow_reconnect=False
        )
        await client.close()

    asyncio.run(connect())
    stop(second)


def test_a_port_that_is_taken_is_one_clear_error(up: Running) -> None:
    port = up.ready["http"].rpartition(":")[2]
    refused = subprocess.run(
        [ACCREDIT, "up", "-H", str(up.data_dir.with_name("other")), "--http-port", port, "--nats-port", "0"],
        capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    assert refused.returncode == 6
    assert f"cannot listen on 127.0.0.1:{port}" in refused.stderr
