"""Who takes part in the callout's rows: a store, a real server, people, services and devices, and who answers."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from callout.directories.keys import generate
from issuer.authority.finding import the_operator
from issuer.authority.opening import open_authority
from issuer.authority.signing import head
from issuer.claims.account import AccountClaims
from issuer.keys.creds import parse_creds
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.settings import load
from issuer.store import hierarchy
from issuer.store.unit import Database
from tests.bench.callout_load import Show
from tests.callout.directories.oidc_world import AUDIENCE, RSA, Issuer, sign
from tests.processes import wait_until
from tests.servers import NatsServer
from tests.system.callout.front import Front

POLICY: Final = {
    "version": 1,
    "bindings": [
        {
            "name": "staff",
            "match": {"directory": "okta", "groups": {"any-of": ["staff"]}},
            "account": "APP",
            "role": "reader",
        },
        {"name": "services", "match": {"directory": "services"}, "account": "APP", "role": "reader"},
        {"name": "meters", "match": {"directory": "meters"}, "account": "APP", "role": "reader"},
        {"name": "office", "match": {"directory": "office"}, "account": "APP", "role": "reader"},
    ],
}
KINDS: Final = ("OIDC", "API key", "device nkey")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_SECONDS: Final = 60


@dataclass(frozen=True)
class Responder:
    """A process that answers."""

    pid: int

    def cpu(self) -> float:
        """Seconds of processor time so far, of all threads, the kernel's part included."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def settle(self) -> None:
        """Wait until what was asked of it is done."""
        before = self.cpu()
        for _ in range(100):
            time.sleep(0.1)
            now = self.cpu()
            if now - before < 1.5 / _TICKS:
                return
            before = now


class World:
    """What clients show, a different one for each login; everybody is somebody else."""

    def __init__(self, desk: Front, server: NatsServer, issuer: Issuer, *, count: int, devices: int) -> None:
        self.desk = desk
        self.server = server
        self.port = server.port
        self._issuer = issuer.url
        desk.run("add", "user", "m1", "-a", "APP")
        desk.run("callout", "enable", "--into", "APP", "--no-test")
        desk.run("push", "-A")
        desk.run("callout", "policy", "set", desk.write("policy.yaml", POLICY))
        self._sentinel, _ = parse_creds(Path(desk.creds("sentinel")).read_text(encoding="utf-8"))
        self._plain, self._plain_seed = parse_creds(Path(desk.creds("m1", "APP")).read_text(encoding="utf-8"))
        now = int(time.time())
        common = {"groups": ["staff"], "iat": now - 5, "exp": now + 3600}
        tokens = [sign(issuer.claims(sub=f"00u{number}", **common), RSA) for number in range(count)]
        keys = [generate("services", now=now, subject=f"scada-{number}") for number in range(count)]
        self._devices = [Seed.generate(Role.USER) for _ in range(max(count, devices))]
        self._stored = [stored for _, stored in keys]
        self.shows: Mapping[str, Sequence[Show]] = {
            "OIDC": [self.token(text) for text in tokens],
            "API key": [self.token(text) for text, _ in keys],
            "device nkey": [self._device(seed) for seed in self._devices],
        }

    def token(self, text: str) -> Show:
        return lambda _: {"jwt": self._sentinel, "auth_token": text}

    def password(self, user: str, password: str) -> Show:
        return lambda _: {"jwt": self._sentinel, "user": user, "pass": password}

    def plain(self, info: dict[str, Any]) -> dict[str, Any]:
        """A login that asks no callout."""
        return {"jwt": self._plain, "sig": _encoded(self._plain_seed.sign(info["nonce"].encode()))}

    def _device(self, seed: Seed) -> Show:
        return lambda info: {
            "jwt": self._sentinel,
            "nkey": seed.public,
            "sig": _encoded(seed.sign(info["nonce"].encode())),
        }

    @contextmanager
    def ours(self, *more: Mapping[str, Any], timing: Mapping[str, Any] | None = None) -> Iterator[Responder]:
        """`accredit callout serve` with three directories and those given."""
        entries = [
            {name: value for name, value in msgspec.to_builtins(each).items() if value}
            for each in self._stored
        ]
        okta = {"issuer": self._issuer, "audiences": [AUDIENCE], "fetch": {"insecure_loopback": True}}
        directories: list[Mapping[str, Any]] = [
            {"name": "services", "kind": "keys", "entries": entries},
            {
                "name": "meters",
                "kind": "nkeys",
                "entries": [{"public": each.public} for each in self._devices],
            },
            {"name": "okta", "kind": "oidc", **okta},
            *more,
        ]
        with self.desk.serving({"directories": directories, "timing": timing or {}}) as said:
            yield Responder(said["process"])

    @contextmanager
    def minimal(self) -> Iterator[Responder]:
        """The baseline."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.callout_minimal"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(self._keys()) + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == "ready\n"
            yield Responder(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=_SECONDS)

    def _keys(self) -> dict[str, str]:
        settings = load({"data_dir": str(self.desk.folder)}, {})
        with contextlib.closing(Database.open(settings.database)) as database:
            authority = open_authority(
                settings, os.environ, clock=lambda: int(time.time()), database=database
            )
            with database.reading() as unit:
                operator = the_operator(unit, None)
                door = hierarchy.find_account(unit, operator.id, "CALLOUT")
                place = hierarchy.find_account(unit, operator.id, "APP")
                assert door is not None
                assert place is not None
                claims: AccountClaims = head(unit, "account", door.id).claims
                keyring = authority.keyring
                return {
                    "url": self.desk.url,
                    "creds": self.desk.creds("callout"),
                    "account": door.public,
                    "account_seed": keyring.seed(unit, door.public).reveal(),
                    "curve_seed": keyring.seed(unit, PublicKey(claims.nats.authorization.xkey)).reveal(),
                    "place": place.public,
                    "place_seed": keyring.seed(unit, place.public).reveal(),
                }


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@contextmanager
def standing(count: int, *, devices: int = 0, extra: str = "") -> Iterator[World]:
    """A world of so many of each kind, with perhaps more devices; `extra` are lines for the server."""
    with tempfile.TemporaryDirectory(prefix="accredit-bench-") as folder, _issuing() as issuer:
        desk = Front(Path(folder) / "data")
        desk.run("init", "GRID")
        desk.run("add", "account", "APP")
        desk.run(
            "edit", "signing-key", "-a", "APP", "--sk", "generate", "--role", "reader",
            "--allow-sub", "grid.>", "--allow-pubsub", "_INBOX.>",
        )  # fmt: skip
        with NatsServer(desk.run("generate", "config", "--nats-resolver") + extra) as server:
            desk.url = server.url
            desk.run("edit", "operator", "--service-url", server.url)
            desk.run("push", "-A")
            yield World(desk, server, issuer, count=count, devices=devices)


@contextmanager
def _issuing() -> Iterator[Issuer]:
    """An issuer on loopback, in a thread of its own."""
    loop = asyncio.new_event_loop()
    ready, stop = threading.Event(), asyncio.Event()
    found = Issuer()

    async def serve() -> None:
        async with found.served():
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    try:
        wait_until(ready.is_set, seconds=_SECONDS, what="the issuer")
        yield found
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(_SECONDS)
        loop.close()
