"""A client that writes what it is told and notes everything it gets; it never helps itself.

The only things it does on its own: it answers the server's PING, and it asks with PING whether
everything before has arrived.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any, Final, NamedTuple, cast

from tests.processes import HOST

PATIENCE: Final = 10.0
ASKED: Final = "$SYS.REQ.USER.AUTH"
_CRLF: Final = 2
_SWALLOWED: Final = 0.7  # after which a PING is taken to have become part of something else


class Info(NamedTuple):
    """INFO, as it came."""

    members: dict[str, Any]


class Msg(NamedTuple):
    """MSG or HMSG; `headers` is None for the former."""

    subject: str
    sid: str
    reply: str
    headers: str | None
    payload: str


class Word(NamedTuple):
    """Everything else that comes in one line, and `closed`, `stuck`."""

    text: str


Item = Info | Msg | Word
CLOSED: Final = Word("closed")
STUCK: Final = Word("no answer")


class Link(asyncio.Protocol):
    """One connection. `items` holds what came since it was last emptied."""

    def __init__(self, stirred: asyncio.Event | None = None) -> None:
        self._stirred = stirred or asyncio.Event()
        self.items: list[Item] = []
        self.open = True
        self.asked = False  # whether it sent CONNECT: before that PING would be a fault
        self.odd = False  # whether it sent what may swallow the next line
        self.nonce = ""
        self.cid = 0
        self.info: dict[str, Any] = {}
        self.requests: list[str] = []
        self.questions: deque[Msg] = deque()
        self.sids: dict[str, str] = {}  # the queue each of its subscriptions asked for
        self.account = ""
        self.refused_subscriptions = False
        self._buffer = b""
        self._barriers: deque[asyncio.Future[None] | None] = deque()
        self._ended = asyncio.get_running_loop().create_future()
        self._greeted = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def to(cls, port: int, stirred: asyncio.Event) -> Link:
        """A connection that has its INFO; `stirred` is set whenever something comes."""
        loop = asyncio.get_running_loop()
        _, link = await loop.create_connection(lambda: cls(stirred), HOST, port)
        async with asyncio.timeout(PATIENCE):
            await link._greeted
        return link

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class

    def connection_lost(self, error: Exception | None) -> None:
        if self.open:
            self.items.append(CLOSED)
        self.open = False
        self._stirred.set()
        for waiting in (self._greeted, self._ended, *self._barriers):
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
        self._barriers.clear()

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        position = 0
        while True:
            newline = data.find(b"\n", position)
            if newline < 0:
                break
            line = data[position:newline].rstrip(b"\r")
            after = newline + 1
            if line.startswith((b"MSG ", b"HMSG ")):
                end = after + int(line.rpartition(b" ")[2])
                if end + _CRLF > len(data):
                    break
                self._message(line, data[after:end])
                position = end + _CRLF
            else:
                self._line(line)
                position = after
        self._buffer = data[position:]
        self._stirred.set()

    def _message(self, line: bytes, body: bytes) -> None:
        words = line.decode("latin-1").split(" ")
        headers = None
        sizes = 1
        if words[0] == "HMSG":
            size = int(words[-2])
            headers, body, sizes = body[:size].decode("latin-1"), body[size:], 2
        reply = words[3] if len(words) - sizes == 4 else ""
        self.message(Msg(words[1], words[2], reply, headers, body.decode("latin-1")))

    def message(self, message: Msg) -> None:
        if message.reply:
            self.requests.append(message.reply)
        if message.subject == ASKED:
            self.questions.append(message)
        self.items.append(message)

    def _line(self, line: bytes) -> None:
        if line.startswith(b"INFO "):
            members = json.loads(line[5:])
            self.info = members
            if not self._greeted.done():
                self.nonce, self.cid = members.get("nonce", ""), members.get("client_id", 0)
                self._greeted.set_result(None)
            self.items.append(Info(members))
        elif line == b"PONG":
            self._pong()
        elif line == b"PING":
            # Idle servers ask at times of their own; that is no part of a case.
            self.write(b"PONG\r\n")
        else:
            text = line.decode("latin-1")
            if "maximum subscriptions exceeded" in text:
                self.refused_subscriptions = True
            self.items.append(Word(text))

    def _pong(self) -> None:
        barrier = self._barriers.popleft() if self._barriers else None
        if barrier is None:
            self.items.append(Word("PONG"))
        elif not barrier.done():
            barrier.set_result(None)

    # the case's side

    def write(self, data: bytes) -> None:
        if self.open and self._transport is not None:
            self._transport.write(data)

    def expect_pong(self) -> None:
        """The PONG to come belongs to a PING of the case."""
        self._barriers.append(None)

    async def barrier(self) -> None:
        """Until the server has dealt with all that was written, or has hung up."""
        if not self.open or not self.asked:
            return
        answered = asyncio.get_running_loop().create_future()
        self._barriers.append(answered)
        if self.odd:
            self.write(b"PING\r\n")
            await asyncio.wait([answered], timeout=_SWALLOWED)
            if answered.done():
                return
            self.items.append(Word("no answer at once"))
        self.write(b"PING\r\n")
        try:
            async with asyncio.timeout(PATIENCE):
                await answered
        except TimeoutError:
            self.items.append(STUCK)
            self.asked = False

    async def until_closed(self, seconds: float) -> None:
        """Until the server hangs up, but not longer than this."""
        if self.open:
            await asyncio.wait([self._ended], timeout=seconds)

    async def close(self) -> None:
        if not self.open:
            return
        self.open = False
        assert self._transport is not None
        self._transport.close()
        await asyncio.wait([self._ended], timeout=PATIENCE)

    def take(self) -> list[Item]:
        """What came since the last time."""
        items, self.items = self.items, []
        return items
