"""What a login by the callout costs, beside a responder that does the least a server takes for an answer.

Each responder is a process of its own beside one real nats-server; logins come from sockets here, so many
at once and no more. Counted is the processor time of the responder's process, so that what else the machine
does counts little.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from issuer.authority.finding import the_operator
from issuer.authority.opening import open_authority
from issuer.authority.signing import head
from issuer.claims.account import AccountClaims
from issuer.keys.creds import parse_creds
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.settings import load
from issuer.store import hierarchy
from issuer.store.unit import Database
from tests.bench.measure import Row, at_least, at_most
from tests.callout.directories.oidc_world import AUDIENCE, RSA, Issuer, sign
from tests.processes import HOST, wait_until
from tests.system.callout.front import Front, front

LOGINS = int(os.environ.get("BENCH_LOGINS", "3000"))
AT_ONCE = 50
WARM = 300
ROUNDS = 3
ALONE = 200
SECONDS = 60
TICKS = os.sysconf("SC_CLK_TCK")
Show = Callable[[dict[str, Any]], dict[str, Any]]
"""What a client shows, by the server's INFO."""


@dataclass(frozen=True)
class Responder:
    """A process that answers."""

    pid: int

    def cpu(self) -> float:
        """Seconds of processor time so far, all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


# --- load --------------------------------------------------------------------------------------------


async def login(port: int, show: Show) -> float:
    """Seconds from the socket to the PONG of one login."""
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        info = json.loads((await reader.readline())[5:])
        options = {"verbose": False, "pedantic": False, "protocol": 1, **show(info)}
        writer.write(b"CONNECT " + json.dumps(options).encode() + b"\r\nPING\r\n")
        said = await reader.readline()
        if not said.startswith(b"PONG"):
            raise RuntimeError(f"not let in: {said!r}")
        return time.perf_counter() - began
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def logins(port: int, show: Show, count: int, at_once: int) -> list[float]:
    """How long each of so many took, so many at once."""
    took: list[float] = []
    left = iter(range(count))

    async def one_after_another() -> None:
        took.extend([await login(port, show) for _ in left])

    await asyncio.gather(*(one_after_another() for _ in range(at_once)))
    return took


def rate(port: int, show: Show, responder: Responder) -> float:
    """Logins by second of the responder's processor time."""
    asyncio.run(logins(port, show, WARM, AT_ONCE))
    before = responder.cpu()
    asyncio.run(logins(port, show, LOGINS, AT_ONCE))
    return LOGINS / (responder.cpu() - before)


def median_alone(port: int, show: Show) -> float:
    """Milliseconds of a login when nobody else comes."""
    return statistics.median(asyncio.run(logins(port, show, ALONE, 1))) * 1000


# --- the world ---------------------------------------------------------------------------------------


class World:
    """A server whose account CALLOUT asks, and what its clients show."""

    def __init__(self, desk: Front) -> None:
        self.desk = desk
        self.port = int(desk.url.rpartition(":")[2])
        desk.run("callout", "enable", "--into", "APP", "--no-test")
        desk.run("push", "-A")
        self.sentinel, _ = parse_creds(Path(desk.creds("sentinel")).read_text())
        self.device = Seed.generate(Role.USER)
        made = desk.document("generate", "api-key", "-d", "services", "-s", "scada")
        self.key: str = made["key"]
        self.entry = made["entry"]
        self.plain, self.plain_seed = parse_creds(Path(desk.creds("m1", "APP")).read_text())

    def token(self, token: str) -> Show:
        return lambda _: {"jwt": self.sentinel, "auth_token": token}

    def nkey(self, info: dict[str, Any]) -> dict[str, Any]:
        signature = self.device.sign(info["nonce"].encode())
        return {"jwt": self.sentinel, "nkey": self.device.public, "sig": _b64(signature)}

    def jwt(self, info: dict[str, Any]) -> dict[str, Any]:
        return {"jwt": self.plain, "sig": _b64(self.plain_seed.sign(info["nonce"].encode()))}


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


POLICY = {
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
    ],
}


