"""A server with the websocket and MQTT ways in, real or ours, and bare sockets to speak over them.

Scripts of raw bytes go to both; what comes back is shown as it came, so that a difference of one
byte is one.
"""

from __future__ import annotations

import base64
import json
import signal
import socket
import struct
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

from msgspec.structs import replace

from broker.configuration.options import Options as BrokerOptions
from broker.in_thread import ThreadedBroker
from issuer.claims.account import AccountClaims, new_account
from issuer.claims.operator import new_operator
from issuer.claims.user import UserClaims, new_user
from issuer.interop.server_config import Options, ServerConfig, render
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.tokens.envelope import encode
from issuer.tokens.signer import SeedSigner
from tests.broker.mqtt.wire import PING, ends, mqtt_connect, mqtt_subscribe, ponged
from tests.processes import HOST, START_SECONDS, Folder, Process, free_port, wait_until
from tests.servers import nats_server_binary

Which = Literal["real", "ours"]
BOTH: Final[tuple[Which, ...]] = ("real", "ours")
SECONDS: Final = 5.0
QUIET: Final = 0.25
"""Seconds without a byte after which nothing more is expected."""
COOKIE: Final = "access"


@dataclass(frozen=True, slots=True)
class Heard:
    """What came back: the bytes, and whether the server then closed."""

    data: bytes
    closed: bool


