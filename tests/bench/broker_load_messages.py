"""Loads of messages: each `batch` sends its share, sees all of it arrive, and says how many."""

from __future__ import annotations

import itertools
import random
import re
import select
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from tests.bench.broker_load_links import MARK, PATIENCE, LoadError, Receivers, let_in
from tests.bench.broker_load_world import World

_PER_WRITE: Final = 500
_FAN: Final = 100
_REQUESTERS: Final = 64
_RESPONDERS: Final = 4
_TRIPS: Final = 20_000
_DISTINCT: Final = 100_000
_CONNECTIONS: Final = 10


# A subscriber of a flow, and the number it gave the subscription that a message fits.
Goal = tuple[int, bytes]


def _body(number: int) -> bytes:
    """16 bytes that are another message's at no other place of a batch."""
    return b"%015d%b" % (number, MARK)


def _publications(subjects: Iterable[bytes], *, first: int = 0) -> bytes:
    return b"".join(
        b"PUB %b 16\r\n%b\r\n" % (subject, _body(number)) for number, subject in enumerate(subjects, first)
    )


class Publishing:
    """One publisher, and nobody who listens."""

    def __init__(self, port: int, world: World, *, permitted: bool = False) -> None:
        (self._publisher,) = let_in(port, [world.user(permitted=permitted)])
        self._blob = _publications([b"bench.none"] * _PER_WRITE)

    def batch(self) -> int:
        for _ in range(200):
            self._publisher.send(self._blob)
        self._publisher.flush()
        return 200 * _PER_WRITE

    def close(self) -> None:
        self._publisher.close()


class Flow:
    """One publisher, some subscribers; the publisher stays a window of deliveries ahead.

    `subjects` make a batch; `goals` says where each must arrive. The first batch is compared byte
    for byte with that, the later ones are counted.
    """

    def __init__(
        self,
        port: int,
        world: World,
        subjects: Sequence[bytes],
        subscribing: Sequence[bytes],
        goals: Callable[[bytes], Sequence[Goal]],
        *,
        permitted: bool = False,
    ) -> None:
        self._publisher, *subscribers = let_in(
            port, [world.user(permitted=permitted) for _ in range(len(subscribing) + 1)]
        )
        for link, lines in zip(subscribers, subscribing, strict=True):
            link.flush(lines)
        self._receivers = Receivers(subscribers)
        self._blobs: list[tuple[bytes, int]] = []
        arrivals: list[list[bytes]] = [[] for _ in subscribing]
        for start in range(0, len(subjects), _PER_WRITE):
            part = subjects[start : start + _PER_WRITE]
            deliveries = 0
            for number, subject in enumerate(part, start):
                for subscriber, sid in goals(subject):
                    arrivals[subscriber].append(b"MSG %b %b 16\r\n%b\r\n" % (subject, sid, _body(number)))
                    deliveries += 1
            self._blobs.append((_publications(part, first=start), deliveries))
        self._window = 4 * max(deliveries for _, deliveries in self._blobs)
        self._sent = 0
        self._receivers.record()
        self.batch()
        self._receivers.compare([b"".join(each) for each in arrivals])

    def batch(self) -> int:
        before = self._sent
        for blob, deliveries in self._blobs:
            self._publisher.send(blob)
            self._sent += deliveries
            self._receivers.read(self._sent - self._window)
        self._publisher.flush()
        self._receivers.read_all(self._sent)
        return self._sent - before

    def close(self) -> None:
        self._publisher.close()
        self._receivers.close()


def one_subscriber(port: int, world: World, *, permitted: bool = False) -> Flow:
    subjects = [b"bench.one"] * (100 * _PER_WRITE)
    goal = [(0, b"1")]
    return Flow(port, world, subjects, [b"SUB bench.one 1\r\n"], lambda _: goal, permitted=permitted)


def fan_out(port: int, world: World, *, permitted: bool = False) -> Flow:
    """Each subscriber numbers its subscription otherwise: no two get the same bytes."""
    sids = [b"%d" % (1 + number) for number in range(_FAN)]
    subscribing = [b"SUB bench.fan %b\r\n" % sid for sid in sids]
    everybody = list(enumerate(sids))
    return Flow(
        port, world, [b"bench.fan"] * 4 * _PER_WRITE, subscribing, lambda _: everybody, permitted=permitted
    )


