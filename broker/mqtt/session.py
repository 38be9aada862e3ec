"""What the broker keeps for a client: its subscriptions, and what it has not acknowledged (MQTT §4.1).

Lives in memory, longer than a connection where the client wants so. Messages of quality 1 and 2
wait here while the client is away or has too many in hand, and are given again, marked as
duplicates, when no acknowledgement came within `ack_wait`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from broker.mqtt import packets
from broker.mqtt.port import Ground, Handle, Message, Timer
from broker.mqtt.topics import RESERVED, begins_wild, topic_of

log = logging.getLogger("accredit.broker")

MAX_NUMBER: Final = 0xFFFF
OVERHEAD: Final = 256
"""Bytes a kept message costs beside its own."""


class Ledger:
    """How many bytes are kept, and how many may be."""

    __slots__ = ("most", "used")

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0

    def take(self, size: int) -> bool:
        """Room for a message, if there is any."""
        if self.used + size + OVERHEAD > self.most:
            return False
        self.used += size + OVERHEAD
        return True

    def give_back(self, size: int) -> None:
        self.used -= size + OVERHEAD


class Line(Protocol):
    """The connection a session has at the moment."""

    def send(self, packet: bytes) -> None: ...

    def may_deliver(self, subject: str) -> bool: ...

    def now(self) -> float: ...

    def later(self, seconds: float, action: Callable[[], None]) -> Timer: ...

    def evicted(self) -> None:
        """Another connection has come with the same client identifier."""


class Sub:
    """One subscription of a session, on one subject.

    `qos` is what was granted last; `kept_qos`, 0 without one, is that of the queue made for it,
    which as on the server stays as it was first made.
    """

    __slots__ = ("bound", "handle", "hidden", "inbox", "kept_qos", "listening", "qos", "sid", "subject")

    def __init__(self, subject: str, sid: str) -> None:
        self.subject = subject
        self.sid = sid
        self.qos = 0
        self.kept_qos = 0
        self.hidden = begins_wild(subject)
        self.handle: Handle | None = None
        self.inbox = ""
        """The subject of its queue."""
        self.bound = False
        """The queue is in force on the connection there is."""
        self.listening: Handle | None = None

    def hides(self, subject: str) -> bool:
        return self.hidden and subject.startswith(RESERVED)


class Kept:
    """A message for one subscription, until it is acknowledged."""

    __slots__ = ("number", "payload", "qos", "retained", "sub", "subject", "topic")

    def __init__(self, sub: Sub, subject: str, payload: bytes, qos: int) -> None:
        self.sub = sub
        self.subject = subject
        self.topic = topic_bytes(subject)
        self.payload = payload
        self.qos = qos
        self.number = 0
        self.retained = False

    @property
    def size(self) -> int:
        return len(self.topic) + len(self.payload)


class Release:
    """A PUBREL that waits for its PUBCOMP."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


