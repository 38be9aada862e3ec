"""A client over a bare socket, for what a library would hide: whether, when and with which words it ends."""

from __future__ import annotations

import base64
import json
import socket
import threading
from dataclasses import dataclass
from typing import Any, Final

from issuer.keys.nkeys import Seed
from tests.processes import HOST

PATIENCE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Message:
    subject: str
    reply: str
    headers: bytes
    payload: bytes


class Wire:
    """One raw connection."""

    def __init__(self, port: int, **options: Any) -> None:
        self._socket = socket.create_connection((HOST, port), timeout=PATIENCE)
        self._buffer = b""
        self._writing = threading.Lock()
        self.info: dict[str, Any] = json.loads(self._line().removeprefix(b"INFO "))
        signer: Seed | None = options.pop("seed", None)
        if signer is not None:
            signature = signer.sign(self.info["nonce"].encode())
            options["sig"] = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
        self._options = {"verbose": False, "protocol": 1, "headers": True, "lang": "test", **options}

    def connect(self) -> None:
        self.send(f"CONNECT {json.dumps(self._options)}\r\nPING\r\n".encode())

    def send(self, data: bytes) -> None:
        with self._writing:
            self._socket.sendall(data)

    def publish(self, subject: str, payload: bytes) -> None:
        self.send(b"PUB %s %d\r\n%s\r\n" % (subject.encode(), len(payload), payload))

    def close(self) -> None:
        self._socket.close()

    def patience(self, seconds: float | None) -> None:
        self._socket.settimeout(seconds)

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._receive()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _receive(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise EOFError
        self._buffer += data

    def read(self) -> bytes | Message:
        """A line that is no message, or a message."""
        line = self._line()
        words = line.split(b" ")
        if words[0] not in {b"MSG", b"HMSG"}:
            return line
        size = int(words[-1])
        header = int(words[-2]) if words[0] == b"HMSG" else 0
        reply = words[3] if len(words) == (6 if header else 5) else b""
        while len(self._buffer) < size + 2:
            self._receive()
        body, self._buffer = self._buffer[:size], self._buffer[size + 2 :]
        return Message(words[1].decode(), reply.decode(), body[:header], body[header:])

    def until_pong(self) -> list[str]:
        """The lines up to PONG or the end, a name for what follows INFO; messages among them."""
        found: list[str] = []
        try:
            while True:
                got = self.read()
                if isinstance(got, Message):
                    found.append(f"{got.subject} {got.payload.decode()}")
                    continue
                if got == b"PING":
                    self.send(b"PONG\r\n")
                    continue
                if got == b"PONG":
                    found.append("PONG")
                    return found
                found.append(got.decode())
        except (EOFError, ConnectionError):
            return [*found, "closed"]

    def account(self) -> str:
        """The account it is in, from the INFO that follows the first PONG."""
        return str(json.loads(self._line().removeprefix(b"INFO "))["remote_account"])

    def ask(self, *lines: str) -> list[str]:
        """Send lines, and what came before the answer to a PING after them."""
        self.send("".join(line + "\r\n" for line in (*lines, "PING")).encode())
        return [line for line in self.until_pong() if line != "PONG" and not line.startswith("INFO")]
