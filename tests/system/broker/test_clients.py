"""Unmodified clients against the broker: what their users do all day."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import os
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import nats
import nats.errors
import pytest
from nats.aio.msg import Msg

from broker.configuration.model import ConfiguredUser, Mqtt, Tls, Websocket
from broker.configuration.options import ANY_PORT, Options
from broker.in_thread import ThreadedBroker
from issuer.claims.fields import Permission, Permissions
from issuer.subjects import Subject
from tests.peers import NodeProcess

# The Python client leaves sockets of refused and upgraded connections to the collector, which then warns.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    yield
    gc.collect()


LOCAL = replace(Options.defaults(), host="127.0.0.1", port=ANY_PORT)
Start = Callable[..., ThreadedBroker]


def test_publish_request_queue_headers_and_drain(nats_broker: ThreadedBroker) -> None:
    async def talk() -> None:
        one, two = await nats.connect(nats_broker.url), await nats.connect(nats_broker.url)
        seen: list[tuple[str, bytes, dict[str, str] | None]] = []
        done = asyncio.Event()

        async def note(message: Msg) -> None:
            seen.append((message.subject, message.data, message.headers))
            if len(seen) == 3:
                done.set()

        async def answer(message: Msg) -> None:
            await message.respond(message.data[::-1])

        await one.subscribe("meters.>", cb=note)
        for _ in range(3):
            await one.subscribe("turn", queue="workers", cb=answer)
        await one.flush()
        await two.publish("meters.a", b"1")
        await two.publish("meters.b", b"2", headers={"Unit": "V"})
        await two.publish("meters", b"nobody")
        await two.publish("meters.c.d", b"3")
        await asyncio.wait_for(done.wait(), 5)
        assert seen == [
            ("meters.a", b"1", None), ("meters.b", b"2", {"Unit": "V"}), ("meters.c.d", b"3", None),
        ]  # fmt: skip
        assert (await two.request("turn", b"abc", timeout=5)).data == b"cba"
        with pytest.raises(nats.errors.NoRespondersError):
            await two.request("nobody.here", b"", timeout=5)
        await one.drain()
        await two.close()

    asyncio.run(talk())


def test_permissions_and_passwords_of_the_configuration(start_broker: Start) -> None:
    reader = Permissions(pub=Permission(deny=(Subject(">"),)), sub=Permission(allow=(Subject("open.>"),)))
    options = replace(
        LOCAL,
        users=(
            ConfiguredUser(name="writer", password="w"),
            ConfiguredUser(name="reader", password="r", permissions=reader),
        ),
    )
    broker = start_broker(options)

    async def talk() -> None:
        with pytest.raises(nats.errors.Error):
            await nats.connect(broker.url, user="reader", password="wrong", allow_reconnect=False)
        faults: list[str] = []

        async def note(error: Exception) -> None:
            faults.append(str(error))

        client = await nats.connect(broker.url, user="reader", password="r", error_cb=note)
        await client.publish("open.a", b"")
        await client.subscribe("shut.a")
        await client.flush()
        await asyncio.sleep(0.05)
        assert len(faults) == 2
        assert all("permissions violation" in fault.lower() for fault in faults)
        await client.close()

    asyncio.run(talk())


@pytest.mark.component("node")
def test_a_javascript_client(nats_broker: ThreadedBroker) -> None:
    wish = {"url": nats_broker.url, "subscribe": ["a.*"], "publish": [["a.b", "hello"]]}
    with NodeProcess("client", wish) as client:
        client.wait_for("connected")
        assert client.wait_for("message")["text"] == "hello"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@pytest.mark.parametrize("first", [False, True], ids=["upgrade", "handshake first"])
def test_tls(start_broker: Start, certificate: tuple[Path, Path], first: bool) -> None:
    import ssl

    cert, key = certificate
    tls = Tls(cert_file=str(cert), key_file=str(key), handshake_first=first)
    broker = start_broker(replace(LOCAL, tls=tls))

    async def talk() -> None:
        context = ssl.create_default_context(cafile=str(cert))
        client = await nats.connect(
            broker.url, tls=context, tls_hostname="localhost", tls_handshake_first=first
        )
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def note(message: Msg) -> None:
            future.set_result(message.data)

        await client.subscribe("a", cb=note)
        await client.publish("a", b"x" * 100_000)
        assert len(await asyncio.wait_for(future, 5)) == 100_000
        await client.close()

    asyncio.run(talk())


def test_websocket(start_broker: Start) -> None:
    broker = start_broker(replace(LOCAL, websocket=Websocket(host="127.0.0.1", port=ANY_PORT, no_tls=True)))
    port = int(broker.call(lambda running: running.urls["websocket"]).rpartition(":")[2])
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as link:
        key = base64.b64encode(os.urandom(16)).decode()
        link.sendall(
            f"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = _until(link, b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert _frame(link)[1].startswith(b"INFO {")
        link.sendall(_masked(b'CONNECT {"verbose":false}\r\nSUB a 1\r\nPU'))
        link.sendall(_masked(b"B a 5\r\nhello\r\nPING\r\n"))
        assert _frame(link)[1] == b"MSG a 1 5\r\nhello\r\nPONG\r\n"
        link.sendall(_masked(b"are you there", 9))
        assert _frame(link) == (10, b"are you there")
        link.sendall(_masked(struct.pack(">H", 1000), 8))
        assert _frame(link) == (8, struct.pack(">H", 1000))


def test_mqtt_and_nats_hear_each_other(start_broker: Start) -> None:
    broker = start_broker(replace(LOCAL, server_name="m", mqtt=Mqtt(host="127.0.0.1", port=ANY_PORT)))
    port = int(broker.call(lambda running: running.urls["mqtt"]).rpartition(":")[2])

    async def talk(link: socket.socket) -> None:
        client = await nats.connect(broker.url)
        heard: asyncio.Future[tuple[str, bytes]] = asyncio.get_running_loop().create_future()

        async def note(message: Msg) -> None:
            heard.set_result((message.subject, message.data))

        await client.subscribe("meters.>", cb=note)
        await client.flush()
        # PUBLISH, QoS 1, packet 7, to meters/m1: its PUBACK, and the message on the NATS side.
        link.sendall(b"\x32\x10\x00\x09meters/m1\x00\x07230")
        assert _packet(link) == (0x40, b"\x00\x07")
        assert await asyncio.wait_for(heard, 5) == ("meters.m1", b"230")
        await client.publish("orders.m1", b"off")
        await client.flush()
        assert _packet(link) == (0x30, b"\x00\x09orders/m1off")
        await client.close()

    with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as link:
        link.sendall(b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02m1")
        assert _packet(link) == (0x20, b"\x00\x00")
        link.sendall(b"\x82\x0d\x00\x01\x00\x08orders/+\x00")
        assert _packet(link) == (0x90, b"\x00\x01\x00")
        asyncio.run(talk(link))


def _packet(link: socket.socket) -> tuple[int, bytes]:
    first, size = link.recv(1)[0], link.recv(1)[0]
    data = b""
    while len(data) < size:
        data += link.recv(size - len(data))
    return first, data


def _until(link: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        data += link.recv(1)
    return data


def _frame(link: socket.socket) -> tuple[int, bytes]:
    first, size = link.recv(1)[0], link.recv(1)[0]
    if size == 126:
        size = struct.unpack(">H", link.recv(2))[0]
    data = b""
    while len(data) < size:
        data += link.recv(size - len(data))
    return first & 0x0F, data


def _masked(payload: bytes, kind: int = 2) -> bytes:
    mask = os.urandom(4)
    body = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return bytes((0x80 | kind, 0x80 | len(payload))) + mask + body
