"""Loads of connections: letting them in, keeping them, and what a change of claims does to them."""

from __future__ import annotations

import json
import select
import time
from typing import Final

from issuer.claims.fields import Permission, Permissions
from issuer.subjects import Subject
from issuer.tokens.envelope import Token
from tests.bench.broker_load_links import PATIENCE, Link, LoadError, let_in
from tests.bench.broker_load_server import Server
from tests.bench.broker_load_world import World

IDLE: Final = 10_000
CROWD: Final = 2_000
_REVOKED: Final = b"-ERR 'User Authentication Revoked'\r\n"
_DROPPED: Final = b'-ERR \'Permissions Violation for Subscription to "drop.me" (sid "2")\'\r\n'
_REPLY: Final = b"_INBOX.push"


class Arriving:
    """Users who come, are let in and go. `known` of them come again and again; 0 is all new ones."""

    def __init__(self, port: int, world: World, *, known: int = 0) -> None:
        self._port, self._world, self._known, self._next = port, world, known, 0
        for _ in range(known // _BATCH):
            self.batch()  # from here on they are known

    def batch(self) -> int:
        logins = self._world.users(self._next, _BATCH)
        self._next += _BATCH
        if self._known:
            self._next %= self._known
        for link in let_in(self._port, logins):
            link.close()
        return _BATCH

    def close(self) -> None:
        """Nobody stays."""


_BATCH: Final = 500


def bytes_per_idle_connection(server: Server, world: World) -> float:
    """What the server's memory grows by for each connection that only stands there."""
    for link in let_in(server.port, world.users(IDLE, 50)):
        link.close()  # so that what is made once, at the first connection, is there
    server.settled_cpu()
    before = server.resident()
    links = list(let_in(server.port, world.users(0, IDLE)))
    time.sleep(2)
    grown = server.resident() - before
    for link in links:
        link.close()
    return grown / IDLE


class Pushing:
    """The system account's connection that account tokens are sent on."""

    def __init__(self, port: int, world: World) -> None:
        (self._link,) = let_in(port, [world.system_user()])
        self._link.flush(b"SUB %b 1\r\n" % _REPLY)

    def send(self, token: Token) -> None:
        self._link.send(b"PUB $SYS.REQ.CLAIMS.UPDATE %b %d\r\n%b\r\n" % (_REPLY, len(token), token.encode()))

    def confirm(self) -> None:
        """The server's word that it took the token."""
        seen = b""
        while not (seen.startswith(b"MSG ") and seen.endswith(b"}\r\n")):
            seen += self._link.recv(65536)
            seen = seen.replace(b"PING\r\n", b"")
            if seen.startswith(b"-ERR"):
                raise LoadError(f"cut off: {seen!r}")
        answer = json.loads(seen[seen.index(b"{") :])
        if answer.get("data", {}).get("code") != 200:
            raise LoadError(f"the update was refused: {answer}")

    def close(self) -> None:
        self._link.close()


def _until_all(links: list[Link], expected: bytes) -> float:
    """The moment the last of them has got this line; others than INFO and PING are an error."""
    with select.epoll(len(links)) as poll:
        waiting = {link.fileno: link for link in links}
        seen = dict.fromkeys(waiting, b"")
        for number in waiting:
            poll.register(number, select.EPOLLIN)
        while waiting:
            ready = poll.poll(PATIENCE)
            if not ready:
                raise LoadError(f"{len(waiting)} connections saw no effect")
            for number, _ in ready:
                data = waiting[number].recv(4096)
                if data == expected or _arrived(seen[number] + data, expected):
                    poll.unregister(number)
                    del waiting[number]
                elif not data:
                    raise LoadError(f"cut off: {seen[number]!r}")
                else:
                    seen[number] += data
        return time.perf_counter()


def _arrived(data: bytes, expected: bytes) -> bool:
    *lines, rest = data.split(b"\r\n")
    said = [line for line in lines if not line.startswith((b"INFO ", b"PING"))]
    if said and said != [expected[:-2]]:
        raise LoadError(f"not the effect: {said!r}")
    return bool(said) and not rest


class Revoking:
    """Each `effect` cuts off 2,000 live connections by one update: seconds to the last `-ERR`."""

    def __init__(self, server: Server, world: World) -> None:
        self._port, self._world = server.port, world
        self._pushing = Pushing(server.port, world)
        self._now = world.start

    def effect(self) -> float:
        self._now += 10
        users = [self._world.user(issued_at=self._now) for _ in range(CROWD)]
        token = self._world.account_token(self._now + 5, revoked_until=self._now + 5)
        links = list(let_in(self._port, users))
        start = time.perf_counter()
        self._pushing.send(token)
        took = _until_all(links, _REVOKED) - start
        self._pushing.confirm()
        for link in links:
            link.close()
        return took

    def close(self) -> None:
        self._pushing.close()


class Narrowing:
    """Each `effect` takes one of two subscriptions from 2,000 live connections by the defaults."""

    def __init__(self, server: Server, world: World) -> None:
        self._world, self._now = world, world.start
        self._pushing = Pushing(server.port, world)
        self._links: list[Link] = []
        self._port = server.port

    def effect(self) -> float:
        self._push("keep.>", "drop.>")
        self._pushing.confirm()
        if not self._links:
            self._links = list(let_in(self._port, self._world.users(0, CROWD)))
        for link in self._links:
            link.flush(b"SUB keep.me 1\r\nSUB drop.me 2\r\n")
        start = time.perf_counter()
        self._push("keep.>")
        took = _until_all(self._links, _DROPPED) - start
        self._pushing.confirm()
        for link in self._links:
            link.flush(b"UNSUB 1\r\n")
        return took

    def _push(self, *allowed: str) -> None:
        self._now += 1
        defaults = Permissions(sub=Permission(allow=tuple(map(Subject, allowed))))
        self._pushing.send(self._world.account_token(self._now, default_permissions=defaults))

    def close(self) -> None:
        self._pushing.close()
        for link in self._links:
            link.close()
