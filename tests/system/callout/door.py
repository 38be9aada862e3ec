"""A server, real or ours, whose callout is answered by directories of ours: from request to token."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import nats
from msgspec.structs import replace
from nats.aio.client import Client
from nats.aio.msg import Msg

from callout.answer import Voice, admitting, refusing
from callout.directories.opening import Directories, read_directories
from callout.refusals import DirectoryDownError, LoginRefusedError, Reason
from callout.request import AuthorizationRequest, Rules, SeenUsers, prove
from issuer.claims.user import new_user
from issuer.grants import Identity
from issuer.keys.nkeys import Seed
from issuer.tokens.signer import SeedSigner
from tests.broker.mqtt.wire import mqtt_connect
from tests.processes import HOST, free_port
from tests.system.broker.callout.scene import SUBJECT, Scene, Server, Which

PATIENCE: Final = 3


@dataclass
class Login:
    """One login as the service saw it."""

    request: AuthorizationRequest
    directory: str = ""
    identity: Identity | None = None
    reason: Reason | None = None


@dataclass
class Door:
    """The server's address, and what came to the service behind it."""

    scene: Scene
    port: int
    mqtt: int
    directories: Directories
    service: Client | None = None
    logins: list[Login] = field(default_factory=list)

    async def answer(self, message: Msg) -> None:
        now = int(time.time())
        rules = Rules(account=self.scene.key("C"))
        request = prove(message.data, "", rules, SeenUsers(), now=now)
        login = Login(request)
        voice = Voice(account=self.scene.key("C"), signer=SeedSigner(self.scene.house("C").seed))
        try:
            directory = self.directories.choose(request.credentials)
            login.directory = directory.name
            deadline = asyncio.get_running_loop().time() + PATIENCE
            login.identity = await directory.identify(request.credentials, now=time.time(), deadline=deadline)
            user = new_user(request.user, login.identity.name)
            token = self.scene.user_token(user, by=self.scene.house("A").seed)
            answer = admitting(request, token, voice, now=now)
        except (LoginRefusedError, DirectoryDownError) as refused:
            login.reason = refused.reason
            answer = refusing(request, refused.reason, voice, now=now)
        self.logins.append(login)
        await message.respond(answer)

    async def come(self, **options: Any) -> Login:
        """A client of the official library comes; whether it got in must be what the service said."""
        before, admitted = len(self.logins), True
        client = Client()
        try:
            await client.connect(
                f"nats://{HOST}:{self.port}",
                allow_reconnect=False,
                error_cb=quietly,
                connect_timeout=PATIENCE,
                **options,
            )
            await client.flush()
        except nats.errors.Error as refused:
            assert "authorization" in str(refused).lower(), refused
            admitted = False
        finally:
            await client.close()
            await let_go(client)
        return self._last(before, admitted=admitted)

    async def come_by_mqtt(self, **packet: Any) -> Login:
        before = len(self.logins)
        reader, writer = await asyncio.open_connection(HOST, self.mqtt)
        writer.write(mqtt_connect("meter-client", **packet))
        connack = await asyncio.wait_for(reader.readexactly(4), PATIENCE + 2)
        writer.close()
        await writer.wait_closed()
        assert connack[:2] == b"\x20\x02"
        return self._last(before, admitted=connack[3] == 0)

    def _last(self, before: int, *, admitted: bool) -> Login:
        assert len(self.logins) == before + 1, "the service was not asked"
        login = self.logins[-1]
        assert admitted is (login.identity is not None), login
        return login


async def let_go(client: Client) -> None:
    """The library forgets the socket of a connection that was refused."""
    transport = getattr(client, "_transport", None)
    writer = getattr(transport, "_io_writer", None)
    if writer is not None:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def quietly(_: Exception) -> None:
    """What the library would print."""


@dataclass(frozen=True)
class Place:
    """A running server with its way in by MQTT."""

    scene: Scene
    server: Server
    mqtt: int


def place(which: Which, folder: Path, *, tls: str = "") -> Place:
    """A server to be entered; its door token is the default one, so that clients show only their own."""
    scene = Scene(timeout=PATIENCE)
    for letter in "AC":
        limits = scene.claims[letter].nats.limits
        # The real server keeps MQTT sessions in JetStream.
        scene.change(letter, limits=replace(limits, mem_storage=-1, disk_storage=-1, streams=-1, consumer=-1))
    mqtt = free_port()
    extra = f"""
server_name: door
default_sentinel: {scene.sentinel_token}
jetstream {{ store_dir: "{folder}/js", max_mem: 50M, max_file: 50M }}
mqtt {{ listen: "{HOST}:{mqtt}" }}
{tls}
"""
    return Place(scene, Server(which, scene.config(extra=extra)), mqtt)


@asynccontextmanager
async def door(at: Place, documents: Sequence[dict[str, Any]], **service: Any) -> AsyncIterator[Door]:
    """The service with these directories, at the server; `service` are options of its own connection."""
    scene = at.scene
    directories = Directories(read_directories(documents))
    found = Door(scene, at.server.port, at.mqtt, directories)
    await directories.start()
    try:
        assert all(each.ready for each in directories.state()), directories.state()
        connection = await nats.connect(
            f"nats://{HOST}:{at.server.port}",
            user_jwt_cb=lambda: _token(scene, scene.service),
            signature_cb=lambda nonce: base64.b64encode(scene.service.sign(nonce.encode())),
            **service,
        )
        try:
            subscription = await connection.subscribe(SUBJECT, queue="callout", cb=found.answer)
            await connection.flush()
            yield found
            # Or the server may still ask this one while the next test's is there already.
            await subscription.unsubscribe()
            await connection.flush()
        finally:
            await connection.close()
    finally:
        await directories.close()


def _token(scene: Scene, seed: Seed) -> bytes:
    return scene.user_token(new_user(seed.public, "service"), by=scene.house("C").seed).encode()