class Line:
    """A bare socket. `hang_up` closes all there are."""

    all: ClassVar[list[Line]] = []

    def __init__(self, port: int) -> None:
        self.all.append(self)
        self._socket = socket.create_connection((HOST, port), timeout=SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def cut(self) -> None:
        """End as a broken network does."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def send(self, *parts: bytes) -> None:
        self._socket.sendall(b"".join(parts))

    def more(self, seconds: float = SECONDS) -> bool:
        """Wait for bytes; False when none came in time or the server closed."""
        if self.closed:
            return False
        self._socket.settimeout(seconds)
        try:
            data = self._socket.recv(1 << 16)
        except TimeoutError:
            return False
        except ConnectionError:
            data = b""
        self.closed = not data
        self.buffer += data
        return bool(data)

    def hear(self, *, quiet: float = QUIET, first: float = SECONDS) -> Heard:
        """Everything up to a silence, or to the end."""
        if not self.buffer:
            self.more(first)
        while self.more(quiet):
            pass
        data, self.buffer = self.buffer, b""
        return Heard(data, self.closed)

    def until(self, enough: Callable[[bytes], int | None]) -> bytes:
        """The bytes up to where `enough` says."""
        while (end := enough(self.buffer)) is None:
            if not self.more():
                raise AssertionError(f"no more came than {self.buffer!r} (closed: {self.closed})")
        data, self.buffer = self.buffer[:end], self.buffer[end:]
        return data


def hang_up() -> None:
    """Close every line."""
    for line in Line.all:
        line.close()
    Line.all.clear()


def all_at_once(lines: Mapping[str, tuple[Line, bytes]], *, seconds: float = 1.0) -> dict[str, Heard]:
    """Send each line its bytes, give the server time, and hear what each got."""
    for line, data in lines.values():
        line.send(data)
    time.sleep(seconds)
    heard = {name: line.hear(quiet=0.02, first=0.02) for name, (line, _) in lines.items()}
    for line, _ in lines.values():
        line.close()
    return heard


@dataclass(frozen=True, slots=True)
class House:
    """One account and what it claims."""

    name: str
    seed: Seed = field(default_factory=lambda: Seed.generate(Role.ACCOUNT))

    @property
    def public(self) -> PublicKey:
        return self.seed.public


class Place:
    """One server. `token` makes users of its accounts; `mqtt` and `websocket` are ports."""

    def __init__(
        self,
        which: Which,
        *,
        websocket: str = "",
        mqtt: str = "",
        extra: str = "",
        accounts: Iterable[AccountClaims] = (),
        houses: dict[str, House] | None = None,
    ) -> None:
        self.which = which
        self._operator = Seed.generate(Role.OPERATOR)
        self.houses = houses or {"A": House("A"), "B": House("B")}
        self._system = House("SYS")
        self._folder = Folder(None, f"accredit-{which}-")
        self.port, self.websocket, self.mqtt, self.monitor = (free_port() for _ in range(4))
        claims = {each.sub: each for each in accounts}
        for house in self.houses.values():
            claims.setdefault(house.public, new_account(house.public, house.name))
        self.claims = {sub: _with_streams(each) for sub, each in claims.items()}
        text = (
            self._trust()
            + f"""
port: {self.port}
http: "{HOST}:{self.monitor}"
host: {HOST}
server_name: place
jetstream {{ store_dir: "{self._folder.path}/js", max_mem: 100M, max_file: 100M }}
websocket {{ listen: "{HOST}:{self.websocket}", no_tls: true, {websocket} }}
mqtt {{ listen: "{HOST}:{self.mqtt}", {mqtt} }}
{extra}
"""
        )
        (self._folder.path / "server.conf").write_text(text, encoding="utf-8")
        self._process = Process(which, Path(self._folder.path) / "server.log")
        self._broker: ThreadedBroker | None = None

    def _trust(self) -> str:
        now = int(time.time())
        operator = encode(new_operator(self._operator.public, "O"), SeedSigner(self._operator), now=now)
        accounts: dict[str, tuple[str, str]] = {
            sub: (each.name, self._signed(each)) for sub, each in self.claims.items()
        }
        system = new_account(self._system.public, "SYS")
        accounts[self._system.public] = ("SYS", self._signed(system))
        config = ServerConfig("memory", "O", operator.token, self._system.public, accounts)
        return render(config, Options())

    def _signed(self, claims: AccountClaims) -> str:
        return encode(claims, SeedSigner(self._operator), now=int(time.time())).token

    def __enter__(self) -> Self:
        try:
            if self.which == "real":
                command: list[str | Path] = [nats_server_binary(), "-DV", "-c", "server.conf"]
                self._process.start(command, cwd=self._folder.path, account=None)
            else:
                self._broker = in_this_process(Path(self._folder.path) / "server.conf")
            wait_until(self._ready, seconds=START_SECONDS, what=f"{self.which} to greet")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._broker is not None:
            self._broker.stop()
        self._process.end(signal.SIGTERM)
        self._folder.remove()

    def _ready(self) -> bool:
        if self.which == "real" and not self._process.alive():
            raise self._process.fault("stopped while starting")
        try:
            for port in (self.port, self.websocket, self.mqtt):
                socket.create_connection((HOST, port), timeout=5).close()
        except OSError:
            return False
        return True

    def log_text(self) -> str:
        return self._process.log_text()

    # --- who comes --------------------------------------------------------------------------------

    def user(
        self, letter: str = "A", *, bearer: bool = True, expires: int = 0, **nats: Any
    ) -> tuple[Seed, str]:
        """A seed and its token."""
        seed = Seed.generate(Role.USER)
        base = new_user(seed.public, "u")
        claims: UserClaims = replace(base, exp=expires, nats=replace(base.nats, bearer_token=bearer, **nats))
        token = encode(claims, SeedSigner(self.houses[letter].seed), now=int(time.time())).token
        return seed, token

    def token(self, letter: str = "A", **nats: Any) -> str:
        return self.user(letter, **nats)[1]

    def push(self, claims: AccountClaims) -> None:
        """Put an account's claims in force on the running server."""
        token = self._signed(_with_streams(claims)).encode()
        with Nats(self.port, self._signed_user(self._system)) as system:
            system.say(b"SUB _IN 1\r\n")
            subject = f"$SYS.REQ.ACCOUNT.{claims.sub}.CLAIMS.UPDATE".encode()
            system.send(b"PUB %s _IN %d\r\n%s\r\n" % (subject, len(token), token))
            answer = system.until(
                lambda data: len(data) if b'"code":' in data and data[-2:] == b"\r\n" else None
            )
            assert b'"code":200' in answer, answer

    def _signed_user(self, house: House) -> str:
        seed = Seed.generate(Role.USER)
        base = new_user(seed.public, "u")
        claims = replace(base, nats=replace(base.nats, bearer_token=True))
        return encode(claims, SeedSigner(house.seed), now=int(time.time())).token

    def connections(self, query: str = "") -> list[dict[str, Any]]:
        """What monitoring tells of MQTT and websocket connections, open and closed."""
        url = f"http://{HOST}:{self.monitor}/connz?state=all&subs=1{query}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)["connections"] or []
        return [each for each in found if each.get("type") in {"mqtt", "websocket"}]

    def nats(self, letter: str = "A", **nats: Any) -> Nats:
        return Nats(self.port, self.token(letter, **nats))


def in_this_process(path: Path) -> ThreadedBroker:
    """The broker in this process, as the file says."""
    options = BrokerOptions.read(str(path), environment={}, read=lambda name: Path(name).read_text("utf-8"))
    broker = ThreadedBroker(options)
    broker.start()
    return broker


class Nats(Line):
    """A plain client, for what the others publish and hear."""

    def __init__(self, port: int, token: str) -> None:
        super().__init__(port)
        self.until(_line)
        self.send(connect(token), b"PING\r\n")
        self.until(
            lambda data: data.find(b"}") + 3 if b"PONG\r\nINFO" in data and b"} \r\n" in data else None
        )
        self.buffer = b""

    def say(self, *lines: bytes) -> bytes:
        """Send, and hear up to the answer to a PING after it."""
        self.send(*lines, b"PING\r\n")
        return self.until(lambda data: data.find(b"PONG\r\n") + 6 if b"PONG\r\n" in data else None)[:-6]

    def publish(self, subject: str, payload: bytes = b"") -> None:
        self.say(b"PUB %s %d\r\n%s\r\n" % (subject.encode(), len(payload), payload))


def connect(token: str = "", **options: str) -> bytes:
    """A CONNECT line of a quiet client."""
    said = {"verbose": False, "pedantic": False, "protocol": 1, "headers": True, "no_responders": True}
    return (
        b"CONNECT " + json.dumps({**said, **({"jwt": token} if token else {}), **options}).encode() + b"\r\n"
    )


def _line(data: bytes) -> int | None:
    end = data.find(b"\r\n")
    return None if end < 0 else end + 2


def _with_streams(claims: AccountClaims) -> AccountClaims:
    """MQTT of the real server needs JetStream in the account."""
    limits = replace(claims.nats.limits, mem_storage=-1, disk_storage=-1, streams=-1, consumer=-1)
    return replace(claims, nats=replace(claims.nats, limits=limits))


# --- MQTT ------------------------------------------------------------------------------------------


class MqttLine(Line):
    """An MQTT client that is in."""

    def __init__(
        self, place: Place, client_id: str = "c", *, token: str = "", letter: str = "A", **how: Any
    ) -> None:
        super().__init__(place.mqtt)
        self.send(mqtt_connect(client_id, password=token or place.token(letter), **how))
        self.connack = self.until(lambda data: 4 if len(data) >= 4 else None)

    def say(self, *packets: bytes) -> bytes:
        """Send, and hear up to the answer to a PING after it."""
        self.send(*packets, PING)
        return self.until(ponged)[:-2]

    def next(self) -> bytes:
        """One packet."""
        return self.until(ends)

    def subscribe(self, *filters: tuple[str, int]) -> bytes:
        return self.say(mqtt_subscribe(1, *filters))


# --- websocket -------------------------------------------------------------------------------------

KEY: Final = base64.b64encode(b"0123456789abcdef").decode()


def request(
    path: str = "/",
    *,
    without: Iterable[str] = (),
    method: str = "GET",
    version: str = "HTTP/1.1",
    **headers: Any,
) -> bytes:
    """A request to upgrade; underscores in names of headers stand for dashes."""
    known: dict[str, str | None] = {
        "Host": "place:80",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }
    known.update({name.replace("_", "-"): value for name, value in headers.items()})
    lines = [
        f"{method} {path} {version}",
        *(f"{n}: {v}" for n, v in known.items() if v is not None and n not in set(without)),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def frame(
    payload: bytes,
    *,
    opcode: int = 2,
    final: bool = True,
    mask: bytes | None = b"\x01\x02\x03\x04",
    reserved: int = 0,
) -> bytes:
    head = bytes([(0x80 if final else 0) | reserved | opcode])
    bit = 0x80 if mask is not None else 0
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 1 << 16:
        head += bytes([bit | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", len(payload))
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[i & 3] for i, byte in enumerate(payload))


def answered(data: bytes) -> int | None:
    """Where an answer of HTTP without a body, or with one of a stated length, ends."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    for line in data[:end].split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            end += int(line.partition(b":")[2])
    return end + 4 if end + 4 <= len(data) else None


class Web(Line):
    """A websocket that is open; `frame` reads what comes."""

    def __init__(self, port: int, path: str = "/", **headers: Any) -> None:
        super().__init__(port)
        self.answer = self.open_with(path, **headers)

    def open_with(self, path: str = "/", **headers: Any) -> bytes:
        """Ask to open it; the answer."""
        self.send(request(path, **headers))
        return self.until(answered)

    def come_in(self, token: str) -> None:
        """Say CONNECT, and hear what is said to it."""
        self.frame()
        self.send(frame(connect(token) + b"PING\r\n"))
        self.until_said(b"} \r\n")

    def until_said(self, words: bytes) -> bytes:
        """What frames carry, up to these words."""
        said = b""
        while words not in said:
            said += self.frame()[1]
        return said

    def frame(self) -> tuple[int, bytes]:
        """The next frame: its first byte and its payload."""
        data = self.until(_framed)
        size = data[1] & 0x7F
        return data[0], data[2 if size < 126 else 4 if size == 126 else 10 :]


def _framed(data: bytes) -> int | None:
    if len(data) < 2:
        return None
    size = data[1] & 0x7F
    start = 2
    if size == 126:
        start, size = 4, int.from_bytes(data[2:4], "big") if len(data) >= 4 else 1 << 62
    elif size == 127:
        start, size = 10, int.from_bytes(data[2:10], "big") if len(data) >= 10 else 1 << 62
    return start + size if len(data) >= start + size else None
