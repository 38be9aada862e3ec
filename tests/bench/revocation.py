"""From `revoke` to the `-ERR` at the client, beside a bare push of a token signed beforehand.

One real server, 2,000 connections of one account. Each round revokes one of them through the
service (load, sign, store, audit, queue, deliver) and cuts another by publishing a finished token
on the same kind of connection, in turn.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import nats

from issuer.authority.accounts import AddAccount, add_account
from issuer.authority.desk import Actor
from issuer.authority.issuing import Issued, IssueUsers, issue_many
from issuer.authority.opening import create_store, open_authority
from issuer.authority.operators import AddOperator, add_operator
from issuer.authority.revocations import RevokeUser, revoke_user
from issuer.authority.signing import head
from issuer.claims.account import AccountClaims, with_revocation
from issuer.interop.server_config import Options, ServerConfig, render
from issuer.keys.creds import parse_creds
from issuer.settings import load
from issuer.store import hierarchy
from issuer.store.unit import Unit
from issuer.tokens.envelope import Token, encode
from issuer.tokens.signer import SeedSigner, Signer
from tests.bench.measure import Row, at_most
from tests.servers import NatsServer
from web.serving import delivering
from web.wiring import Wiring

CONNECTIONS = int(os.environ.get("BENCH_CONNECTIONS", "2000"))
ROUNDS = 60
WARM = 3
PAUSE = 0.5
TARGET = 1.3
ACTOR = Actor("bench", "bench")
UPDATE = "$SYS.REQ.CLAIMS.UPDATE"


class Client:
    """An idle connection that notes when it is told to go."""

    def __init__(self, public: str, token: str, signer: Signer) -> None:
        self.public = public
        self._token = token
        self._signer = signer
        self.cut: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._reading: asyncio.Task[None] | None = None

    async def connect(self, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        info = json.loads((await reader.readline())[5:])
        signature = base64.urlsafe_b64encode(self._signer.sign(info["nonce"].encode())).rstrip(b"=").decode()
        options = {"verbose": False, "pedantic": False, "jwt": self._token, "sig": signature, "protocol": 1}
        writer.write(b"CONNECT " + json.dumps(options).encode() + b"\r\nPING\r\n")
        line = await reader.readline()
        if line != b"PONG\r\n":
            raise RuntimeError(f"not let in: {line!r}")
        self._reading = asyncio.create_task(self._read(reader, writer))

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")
            elif line.startswith(b"-ERR") and not self.cut.done():
                self.cut.set_result(time.perf_counter())
        writer.close()


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        own, bare = asyncio.run(_measure(Path(folder)))
    # The server visits an account's clients in an order of chance and checks each one's token, so a
    # victim is cut anywhere within that walk: the mean is what can be compared.
    ratio = statistics.mean(own) / statistics.mean(bare)
    words = (
        f"{statistics.mean(own) * 1e3:.1f} ms beside {statistics.mean(bare) * 1e3:.1f} ms, means of {ROUNDS}"
    )
    yield at_most(f"revoke to -ERR, {CONNECTIONS} connections / bare push", ratio, TARGET, words)


async def _measure(folder: Path) -> tuple[list[float], list[float]]:
    environment = {"ACCREDIT_MASTER_KEY": base64.b64encode(bytes(32)).decode()}
    os.environ.update(environment)
    settings = load({"data_dir": str(folder)}, environment)
    database = create_store(settings, environment, actor=ACTOR, now=int(time.time()))
    authority = open_authority(settings, environment, clock=lambda: int(time.time()), database=database)
    authority.perform(add_operator, AddOperator("BENCH"), ACTOR)
    authority.perform(add_account, AddAccount("METERS"), ACTOR)
    act = IssueUsers("METERS", (), with_creds=True)
    issued = list(issue_many(authority, act, (f"meter-{index}" for index in range(CONNECTIONS)), ACTOR))
    operator = authority.ask(lambda unit, _: next(iter(hierarchy.operators(unit))), None)
    with NatsServer(authority.ask(_config, folder)) as server:
        wiring = Wiring(settings, authority, operator)
        stop = asyncio.Event()
        running = asyncio.create_task(delivering(wiring, [server.url])(stop))
        clients = await _connected(issued, server.port)
        try:
            return await _rounds(wiring, clients, server.url)
        finally:
            stop.set()
            await running
            database.close()


def _config(unit: Unit, folder: Path) -> str:
    operator = next(iter(hierarchy.operators(unit)))
    rows = list(hierarchy.accounts(unit, operator.id))
    system = next(row for row in rows if row.name == "SYS")
    return render(
        ServerConfig(
            resolver="full",
            operator_name=operator.name,
            operator_token=hierarchy.head_token(unit, "operator", operator.id).token,
            system_account=system.public,
            accounts={
                row.public: (row.name, hierarchy.head_token(unit, "account", row.id).token) for row in rows
            },
        ),
        Options(resolver_dir=str(folder / "jwt")),
    )


async def _connected(issued: list[Issued], port: int) -> list[Client]:
    clients = []
    for user in issued:
        token, seed = parse_creds(user.creds)
        clients.append(Client(user.public, token, SeedSigner(seed)))
    for start in range(0, len(clients), 100):
        await asyncio.gather(*(client.connect(port) for client in clients[start : start + 100]))
    return clients


async def _rounds(wiring: Wiring, clients: list[Client], url: str) -> tuple[list[float], list[float]]:
    """Seconds from the deed to the `-ERR`, through the service and bare."""
    connection = await nats.connect(
        url,
        user_jwt_cb=(credentials := wiring.credentials())[0].encode,
        signature_cb=lambda nonce: base64.b64encode(credentials[1].sign(nonce.encode())),
    )
    own: list[float] = []
    bare: list[float] = []
    victims = iter(clients)
    for _ in range(ROUNDS + WARM):
        victim = next(victims)
        start = time.perf_counter()
        await asyncio.to_thread(
            wiring.authority.perform, revoke_user, RevokeUser(victim.public, "METERS"), ACTOR
        )
        own.append(await asyncio.wait_for(victim.cut, 10) - start)
        await asyncio.sleep(PAUSE)
        victim = next(victims)
        token = wiring.authority.ask(partial(_revoking, wiring, victim.public), None)
        start = time.perf_counter()
        await connection.publish(UPDATE, token.encode())
        bare.append(await asyncio.wait_for(victim.cut, 10) - start)
        await asyncio.sleep(PAUSE)
    await connection.close()
    return own[WARM:], bare[WARM:]


def _revoking(wiring: Wiring, user: str, unit: Unit, _: None) -> Token:
    """The account's token as the service would sign it to revoke this user, made beforehand."""
    account = hierarchy.find_account(unit, wiring.operator.id, "METERS")
    assert account is not None
    claims: AccountClaims = head(unit, "account", account.id).claims
    now = int(time.time())
    revocations = with_revocation(claims.nats.revocations, user, now)
    body = msgspec.structs.replace(claims.nats, revocations=revocations)
    signer = wiring.authority.keyring.signer(unit, wiring.operator.public)
    return encode(msgspec.structs.replace(claims, nats=body), signer, now=now).token
