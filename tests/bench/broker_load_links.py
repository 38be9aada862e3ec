"""Connections of a load: plain blocking sockets, so that the load costs little beside the server.

Every byte that comes in is looked at: a message too few or too many, an `-ERR` or a close is an error.
"""

from __future__ import annotations

import select
import socket
import struct
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from tests.bench.broker_load_world import Login
from tests.processes import HOST

PATIENCE: Final = 20
# A timeout of Python's own would cost a call of `poll` each time; the kernel's costs nothing.
_PATIENCE: Final = struct.pack("ll", PATIENCE, 0)
_WINDOW: Final = 32
_CHUNK: Final = 1 << 18
MARK: Final = b"!"  # once in each payload, nowhere else on the wire


class LoadError(RuntimeError):
    """The server did not do what the load asked of it."""


class Link:
    """One connection; `greet`, `answer` and `enter` are its way in, a step each."""

    __slots__ = ("_login", "fileno", "recv", "recv_into", "send", "socket")

    def __init__(self, port: int, login: Login) -> None:
        self.socket = link = socket.socket()
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _PATIENCE)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _PATIENCE)
        self._login = login
        self.send, self.recv, self.recv_into = link.sendall, link.recv, link.recv_into
        link.connect((HOST, port))
        self.fileno = link.fileno()

    def answer(self) -> None:
        """Take the server's INFO and prove who we are."""
        info = b""
        while not info.endswith(b"\r\n"):
            info += self._some()
        start = info.index(b'"nonce":"') + 9
        self.send(self._login.answer(info[start : info.index(b'"', start)]))

    def enter(self) -> None:
        """Until the server has let us in: nothing but INFO, PING and one PONG may come."""
        seen = b""
        while b"PONG\r\n" not in seen:
            seen += self._some()
        if b"-ERR" in seen:
            raise LoadError(f"refused: {seen[:200]!r}")

    def flush(self, data: bytes = b"") -> None:
        """Send, and wait until the server has dealt with it. Not while messages may come in."""
        self.send(data + b"PING\r\n")
        self.enter()

    def close(self) -> None:
        self.socket.close()

    def _some(self) -> bytes:
        try:
            data = self.recv(_CHUNK)
        except BlockingIOError:
            raise LoadError(f"nothing came for {PATIENCE} s") from None
        if not data or data.startswith(b"-ERR"):
            raise LoadError(f"cut off: {data[:200]!r}")
        return data


def let_in(port: int, logins: Iterable[Login]) -> Iterable[Link]:
    """Connections of these users, each as it is in; some are always on their way."""
    opened: deque[Link] = deque()
    answered: deque[Link] = deque()
    for login in logins:
        opened.append(Link(port, login))
        if len(opened) >= _WINDOW:
            answered.append(opened.popleft())
            answered[-1].answer()
        if len(answered) >= _WINDOW:
            answered[0].enter()
            yield answered.popleft()
    for link in opened:
        link.answer()
    for link in (*answered, *opened):
        link.enter()
        yield link


class Receivers:
    """The connections that messages come in on, and how many have."""

    def __init__(self, links: Sequence[Link]) -> None:
        self._links = {link.fileno: link for link in links}
        self._poll = select.epoll(len(links))
        for link in links:
            self._poll.register(link.fileno, select.EPOLLIN)
        self._buffer = bytearray(_CHUNK)
        self._recorded: dict[int, bytearray] | None = None
        self.count = 0

    def record(self) -> None:
        """Keep what comes in, to be compared."""
        self._recorded = {number: bytearray() for number in self._links}

    def compare(self, expected: Sequence[bytes]) -> None:
        """Each connection has got exactly these bytes since `record`, which ends."""
        recorded, self._recorded = self._recorded or {}, None
        for seen, wanted in zip(recorded.values(), expected, strict=True):
            # The last line end may still be on its way: messages are counted by what stands before it.
            found = seen.replace(b"PING\r\n", b"").rstrip(b"\r\n")
            if found != wanted.rstrip(b"\r\n"):
                pairs = enumerate(zip(found, wanted, strict=False))
                place = next((number for number, (one, other) in pairs if one != other), 0)
                raise LoadError(f"other messages than expected: {bytes(found[place:])[:200]!r}")

    def read(self, wanted: int) -> None:
        """Until so many have come in since the beginning."""
        buffer, links = self._buffer, self._links
        while self.count < wanted:
            ready = self._poll.poll(PATIENCE)
            if not ready:
                raise LoadError(f"{wanted - self.count} messages are missing")
            for number, _ in ready:
                size = links[number].recv_into(buffer)
                found = buffer.count(MARK, 0, size)
                if not size or (not found and buffer.startswith(b"-ERR")):
                    raise LoadError(f"cut off: {bytes(buffer[:size])[:200]!r}")
                self.count += found
                if self._recorded is not None:
                    self._recorded[number] += buffer[:size]

    def read_all(self, wanted: int) -> None:
        """Exactly so many, and no more."""
        self.read(wanted)
        if self.count != wanted or self._poll.poll(0):
            for number, _ in self._poll.poll(0):
                self.count += self._links[number].recv(_CHUNK).count(MARK)
            if self.count != wanted:
                raise LoadError(f"{self.count - wanted} messages too many")

    def close(self) -> None:
        self._poll.close()
        for link in self._links.values():
            link.close()
