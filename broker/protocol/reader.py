"""Bytes from a client, read into calls on a sink (enforcement spec §1.4).

No I/O, no clock: whoever owns the socket feeds bytes. What a client sends is read or ends in
`fault`; nothing else ever comes out, however the bytes are cut.

A publisher sends the same header line again and again. So the reader remembers, line by line,
the `Route` the sink gave it: how many bytes follow, and which frames go where. Such a message
costs one look-up; everything else is read word by word. A sink that changes what a line
means (a subscription came, a permission went) raises its `generation`, and all is forgotten.

The state of a reader is what it holds: nothing, part of a line, or a line and part of its
message. A line whose message is not complete is read again when it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from broker.protocol.texts import CONTROL_LINE_EXCEEDED, UNKNOWN_OPERATION

CRLF: Final = b"\r\n"
MAX_ROUTES: Final = 8192
MAX_SIZE_DIGITS: Final = 9  # what the server reads as a size at all
NO_HEADERS: Final = -1

_WORDS: Final = (b"CONNECT", b"PUB", b"HPUB", b"SUB", b"UNSUB", b"PING", b"PONG", b"INFO", b"+OK", b"-ERR")
_LONGEST_WORD: Final = max(map(len, _WORDS))
_CONNECT_FIRST: Final = (b"C", b"c")
_USUAL: Final = {word + end: word for word in _WORDS for end in (b"", b"\r")}
# After these the server reads on to the end of the line and keeps nothing.
_BARE: Final = (b"PING", b"PONG", b"+OK")
# After these anything may follow at once, without a blank.
_OPEN: Final = (b"CONNECT", b"INFO")


class Route:
    """What a header line of a publisher means: `span` bytes follow it, and then frames go out.

    `copies` are pairs of the first line a receiver gets and the places to put the frame;
    `receivers` are the sink's own notes on who they are.
    """

    __slots__ = ("copies", "hits", "receivers", "span")

    def __init__(
        self,
        span: int,
        copies: tuple[tuple[bytes, tuple[Callable[[bytes], object], ...]], ...],
        receivers: tuple[Any, ...],
    ) -> None:
        self.span = span
        self.copies = copies
        self.receivers = receivers
        self.hits = 0


class Sink(Protocol):
    """What a reader calls. Every method may raise `Stop` to end the reading for good."""

    @property
    def generation(self) -> int: ...

    @property
    def awaits_connect(self) -> bool: ...

    def connect(self, arguments: bytes) -> None: ...

    def route(self, subject: bytes, reply: bytes, header: int, size: int) -> Route | None:
        """The route of a header line; None where the next one of the same line may go elsewhere.

        The message is then given to `publish`.
        """

    def publish(self, subject: bytes, reply: bytes, header: int, body: bytes) -> None:
        """One message; `body` holds headers and payload with the line end, `header` bytes of it headers."""

    def settle(self, active: list[Route]) -> None:
        """The routes used since the last call, with their hits to be counted and set to zero."""

    def announce(self, subject: bytes, header: int, size: int) -> None:
        """A header line was read whose message may not be there yet. Raises `Stop` if it must not come."""

    def subscribe(self, subject: bytes, queue: bytes, sid: bytes) -> None: ...

    def unsubscribe(self, sid: bytes, maximum: int) -> None: ...

    def ping(self) -> None: ...

    def pong(self) -> None: ...

    def info(self, arguments: bytes) -> None: ...

    def error(self, arguments: bytes) -> None: ...

    def unauthorized(self) -> None:
        """Something else than CONNECT came first. Raises `Stop` unless it may."""

    def fault(self, text: str | None) -> None:
        """The peer broke the protocol; it gets these words, or none, and the connection ends."""


class Stop(Exception):
    """Nothing more is to be read."""


class Reader:
    """Reads one connection's bytes.

    `paused` holds them instead, while the sink waits for an answer from elsewhere.
    """

    __slots__ = (
        "_announced",
        "_held",
        "_limit",
        "_missing",
        "_parts",
        "_routes",
        "_seen",
        "_sink",
        "paused",
        "stopped",
    )

    def __init__(self, sink: Sink, max_control_line: int) -> None:
        self._sink = sink
        self._limit = max_control_line
        self._held = b""
        self._parts: list[bytes] = []
        self._missing = 0
        self._announced = False
        self._routes: dict[bytes, Route | None] = {}
        self._seen = -1
        self.paused = False
        self.stopped = False

    @property
    def buffered(self) -> int:
        """Bytes held until more come."""
        return len(self._held) + sum(map(len, self._parts))

    def forget(self) -> None:
        """Drop what was remembered of header lines; idle connections need not keep it."""
        self._routes = {}

    def feed(self, data: bytes) -> None:
        """Take in what arrived."""
        if self.stopped:
            return
        if self.paused:
            self._parts.append(data)
            return
        if self._missing:
            # Part of a message: joined once it is whole, not at every few bytes of it.
            self._parts.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            self._missing = 0
            data = b"".join(self._parts)
            self._parts.clear()
        elif self._held:
            data = self._held + data
            self._held = b""
        try:
            self._read(data)
        except Stop:
            self.stop()

    def stop(self) -> None:
        """Read nothing any more."""
        self.stopped = True
        self._held = b""
        self._parts.clear()
        self._routes = {}

    def release(self) -> None:
        """Nothing comes any more: let go of the sink, so that the two do not hold each other."""
        self.stop()
        del self._sink

    def resume(self) -> None:
        """Go on after `paused`."""
        self.paused = False
        held = b"".join((self._held, *self._parts))
        self._held = b""
        self._parts.clear()
        self._missing = 0
        if held:
            self.feed(held)

    def _read(self, data: bytes) -> None:
        sink, routes, find, startswith = self._sink, self._routes, data.find, data.startswith
        length, position = len(data), 0
        active: list[Route] = []
        if self._seen != sink.generation:
            routes.clear()
            self._seen = sink.generation
        try:
            while True:
                newline = find(b"\n", position)
                if newline < 0:
                    self._keep(data[position:])
                    return
                line = data[position:newline]
                route = routes.get(line)
                if route is not None:
                    end = newline + 1 + route.span
                    line = data[position : newline + 1]
                    # Publishers often stay on one line: while this message is followed by the same
                    # line, one comparison tells both that it is whole and what comes next.
                    again = CRLF + line
                    stride = end - position
                    first = position
                    while startswith(again, end - 2):
                        end += stride
                    whole = data[end - 2 : end] == CRLF
                    position = end if whole and end <= length else end - stride
                    if position > first:
                        hits = (position - first) // stride
                        if not route.hits:
                            active.append(route)
                        route.hits += hits
                        if route.copies:
                            _copy(route, line, data[first:position], hits)
                    if end > length:
                        self._wait(data[position:], end - length)
                        return
                    if not whole:
                        sink.fault(UNKNOWN_OPERATION)
                        raise Stop
                    continue
                position = self._line(data, position, newline)
                if position < 0:
                    return
                if self._seen != sink.generation:
                    self._renew(active)
                    routes = self._routes
                if self.paused:
                    self._held = data[position:]
                    return
        finally:
            if active:
                sink.settle(active)

    def _renew(self, active: list[Route]) -> None:
        if active:
            self._sink.settle(active)
            active.clear()
        self._routes.clear()
        self._seen = self._sink.generation

    def _line(self, data: bytes, position: int, newline: int) -> int:
        """Read one line nobody remembers; where the next begins, or -1 to wait for more."""
        sink = self._sink
        line = data[position:newline]
        if sink.awaits_connect and line[:1] not in _CONNECT_FIRST:
            sink.unauthorized()
        if line[-1:] != b"\r" and _unbegun(line):
            newline = data.find(b"\n", newline + 1)
            if newline < 0:
                self._keep(data[position:])
                return -1
            line = data[position:newline]
        word, arguments = self._split(line)
        after = newline + 1
        if word in {b"PUB", b"HPUB"}:
            return self._publication(data, position, line, word, arguments, after)
        if word == b"PING":
            sink.ping()
        elif word == b"SUB":
            self._subscription(arguments)
        elif word == b"UNSUB":
            self._unsubscription(arguments)
        elif word == b"CONNECT":
            sink.connect(arguments)
        elif word == b"PONG":
            sink.pong()
        elif word == b"INFO":
            sink.info(arguments)
        elif word == b"-ERR":
            sink.error(arguments)
        return after

    def _split(self, line: bytes) -> tuple[bytes, bytes]:
        """The operation and its arguments.

        Whatever is no operation of a client, and an argument beyond the limit, ends the reading.
        """
        word = _word(line)
        if word is None:
            self._sink.fault(UNKNOWN_OPERATION)
            raise Stop
        rest = line[len(word) :]
        if word in _BARE:
            return word, b""
        arguments = rest.lstrip(b" \t")
        if word not in _OPEN and len(arguments) == len(rest):
            self._sink.fault(UNKNOWN_OPERATION)
            raise Stop
        if b"\r" in arguments:
            # The server notes that it saw one, and takes off the last byte, return or not.
            arguments = arguments[:-1]
        if len(arguments) > self._limit:
            self._sink.fault(CONTROL_LINE_EXCEEDED)
            raise Stop
        return word, arguments

    def _publication(
        self, data: bytes, position: int, line: bytes, word: bytes, arguments: bytes, after: int
    ) -> int:
        sink = self._sink
        words = _words(arguments, b"\t")
        headers = word == b"HPUB"
        count = len(words) - headers
        if count not in (2, 3):
            self._end()
        size = _size(words[-1])
        header = _size(words[-2]) if headers else NO_HEADERS
        if size < 0 or (headers and (header < 0 or header > size)):
            self._end()
        subject = words[0]
        reply = words[1] if count == 3 else b""
        end = after + size + 2
        if self._announced:
            # The second look at a line whose message has only now arrived.
            self._announced = False
        else:
            sink.announce(subject, header, size)
        if header == 0:
            header = NO_HEADERS  # allowed to, and without any, it goes on as a plain one
        if end > len(data):
            self._announced = True
            self._wait(data[position:], end - len(data))
            return -1
        routes = self._routes
        if data[end - 2 : end] != CRLF:
            sink.fault(UNKNOWN_OPERATION)
            raise Stop
        if line in routes:
            # Seen before: worth a route, if there is one.
            route = sink.route(subject, reply, header, size)
            if route is not None:
                self._remember(line, route)
        elif not reply:
            self._remember(line, None)
        sink.publish(subject, reply, header, data[after:end])
        return end

    def _remember(self, line: bytes, route: Route | None) -> None:
        routes = self._routes
        if len(routes) >= MAX_ROUTES:
            # Settled routes only: those with hits of this read are in the caller's list.
            routes.clear()
        routes[line] = route

    def _subscription(self, arguments: bytes) -> None:
        words = _words(arguments, b"\t\r\n")
        if len(words) == 2:
            self._sink.subscribe(words[0], b"", words[1])
        elif len(words) == 3:
            self._sink.subscribe(words[0], words[1], words[2])
        else:
            self._end()

    def _unsubscription(self, arguments: bytes) -> None:
        words = _words(arguments, b"\t\r\n")
        if len(words) == 1:
            self._sink.unsubscribe(words[0], 0)
        elif len(words) == 2:
            self._sink.unsubscribe(words[0], _size(words[1]))
        else:
            self._end()

    def _end(self) -> None:
        self._sink.fault(None)
        raise Stop

    def _wait(self, held: bytes, missing: int) -> None:
        self._parts.append(held)
        self._missing = missing

    def _keep(self, line: bytes) -> None:
        """Hold part of a line, if it can still become one."""
        if not line:
            return
        if self._sink.awaits_connect and line[:1] not in _CONNECT_FIRST:
            self._sink.unauthorized()
        word = _word(line)
        if word is None:
            start = line[:_LONGEST_WORD].upper()
            if not any(known.startswith(start) for known in _WORDS):
                self._sink.fault(UNKNOWN_OPERATION)
                raise Stop
            self._held = line
            return
        if word in _BARE:
            self._held = word
            return
        rest = line[len(word) :]
        arguments = rest.lstrip(b" \t")
        if word not in _OPEN and arguments and len(arguments) == len(rest):
            self._sink.fault(UNKNOWN_OPERATION)
            raise Stop
        # Wherever a return stands, one byte is taken off at the end of the line.
        if len(arguments) - (b"\r" in arguments) > self._limit:
            self._sink.fault(CONTROL_LINE_EXCEEDED)
            raise Stop
        # However many blanks a client sends before its arguments, one is kept.
        self._held = word + (b" " if len(arguments) < len(rest) else b"") + arguments


def _copy(route: Route, line: bytes, run: bytes, hits: int) -> None:
    """Give each receiver its copies of a run of messages on one line."""
    if hits == 1 or run.count(line) == hits:
        # The line stands nowhere but before each message, so it can be exchanged everywhere.
        for theirs, puts in route.copies:
            block = run.replace(line, theirs, hits)
            for put in puts:
                put(block)
        return
    stride = len(run) // hits
    start = len(line)
    bodies = [run[place + start : place + stride] for place in range(0, len(run), stride)]
    for theirs, puts in route.copies:
        block = b"".join([theirs + body for body in bodies])
        for put in puts:
            put(block)


def _word(line: bytes) -> bytes | None:
    """The operation a line begins with."""
    known = _USUAL.get(line.partition(b" ")[0])
    if known is not None:
        return known
    start = line[:_LONGEST_WORD].upper()
    for word in _WORDS:
        if start.startswith(word):
            return word
    return None


def _unbegun(line: bytes) -> bool:
    """Whether a line is over before its arguments began: it takes the next one for them."""
    word = _word(line)
    if word is None or word in _BARE:
        return False
    rest = line[len(word) :]
    return not rest.strip(b" \t") and (bool(rest) or word in _OPEN)


def _words(arguments: bytes, blanks: bytes) -> list[bytes]:
    """The words between blanks; a return is one in SUB and UNSUB, and a part of a subject in PUB."""
    for blank in blanks:
        if blank in arguments:
            arguments = arguments.replace(bytes((blank,)), b" ")
    words = arguments.split(b" ")
    return [word for word in words if word] if b"" in words else words


def _size(digits: bytes) -> int:
    """A count of bytes; -1 for anything that is none."""
    if len(digits) > MAX_SIZE_DIGITS or not digits.isdigit():
        return -1
    return int(digits)
