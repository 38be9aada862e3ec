"""One list of cases, read whole, byte by byte, and with bytes left over."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.protocol.reader import NO_HEADERS, Reader, Route, Stop
from broker.protocol.texts import CONTROL_LINE_EXCEEDED, UNKNOWN_OPERATION

LIMIT = 64


class Calls:
    """A sink that notes what it is called with; routes answer with copies into `frames`."""

    def __init__(self, *, routes: bool = False, awaits_connect: bool = False) -> None:
        self.generation = 0
        self.awaits_connect = awaits_connect
        self.admits = False
        self.calls: list[tuple[object, ...]] = []
        self.frames: list[bytes] = []
        self.routes = routes
        self.routed = 0

    def connect(self, arguments: bytes) -> None:
        self.awaits_connect = False
        self.calls.append(("connect", arguments))

    def announce(self, subject: bytes, header: int, size: int) -> None:
        self.calls.append(("announce", subject, header, size))

    def route(self, subject: bytes, reply: bytes, header: int, size: int) -> Route | None:
        if not self.routes:
            return None
        return Route(size + 2, ((b"MSG %b 1 %d\r\n" % (subject, size), (self.frames.append,)),), ())

    def publish(self, subject: bytes, reply: bytes, header: int, body: bytes) -> None:
        self.calls.append(("publish", subject, reply, header, body))
        self.frames.append(b"MSG %b 1 %d\r\n%b" % (subject, len(body) - 2, body))

    def settle(self, active: list[Route]) -> None:
        for route in active:
            self.routed += route.hits
            route.hits = 0

    def subscribe(self, subject: bytes, queue: bytes, sid: bytes) -> None:
        self.calls.append(("subscribe", subject, queue, sid))

    def unsubscribe(self, sid: bytes, maximum: int) -> None:
        self.calls.append(("unsubscribe", sid, maximum))

    def ping(self) -> None:
        self.calls.append(("ping",))

    def pong(self) -> None:
        self.calls.append(("pong",))

    def info(self, arguments: bytes) -> None:
        self.calls.append(("info", arguments))

    def error(self, arguments: bytes) -> None:
        self.calls.append(("error", arguments))
        raise Stop

    def unauthorized(self) -> None:
        self.calls.append(("unauthorized",))
        if not self.admits:
            raise Stop
        self.awaits_connect = False

    def fault(self, text: str | None) -> None:
        self.calls.append(("fault", text))


def publication(subject: bytes, reply: bytes, header: int, body: bytes) -> list[tuple[object, ...]]:
    return [("announce", subject, header, len(body) - 2), ("publish", subject, reply, header, body)]


WHOLE = {
    "ping": (b"PING\r\n", [("ping",)]),
    "ping in any case": (b"pInG\n", [("ping",)]),
    "what follows PING is not read": (b"PING whatever\r\n", [("ping",)]),
    "pong": (b"PONG\r\n", [("pong",)]),
    "ok is ignored": (b"+OK\r\nPING\r\n", [("ping",)]),
    "info": (b"INFO {}\r\nPING\r\n", [("info", b"{}"), ("ping",)]),
    "connect": (b'CONNECT {"a":1}\r\n', [("connect", b'{"a":1}')]),
    "connect without a blank": (b"CONNECT{}\r\n", [("connect", b"{}")]),
    "connect with many blanks": (b"connect \t  {}\r\n", [("connect", b"{}")]),
    "pub": (b"PUB a 2\r\nhi\r\n", publication(b"a", b"", -1, b"hi\r\n")),
    "pub empty": (b"PUB a 0\r\n\r\n", publication(b"a", b"", -1, b"\r\n")),
    "pub reply": (b"pub  a\tb  2\r\nhi\r\n", publication(b"a", b"b", -1, b"hi\r\n")),
    "a return in a subject stays": (b"PUB a\r 2\r\nhi\r\n", publication(b"a\r", b"", -1, b"hi\r\n")),
    "a return between words of SUB": (b"SUB a\r1\r\n", [("subscribe", b"a", b"", b"1")]),
    "pub newline only": (b"PUB a 2\nhi\r\n", publication(b"a", b"", -1, b"hi\r\n")),
    "pub with line ends inside": (b"PUB a 4\r\n\r\nx\n\r\n", publication(b"a", b"", -1, b"\r\nx\n\r\n")),
    "hpub": (
        b"HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
        publication(b"a", b"", 12, b"NATS/1.0\r\n\r\nhi\r\n"),
    ),
    "hpub reply": (
        b"HPUB a r 12 12\r\nNATS/1.0\r\n\r\n\r\n",
        publication(b"a", b"r", 12, b"NATS/1.0\r\n\r\n\r\n"),
    ),
    "sub": (b"SUB a 1\r\n", [("subscribe", b"a", b"", b"1")]),
    "sub queue": (b"sub a.>  q 1\r\n", [("subscribe", b"a.>", b"q", b"1")]),
    "unsub": (b"UNSUB 1\r\n", [("unsubscribe", b"1", 0)]),
    "unsub max": (b"UNSUB 1 5\r\n", [("unsubscribe", b"1", 5)]),
    "unsub junk": (b"UNSUB 1 x\r\n", [("unsubscribe", b"1", -1)]),
    "two": (b"SUB a 1\r\nPING\r\n", [("subscribe", b"a", b"", b"1"), ("ping",)]),
}

BROKEN = {
    "unknown": (b"XYZ\r\n", [("fault", UNKNOWN_OPERATION)]),
    "unknown at its first letter": (b"X", [("fault", UNKNOWN_OPERATION)]),
    "msg": (b"MSG a 1 2\r\n", [("fault", UNKNOWN_OPERATION)]),
    "word runs on": (b"PUBX a 1\r\n", [("fault", UNKNOWN_OPERATION)]),
    "pub one argument": (b"PUB a\r\n", [("fault", None)]),
    "pub four arguments": (b"PUB a b c 1\r\n", [("fault", None)]),
    "pub bad size": (b"PUB a x\r\n", [("fault", None)]),
    "pub huge size": (b"PUB a 1234567890\r\n", [("fault", None)]),
    "hpub headers beyond": (b"HPUB a 5 4\r\n", [("fault", None)]),
    "sub one argument": (b"SUB a\r\n", [("fault", None)]),
    "sub four": (b"SUB a b c d\r\n", [("fault", None)]),
    "unsub three": (b"UNSUB a b c\r\n", [("fault", None)]),
    "err": (b"-ERR 'x'\r\n", [("error", b"'x'")]),
    "longer body": (
        b"PUB a 1\r\nxyz\r\n",
        [("announce", b"a", -1, 1), ("fault", UNKNOWN_OPERATION)],
    ),
    "line too long": (b"SUB " + b"a" * (LIMIT + 1) + b" 1\r\n", [("fault", CONTROL_LINE_EXCEEDED)]),
    "line too long, not over": (b"SUB " + b"a" * (LIMIT + 1), [("fault", CONTROL_LINE_EXCEEDED)]),
}


def read(*pieces: bytes, sink: Calls | None = None) -> Calls:
    sink = sink or Calls()
    reader = Reader(sink, LIMIT)
    for piece in pieces:
        reader.feed(piece)
    sink.reader = reader  # type: ignore[attr-defined]
    return sink


@pytest.mark.parametrize(("sent", "calls"), WHOLE.values(), ids=WHOLE)
def test_reads_whole_by_byte_and_with_more_behind(sent: bytes, calls: list[object]) -> None:
    assert read(sent).calls == calls
    assert read(*(sent[n : n + 1] for n in range(len(sent)))).calls == calls
    more = read(sent + b"PI")
    assert more.calls == calls
    more.reader.feed(b"NG\r\n")  # type: ignore[attr-defined]
    assert more.calls == [*calls, ("ping",)]


@pytest.mark.parametrize(("sent", "calls"), BROKEN.values(), ids=BROKEN)
def test_ends_at_what_is_no_protocol(sent: bytes, calls: list[object]) -> None:
    assert read(sent, b"PING\r\n").calls == calls
    assert read(*(sent[n : n + 1] for n in range(len(sent))), b"PING\r\n").calls == calls


def test_the_longest_line_passes() -> None:
    subject = b"a" * (LIMIT - 2)
    assert read(b"SUB " + subject + b" 1\r\n").calls == [("subscribe", subject, b"", b"1")]


def test_something_before_connect_is_seen_at_its_first_byte() -> None:
    assert read(b"P", sink=Calls(awaits_connect=True)).calls == [("unauthorized",)]
    assert read(b"PING\r\n", sink=Calls(awaits_connect=True)).calls == [("unauthorized",)]
    assert read(b"\n", sink=Calls(awaits_connect=True)).calls == [("unauthorized",)]


def test_a_return_inside_a_line_at_the_limit_counts_once_however_it_is_cut() -> None:
    line = b"PUB " + b"a" * (LIMIT - 6) + b" 1\rPUB "
    line = line[: LIMIT + 5]
    whole = read(line + b"\nx\r\n").calls
    assert read(*(bytes((byte,)) for byte in line + b"\nx\r\n")).calls == whole


@pytest.mark.parametrize(
    ("sent", "calls"),
    [
        (b"UNSUB \n", []),
        (b"UNSUB \n1\r\n", [("unsubscribe", b"1", 0)]),
        (b"SUB \t\na 1\r\n", [("subscribe", b"a", b"", b"1")]),
        (b"CONNECT\n{}\r\n", [("connect", b"\n{}")]),
        (b"UNSUB \r\n", [("fault", None)]),
        (b"UNSUB\n1\r\n", [("fault", UNKNOWN_OPERATION)]),
        (b"PING\nPONG\n", [("ping",), ("pong",)]),
    ],
)
def test_a_line_that_ends_before_its_arguments_takes_the_next(sent: bytes, calls: list[object]) -> None:
    assert read(sent).calls == calls
    assert read(*(bytes((byte,)) for byte in sent)).calls == calls


def test_headers_of_no_bytes_are_none() -> None:
    published = [call for call in read(b"HPUB a 0 1\r\nx\r\n").calls if call[0] == "publish"]
    assert published == [("publish", b"a", b"", NO_HEADERS, b"x\r\n")]


@pytest.mark.parametrize("parts", [(b"PING\r\nPONG\r\n",), (b"P", b"ING\r\nPONG\r\n")])
def test_who_may_begin_without_connect_is_read_on(parts: tuple[bytes, ...]) -> None:
    sink = Calls(awaits_connect=True)
    sink.admits = True
    assert read(*parts, sink=sink).calls == [("unauthorized",), ("ping",), ("pong",)]


def test_blanks_and_what_follows_ping_are_not_kept() -> None:
    sink = read(b"PING", *([b" " * 1000] * 50))
    assert sink.reader.buffered < 20  # type: ignore[attr-defined]
    sink = read(b"SUB ", *([b" " * 1000] * 50))
    assert sink.reader.buffered < 20  # type: ignore[attr-defined]


def test_returns_are_not_hoarded() -> None:
    sink = read(b"PUB a", *([b"\r"] * 1000))
    assert sink.calls == [("fault", CONTROL_LINE_EXCEEDED)]


def test_a_paused_reader_holds_and_goes_on() -> None:
    sink = Calls()
    reader = Reader(sink, LIMIT)
    reader.paused = True
    reader.feed(b"PING\r\nPUB a 5\r\nhe")
    reader.feed(b"llo\r\n")
    assert sink.calls == []
    reader.resume()
    assert sink.calls == [("ping",), *publication(b"a", b"", -1, b"hello\r\n")]


MESSAGE = st.tuples(
    st.sampled_from([b"a", b"b"]),
    st.one_of(
        st.binary(max_size=6),
        # Payloads that look like the protocol.
        st.sampled_from([b"PUB a 2\r\n", b"\r\n", b"x\r\nPUB a 2\r\n", b"PUB a 12\r\nxy"]),
    ),
)


@given(st.lists(MESSAGE, max_size=12), st.lists(st.integers(0, 300), max_size=6))
def test_a_remembered_line_gives_the_same_frames(
    messages: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    """However the bytes are cut, the short way delivers what the long one does."""
    sent = b"".join(b"PUB %b %d\r\n%b\r\n" % (subject, len(body), body) for subject, body in messages)
    wanted = b"".join(b"MSG %b 1 %d\r\n%b\r\n" % (subject, len(body), body) for subject, body in messages)
    places = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    pieces = [sent[start:end] for start, end in itertools.pairwise(places)]
    sink = read(*pieces, sink=Calls(routes=True))
    assert b"".join(sink.frames) == wanted
    published = sum(call[0] == "publish" for call in sink.calls)
    assert sink.routed + published == len(messages)


def test_a_change_forgets_what_was_remembered() -> None:
    sink = Calls(routes=True)
    message = b"PUB a 1\r\nx\r\n"
    read(message * 3, sink=sink)
    assert sink.routed == 1
    sink.generation += 1
    before = len(sink.calls)
    read(message, sink=sink)
    assert len(sink.calls) == before + 2


def test_a_broken_message_after_good_ones_delivers_those() -> None:
    sink = read(b"PUB a 1\r\nx\r\n" * 4 + b"PUB a 1\r\nxy\r\n", sink=Calls(routes=True))
    assert b"".join(sink.frames) == b"MSG a 1 1\r\nx\r\n" * 4
    assert sink.calls[-1] == ("fault", UNKNOWN_OPERATION)


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_anything_is_read_or_refused(pieces: list[bytes]) -> None:
    sink = read(*pieces)
    assert sink.reader.buffered <= 9 + LIMIT + sum(map(len, pieces))  # type: ignore[attr-defined]
