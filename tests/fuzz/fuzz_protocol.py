"""Whatever bytes a client sends, however they are cut, the reader turns them into the same calls or
ends with one fault, raises nothing, and holds no more than a line and the message it announced.

Three readers get each input: one whole and with routes, as a publisher's bytes come, one in pieces
with routes, and one in pieces that remembers no line. All must send out the same and call the same.
"""

from __future__ import annotations

import random
from typing import Final

from broker.protocol.reader import Reader, Route, Stop
from tests.fuzz.mutation import Mutator

LIMIT: Final = 128
MAX_PAYLOAD: Final = 512
_SLACK: Final = 16  # the operation itself, and the blank that is kept of many

SAMPLES: Final = (
    b'CONNECT {"verbose":false,"jwt":"x.y.z","sig":"q"}\r\nPING\r\n',
    b"SUB a.b 1\r\nPUB a.b 5\r\nhello\r\nPUB a.b 5\r\nhello\r\nPUB a.b 5\r\nworld\r\n",
    b"SUB a.* q 2\r\nUNSUB 2 5\r\nUNSUB 2\r\nPING\r\nPONG\r\n",
    b"PUB a r.1 3\r\nabc\r\nPUB a r.2 3\r\nabc\r\n",
    b"HPUB a 12 17\r\nNATS/1.0\r\n\r\nhello\r\nHPUB a r 22 22\r\nNATS/1.0\r\nA: bcdef\r\n\r\n\r\n",
    b"PUB b 0\r\n\r\nPUB b 0\r\n\r\nPUB b 0\r\n\r\nPING\r\n",
    b"PUB c 19\r\nPUB c 19\r\n12345678\n\r\nPUB c 19\r\nPUB c 19\r\n12345678\n\r\n" * 3,
    b"pub a 1\nx\r\nsub a 1\nping\nunsub 1\n+OK\r\nINFO {}\r\n",
    b"PUB  a\t1 \r\nx\r\nSUB\t>\t9\r\n",
    b"PUB a.b.c 3\r\nabc\r\n" * 12,
    b"-ERR 'x'\r\n",
    b"PUB " + b"a" * 120 + b" 1\r\nx\r\n",
    b"PUB big 512\r\n" + b"z" * 512 + b"\r\nPUB big 513\r\n" + b"z" * 513 + b"\r\n",
)
WORDS: Final = (
    b"PUB ", b"HPUB ", b"SUB ", b"UNSUB ", b"PING\r\n", b"PONG\r\n", b"CONNECT ", b"+OK\r\n", b"-ERR ", b"INFO ", b"MSG ", b"a.b", b"a", b">", b"1", b"{}",
    b"PUB a 1\r\nx\r\n", b"NATS/1.0\r\n\r\n",
)  # fmt: skip


class Broken(AssertionError):
    """The invariant does not hold."""


class _Sink:
    """Notes what it is called with; every message becomes the frame a subscriber would get."""

    def __init__(self, *, routes: bool, awaits_connect: bool) -> None:
        self.generation = 0
        self.awaits_connect = awaits_connect
        self.calls: list[tuple[object, ...]] = []
        self.announced = 0
        self.ended = False
        self.messages = 0
        self.routed = 0
        self._routes = routes
        self._frames: list[bytes] = []

    def connect(self, arguments: bytes) -> None:
        self.awaits_connect = False
        self._note("connect", arguments)

    def announce(self, subject: bytes, header: int, size: int) -> None:
        if size > MAX_PAYLOAD:
            self.fault("Maximum Payload Violation")
            raise Stop
        self.announced = size

    def route(self, subject: bytes, reply: bytes, header: int, size: int) -> Route | None:
        if not self._routes or header >= 0:
            return None
        return Route(size + 2, ((_frame(subject, reply, size), (self._frames.append,)),), ())

    def publish(self, subject: bytes, reply: bytes, header: int, body: bytes) -> None:
        self.messages += 1
        if header >= 0:
            self._note("headers", subject, reply, header, body)
        else:
            self._frames.append(_frame(subject, reply, len(body) - 2) + body)

    def settle(self, active: list[Route]) -> None:
        for route in active:
            self.routed += route.hits
            route.hits = 0

    def subscribe(self, subject: bytes, queue: bytes, sid: bytes) -> None:
        # What lines mean changes with every subscription.
        self.generation += 1
        self._note("subscribe", subject, queue, sid)

    def unsubscribe(self, sid: bytes, maximum: int) -> None:
        self._note("unsubscribe", sid, maximum)

    def ping(self) -> None:
        self._note("ping")

    def pong(self) -> None:
        self._note("pong")

    def info(self, arguments: bytes) -> None:
        self._note("info", arguments)

    def error(self, arguments: bytes) -> None:
        self._note("error", arguments)
        raise Stop

    def unauthorized(self) -> None:
        self._end("unauthorized")
        raise Stop

    def fault(self, text: str | None) -> None:
        self._end(text)

    def _end(self, text: str | None) -> None:
        if self.ended:
            raise Broken("ended twice")
        self.ended = True
        self._note("end", text)

    def _note(self, *call: object) -> None:
        self.calls.append(call)

    def told(self) -> tuple[list[tuple[object, ...]], bytes, int]:
        return self.calls, b"".join(self._frames), self.messages + self.routed


def _frame(subject: bytes, reply: bytes, size: int) -> bytes:
    if reply:
        return b"MSG %b 1 %b %d\r\n" % (subject, reply, size)
    return b"MSG %b 1 %d\r\n" % (subject, size)


def check(data: bytes, pieces: list[bytes], *, awaits_connect: bool) -> bool:
    """Feed one input; whether it was read to its end.

    Raises:
        Broken: the invariant does not hold.
    """
    told = []
    for parts, routes in (([data], True), (pieces, True), (pieces, False)):
        sink = _Sink(routes=routes, awaits_connect=awaits_connect)
        reader = Reader(sink, LIMIT)
        for part in parts:
            before = len(sink.calls)
            reader.feed(part)
            if sink.ended and len(sink.calls) > before + 1 and before and sink.calls[before - 1][0] == "end":
                raise Broken("called after the end")
            if reader.buffered > LIMIT + _SLACK + sink.announced + 2:
                raise Broken(f"holds {reader.buffered} bytes")
        if sink.ended and reader.buffered:
            raise Broken("holds bytes after the end")
        told.append(sink.told())
    if told[0] != told[1] or told[1] != told[2]:
        raise Broken("depends on how the bytes are cut, or on what is remembered")
    return not sink.ended


def run(runs: int, seed: int) -> int:
    """So many mutated inputs; how many of them were read to their end."""
    rand = random.Random(seed)
    mutator = Mutator(rand, WORDS, SAMPLES)
    whole = 0
    for number in range(runs):
        data = mutator.mutated(mutator.sample())
        pieces = mutator.pieces(data)
        awaits_connect = rand.random() < 0.1
        try:
            whole += check(data, pieces, awaits_connect=awaits_connect)
        except Exception as error:
            error.add_note(f"input {number} of seed {seed}: {data!r} in {pieces!r}, {awaits_connect=}")
            raise
    return whole
