"""What stands in a configuration that the broker has not, or will not do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from issuer.keys.nkeys import Role, Seed
from tests.broker.mqtt.wire import mqtt_connect
from tests.processes import HOST, free_port
from tests.servers import NatsServer, ServerError
from tests.system.broker.differences.both import Staged, server, token
from tests.system.broker.stage import Stage
from tests.system.broker.test_configuration_agrees import certify
from tests.system.broker.transport_scene import Line, connect, hang_up

pytestmark = pytest.mark.component("nats-server")

Start = Callable[..., NatsServer]

# The password is U*U.
HASHED = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"


HASHES = {
    "one user": (f'authorization {{ user: alice, password: "{HASHED}" }}', "pass"),
    "a user": (f'authorization {{ users: [ {{user: alice, password: "{HASHED}"}} ] }}', "pass"),
    "an account's": (f'accounts {{ A {{ users: [ {{user: alice, password: "{HASHED}"}} ] }} }}', "pass"),
    "a token": (f'authorization {{ token: "{HASHED}" }}', "auth_token"),
}


def let_in(server: NatsServer, **who: str) -> bool:
    with Line(server.port) as line:
        line.send(connect(**who), b"PING\r\n")
        said = line.until(lambda data: len(data) if b"PONG" in data or b"-ERR" in data else None)
    hang_up()
    return b"PONG" in said


@pytest.mark.parametrize("name", HASHES)
def test_nobody_gets_in_by_a_hash(start: Start, name: str) -> None:
    text, member = HASHES[name]
    real, ours = (start(which, text) for which in ("real", "ours"))
    ours.wait_log("bcrypt")
    for said, right in (("U*U", True), ("U*V", False), (HASHED, False)):
        who = {member: said} if member == "auth_token" else {"user": "alice", member: said}
        assert [let_in(each, **who) for each in (real, ours)] == [right, False], said


def checked(server: NatsServer) -> bool:
    try:
        server.check_config()
    except ServerError:
        return False
    return True


NARROWING = {
    "auth_callout": "authorization {{ users: [{{user: a}}], auth_callout {{issuer: {account}, auth_users: [a]}} }}",
    "pinned_certs": "tls {{ cert_file: cert.pem, key_file: key.pem, pinned_certs: [] }}",
    "ocsp_peer": "tls {{ cert_file: cert.pem, key_file: key.pem, ocsp_peer: true }}",
    "of websocket": "websocket {{ authorization {{user: a}} }}",
    "of mqtt": "mqtt {{ authorization {{user: a}} }}",
}
SLIPS = {
    "a port too high": "port: 65536",
    "an unknown suffix": "x: 1kbb\nport: 4222",
    "a lone stroke": "port: 4222 /",
    "tls without a certificate": "tls { verify: false }",
    "deep": f"resolver {{type: MEM, x: {'[' * 200}{']' * 200}}}",
}


def both_checked(binaries: dict[str, Path], folder: Path, text: str) -> list[bool]:
    certify(folder)
    return [checked(NatsServer(text, folder, binary=binary)) for binary in binaries.values()]


@pytest.mark.parametrize("name", NARROWING)
def test_what_narrows_is_refused(binaries: dict[str, Path], tmp_path: Path, name: str) -> None:
    text = NARROWING[name].format(account=Seed.generate(Role.ACCOUNT).public)
    assert both_checked(binaries, tmp_path, text) == [True, False]


@pytest.mark.parametrize("name", SLIPS)
def test_slips_are_refused(binaries: dict[str, Path], tmp_path: Path, name: str) -> None:
    assert both_checked(binaries, tmp_path, SLIPS[name]) == [True, False]


ABSENT = {
    "cluster": (f"cluster {{ name: c, listen: {HOST}:-1 }}", "cluster"),
    "gateway": (f"gateway {{ name: c, listen: {HOST}:-1 }}", "gateway"),
    "leafnodes": (f"leafnodes {{ listen: {HOST}:-1 }}", "leaf"),
    "jetstream": ("jetstream { store_dir: FOLDER }", "jetstream"),
}


@pytest.mark.parametrize("name", ABSENT)
def test_what_the_broker_has_not_is_a_warning(start: Start, tmp_path: Path, name: str) -> None:
    block, member = ABSENT[name]
    text = block.replace("FOLDER", json.dumps(str(tmp_path)))
    real, ours = (start(which, text) for which in ("real", "ours"))
    ours.wait_log(f'"{name}"')
    assert [bool(each.monitor("/varz").get(member)) for each in (real, ours)] == [True, False]


def session(stage: Stage, port: int, letter: str) -> bytes:
    """The answer to a client of MQTT whose session is to last; nothing if it was hung up on."""
    with Line(port) as line:
        line.send(mqtt_connect("lasts", password=token(stage, letter), clean=False))
        line.more()
        return line.buffer


NEW, KEPT = b"\x20\x02\x00\x00", b"\x20\x02\x01\x00"


def test_sessions_of_mqtt_are_in_memory(staged: Staged, tmp_path: Path) -> None:
    ports: list[int] = []

    def more() -> str:
        ports.append(free_port())
        store = json.dumps(str(tmp_path / f"js{len(ports)}"))
        return f"server_name: one\njetstream {{ store_dir: {store} }}\nmqtt {{ listen: {HOST}:{ports[-1]} }}"

    def prepare(stage: Stage) -> None:
        stage.account("A", mem_storage=-1, disk_storage=-1, streams=-1, consumer=-1)
        stage.account("B")

    both = staged(prepare, more)

    def come(letter: str) -> list[bytes]:
        return [session(stage, port, letter) for stage, port in zip(both, ports, strict=True)]

    try:
        assert come("A") == [NEW, NEW]
        assert come("B") == [b"", NEW]
        assert come("A") == [KEPT, KEPT]
        for stage in both:
            server(stage).restart()
        assert come("A") == [KEPT, NEW]
    finally:
        hang_up()