def distinct(port: int, world: World, *, permitted: bool = False) -> Flow:
    """100,000 subjects over 10,000 subscriptions of three shapes; each message fits exactly one."""
    cells = list(itertools.product(range(100), range(100)))
    shapes = (b"bench.d.%d.%d.*", b"bench.d.%d.%d.>", b"bench.*.%d.%d.*")
    patterns = [shapes[(a + b) % 3] % (a, b) for a, b in cells]
    subjects = {
        b"bench.d.%d.%d.%d" % (*cell, last): place
        for place, cell in enumerate(cells)
        for last in range(_DISTINCT // len(cells))
    }
    return _scattered(port, world, patterns, subjects, permitted=permitted)


def matching(port: int, world: World, *, subscriptions: int) -> Flow:
    """The same number of distinct subjects, spread evenly over few or many subscriptions."""
    patterns = [b"bench.m.%05d.*" % number for number in range(subscriptions)]
    subjects = {
        b"bench.m.%05d.%03d" % (number % subscriptions, number // subscriptions): number % subscriptions
        for number in range(_DISTINCT)
    }
    return _scattered(port, world, patterns, subjects, permitted=False)


def _scattered(
    port: int, world: World, patterns: Sequence[bytes], subjects: Mapping[bytes, int], *, permitted: bool
) -> Flow:
    """Patterns dealt to ten subscribers; `subjects` says which pattern each subject fits."""
    # Numbers of one length: lines of the same size, however many subscriptions there are.
    sids = [b"%d" % (100_000 + place) for place in range(len(patterns))]
    lines = [b"SUB %b %b\r\n" % line for line in zip(patterns, sids, strict=True)]
    subscribing = [b"".join(lines[first::_CONNECTIONS]) for first in range(_CONNECTIONS)]
    shuffled = list(subjects)
    random.Random(1).shuffle(shuffled)

    def goals(subject: bytes) -> Sequence[Goal]:
        place = subjects[subject]
        return [(place % _CONNECTIONS, sids[place])]

    return Flow(port, world, shuffled, subscribing, goals, permitted=permitted)


_BODY: Final = _body(1)
_END: Final = b" 16\r\n" + _BODY + b"\r\n"
_REQUEST: Final = re.compile(rb"MSG bench\.svc 1 (_INBOX\.\d\d\.\d{8}) 16\r\n" + re.escape(_BODY) + rb"\r\n")


class Requesting:
    """64 requesters with one request under way each, every one with a reply subject of its own.

    Four responders of one queue group answer whatever they find in one read with one write.
    """

    def __init__(self, port: int, world: World, *, permitted: bool = False) -> None:
        logins = [world.user(permitted=permitted) for _ in range(_REQUESTERS + _RESPONDERS)]
        links = list(let_in(port, logins))
        self._requesters = links[:_REQUESTERS]
        for index, link in enumerate(self._requesters):
            link.flush(b"SUB _INBOX.%02d.* 1\r\n" % index)
        for link in links[_REQUESTERS:]:
            link.flush(b"SUB bench.svc workers 1\r\n")
        self._index = {link.fileno: index for index, link in enumerate(self._requesters)}
        self._responders = {link.fileno: link for link in links[_REQUESTERS:]}
        self._rests = dict.fromkeys(self._responders, b"")
        self._poll = select.epoll(len(links))
        for link in links:
            self._poll.register(link.fileno, select.EPOLLIN)
        self._expected = [b""] * _REQUESTERS
        self._asked = 0

    def batch(self) -> int:
        for index in range(_REQUESTERS):
            self._ask(index)
        asked, done = _REQUESTERS, 0
        while done < _TRIPS:
            ready = self._poll.poll(PATIENCE)
            if not ready:
                raise LoadError(f"{_TRIPS - done} round trips are missing")
            for number, _ in ready:
                index = self._index.get(number, -1)
                if index < 0:
                    self._respond(number)
                elif self._answered(index):
                    done += 1
                    if asked < _TRIPS:
                        self._ask(index)
                        asked += 1
        return done

    def _ask(self, index: int) -> None:
        self._asked += 1
        inbox = b"_INBOX.%02d.%08d" % (index, self._asked)
        self._expected[index] = b"MSG " + inbox + b" 1" + _END
        self._requesters[index].send(b"PUB bench.svc " + inbox + _END)

    def _answered(self, index: int) -> bool:
        link, expected = self._requesters[index], self._expected[index]
        data = link.recv(4096)
        if data == expected:
            return True
        if data == b"PING\r\n":
            return False
        rest = data.replace(b"PING\r\n", b"")
        while data and len(rest) < len(expected):
            data = link.recv(4096)
            rest += data
        if rest != expected:
            raise LoadError(f"not the answer: {rest[:200]!r}")
        return True

    def _respond(self, number: int) -> None:
        link = self._responders[number]
        data = self._rests[number] + link.recv(1 << 16)
        end = 0
        answers = []
        for match in _REQUEST.finditer(data):
            answers.append(b"PUB " + match[1] + _END)
            end = match.end()
        self._rests[number] = rest = data[end:]
        if len(rest) > 200:
            raise LoadError(f"not a request: {rest[:200]!r}")
        if answers:
            link.send(b"".join(answers))

    def close(self) -> None:
        self._poll.close()
        for link in (*self._requesters, *self._responders.values()):
            link.close()