class Session:
    """The state of one client identifier.

    `owner` is the connection that took it, None while the client is away; `line` is the same once
    its subscriptions are in force, and messages go there.
    """

    __slots__ = (
        "_agenda",
        "_given",
        "_last",
        "_ledger",
        "_releases",
        "_timer",
        "_waiting",
        "ack_wait",
        "clean",
        "client_id",
        "filters",
        "incoming",
        "line",
        "max_unacknowledged",
        "owner",
        "subs",
    )

    def __init__(self, client_id: str, ledger: Ledger, *, ack_wait: float, max_unacknowledged: int) -> None:
        self.client_id = client_id
        self.ack_wait = ack_wait
        self.max_unacknowledged = max_unacknowledged
        self.clean = True
        self.owner: Line | None = None
        self.line: Line | None = None
        self.filters: dict[str, int] = {}
        """What is subscribed to, with its quality."""
        self.subs: dict[str, Sub] = {}
        self.incoming: dict[int, packets.Publish] = {}
        """Messages of quality 2 that wait for their PUBREL."""
        self._ledger = ledger
        self._waiting: deque[Kept] = deque()
        self._given: dict[int, Kept] = {}
        self._releases: dict[int, Release] = {}
        self._agenda: deque[tuple[float, Kept | Release]] = deque()
        """What to give again and when, the earliest first."""
        self._last = 0
        self._timer: Timer | None = None

    # --- coming and going --------------------------------------------------------------------------

    def attach(self) -> None:
        """Its subscriptions are in force again: give what waits."""
        self.line = self.owner
        self._ring()

    def detach(self) -> None:
        """The connection is gone."""
        self.owner = self.line = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for number in [number for number, kept in self._given.items() if kept.retained]:
            self._return(self._given.pop(number))
        for sub in self.subs.values():
            sub.handle = None
            sub.bound = False

    def listen(self, ground: Ground) -> None:
        """While nobody is there: hear what would be kept."""
        for sub in self.subs.values():
            if sub.kept_qos:
                sub.listening = ground.listen(sub.subject, self._listener(sub))

    def listen_no_more(self, ground: Ground) -> None:
        for sub in self.subs.values():
            if sub.listening is not None:
                ground.forget(sub.listening)
                sub.listening = None

    def clear(self) -> None:
        """Forget everything: the client wants a new beginning."""
        for kept in (*self._waiting, *self._given.values()):
            self._return(kept)
        for publish in self.incoming.values():
            self._ledger.give_back(size_of(publish))
        for each in (self._waiting, self._given, self._releases, self._agenda, self.filters, self.subs):
            each.clear()
        self.incoming.clear()
        self._last = 0

    def _listener(self, sub: Sub) -> Callable[[Message], None]:
        def heard(message: Message) -> None:
            if message.from_mqtt and message.qos and not sub.hides(message.subject):
                self.offer(sub, message)

        return heard

    # --- messages to the client --------------------------------------------------------------------

    def offer(self, sub: Sub, message: Message) -> bool:
        """Keep a message until the client has it; False if there is no room."""
        kept = Kept(sub, message.subject, message.payload, min(message.qos, sub.kept_qos))
        if not kept.qos or len(kept.topic) > packets.MAX_TEXT:
            return False
        if not self._ledger.take(kept.size):
            log.warning("MQTT session %r: a message is lost, there is no room for it", self.client_id)
            return False
        self._waiting.append(kept)
        self._fill()
        return True

    def number_retained(self, sub: Sub, subject: str, payload: bytes, qos: int) -> int:
        """A packet identifier for a retained message, which is given once; 0 if there is none left."""
        kept = Kept(sub, subject, payload, qos)
        number = self._next_number()
        if not number or not self._ledger.take(kept.size):
            return 0
        kept.number, kept.retained = number, True
        self._given[number] = kept
        return number

    def _fill(self) -> None:
        """Give what waits, as far as the client may have more in hand."""
        line = self.line
        if line is None:
            return
        while self._waiting and len(self._given) + len(self._releases) < self.max_unacknowledged:
            kept = self._waiting.popleft()
            if not self._may_have(line, kept):
                self._return(kept)
                continue
            kept.number = self._next_number()
            if not kept.number:
                self._waiting.appendleft(kept)
                break
            self._given[kept.number] = kept
            self._give(line, kept, again=False)
        self._arm(line)

    def _give(self, line: Line, kept: Kept, *, again: bool) -> None:
        data = packets.publish(kept.topic, kept.payload, qos=kept.qos, number=kept.number, dup=again)
        self._plan(line, kept)
        line.send(data)

    def _may_have(self, line: Line, kept: Kept) -> bool:
        # A subscription that a change took away takes what was kept for it along.
        handle = kept.sub.handle
        return handle is not None and not handle.closed and line.may_deliver(kept.subject)

    def _next_number(self) -> int:
        if len(self._given) + len(self._releases) >= MAX_NUMBER:
            return 0
        number = self._last % MAX_NUMBER + 1
        while number in self._given or number in self._releases:
            number = number % MAX_NUMBER + 1
        self._last = number
        return number

    def _return(self, kept: Kept) -> None:
        self._ledger.give_back(kept.size)

    # --- what the client answers -------------------------------------------------------------------

    def acknowledged(self, number: int) -> None:
        """PUBACK: it has the message."""
        self._took(number)
        self._fill()

    def received(self, number: int) -> None:
        """PUBREC: it has the message, and now wants it released."""
        line, known = self.line, number in self._given
        self._took(number)
        if line is None:
            return
        if known:
            release = self._releases[number] = Release(number)
            self._plan(line, release)
        line.send(packets.answer(packets.PUBREL, number))
        self._fill()

    def completed(self, number: int) -> None:
        """PUBCOMP: that was the last of it."""
        self._releases.pop(number, None)
        self._forget_done()
        self._fill()

    # --- messages of quality 2 from the client -----------------------------------------------------

    def stage(self, publish: packets.Publish) -> bool:
        """Keep a message until it is released; one that comes again changes nothing. False: no room."""
        if publish.number in self.incoming:
            return True
        if not self._ledger.take(size_of(publish)):
            return False
        self.incoming[publish.number] = publish
        return True

    def unstage(self, number: int) -> packets.Publish | None:
        publish = self.incoming.pop(number, None)
        if publish is not None:
            self._ledger.give_back(size_of(publish))
        return publish

    # --- the end of a message ----------------------------------------------------------------------

    def _took(self, number: int) -> None:
        kept = self._given.pop(number, None)
        if kept is not None:
            self._return(kept)
        self._forget_done()

    def drop(self, sub: Sub) -> None:
        """A subscription ends, and with it what was kept for it."""
        self._waiting = deque(kept for kept in self._waiting if not self._dropped(kept, sub))
        for number in [number for number, kept in self._given.items() if self._dropped(kept, sub)]:
            del self._given[number]
        sub.kept_qos = 0
        self._forget_done()

    def _dropped(self, kept: Kept, sub: Sub) -> bool:
        if kept.sub is not sub:
            return False
        self._return(kept)
        return True

    # --- giving again ------------------------------------------------------------------------------

    def _plan(self, line: Line, what: Kept | Release) -> None:
        self._agenda.append((line.now() + self.ack_wait, what))

    def _arm(self, line: Line) -> None:
        if self._timer is None and self._agenda:
            self._timer = line.later(max(self._agenda[0][0] - line.now(), 0.0), self._ring)

    def _ring(self) -> None:
        """Give again what is due, and look when the next is."""
        self._timer = None
        line = self.line
        if line is None:
            return
        now = line.now()
        while self._agenda and self._agenda[0][0] <= now:
            what = self._agenda.popleft()[1]
            if self._is_open(what):
                self._again(line, what)
        self._fill()

    def _again(self, line: Line, what: Kept | Release) -> None:
        if isinstance(what, Release):
            self._plan(line, what)
            line.send(packets.answer(packets.PUBREL, what.number))
        elif self._may_have(line, what):
            self._give(line, what, again=True)
        else:
            self._took(what.number)

    def _is_open(self, what: Kept | Release) -> bool:
        return self._given.get(what.number) is what or self._releases.get(what.number) is what

    def _forget_done(self) -> None:
        while self._agenda and not self._is_open(self._agenda[0][1]):
            self._agenda.popleft()


def size_of(publish: packets.Publish) -> int:
    return len(publish.topic) + len(publish.payload)


def topic_bytes(subject: str) -> bytes:
    """The topic of a subject, as it is sent."""
    return topic_of(subject).encode("utf-8", "surrogateescape")