@contextlib.contextmanager
def ours(world: World, issuer: str) -> Iterator[Responder]:
    """`accredit callout serve` with three directories."""
    directories: list[dict[str, Any]] = [
        {"name": "services", "kind": "keys", "entries": [world.entry]},
        {"name": "meters", "kind": "nkeys", "entries": [{"public": world.device.public}]},
        {
            "name": "okta",
            "kind": "oidc",
            "issuer": issuer,
            "audiences": [AUDIENCE],
            "fetch": {"insecure_loopback": True},
        },
    ]
    with world.desk.serving({"directories": directories}) as said:
        yield Responder(said["process"])


@contextlib.contextmanager
def minimal(world: World, data_dir: Path) -> Iterator[Responder]:
    """The baseline."""
    settings = load({"data_dir": str(data_dir)}, {})
    database = Database.open(settings.database)
    try:
        authority = open_authority(settings, os.environ, clock=lambda: int(time.time()), database=database)
        with database.reading() as unit:
            operator = the_operator(unit, None)
            door = hierarchy.find_account(unit, operator.id, "CALLOUT")
            place = hierarchy.find_account(unit, operator.id, "APP")
            assert door is not None
            assert place is not None
            claims: AccountClaims = head(unit, "account", door.id).claims
            keyring = authority.keyring
            told = {
                "url": world.desk.url,
                "creds": world.desk.creds("callout"),
                "account": door.public,
                "account_seed": keyring.seed(unit, door.public).reveal(),
                "curve_seed": keyring.seed(unit, PublicKey(claims.nats.authorization.xkey)).reveal(),
                "place": place.public,
                "place_seed": keyring.seed(unit, place.public).reveal(),
            }
    finally:
        database.close()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.callout_minimal"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(told) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
        yield Responder(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SECONDS)


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="accredit-bench-") as folder, front("real", Path(folder)) as desk:
        yield from _rows(desk)


def _rows(desk: Front) -> Iterator[Row]:
    desk.run("add", "user", "m1", "-a", "APP")
    world = World(desk)
    desk.run("callout", "policy", "set", desk.write("policy.yaml", POLICY))
    with _issuer() as (issuer, token):
        shown: dict[str, Show] = {
            "OIDC": world.token(token),
            "API key": world.token(world.key),
            "device nkey": world.nkey,
        }
        bare: dict[str, list[float]] = {name: [] for name in shown}
        mine: dict[str, list[float]] = {name: [] for name in shown}
        added: dict[str, float] = {}
        for _ in range(ROUNDS):
            with minimal(world, desk.folder) as responder:
                for name, show in shown.items():
                    bare[name].append(rate(world.port, show, responder))
            with ours(world, issuer) as responder:
                for name, show in shown.items():
                    mine[name].append(rate(world.port, show, responder))
                if not added:
                    plain = median_alone(world.port, world.jwt)
                    added = {name: median_alone(world.port, show) - plain for name, show in shown.items()}
        for name, target in (("OIDC", 0.5), ("API key", 0.7), ("device nkey", 0.7)):
            ratio = statistics.median(own / base for own, base in zip(mine[name], bare[name], strict=True))
            note = f"{statistics.median(mine[name]):.0f} beside {statistics.median(bare[name]):.0f} by CPU-second"
            yield at_least(f"callout: logins by {name} / minimal responder", ratio, target, note)
        yield at_most(
            "callout: ms added to a plain login, OIDC", added["OIDC"], 2.0, f"API key {added['API key']:.2f}"
        )


@contextlib.contextmanager
def _issuer() -> Iterator[tuple[str, str]]:
    """An issuer on loopback, and a token of it."""
    loop = asyncio.new_event_loop()
    ready, stop = threading.Event(), asyncio.Event()
    found: list[Issuer] = []

    async def serve() -> None:
        async with Issuer().served() as issuer:
            found.append(issuer)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    wait_until(ready.is_set, seconds=SECONDS, what="the issuer")
    issuer = found[0]
    now = int(time.time())
    claims = issuer.claims(groups=["staff"], iat=now - 5, exp=now + 3600)
    try:
        yield issuer.url, sign(claims, RSA)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(SECONDS)
        loop.close()
