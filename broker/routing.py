"""From a published message to frames in receivers' hands (enforcement spec §1.7, §3, §4).

No I/O: frames are put into clients' `out`; who owns the sockets is woken once for all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from broker.client import MAX_FRAMES, Client
from broker.protocol import writer
from broker.protocol.reader import NO_HEADERS, Route
from broker.protocol.texts import Closed
from broker.trie import Matched, Subscription
from broker.wheel import Clock

if TYPE_CHECKING:
    from broker.account import Account

log = logging.getLogger("accredit.broker")

MAX_RECEIVERS: Final = 1024
"""Beyond it a message is delivered one by one, with a look at each receiver's queue."""
MAX_REMEMBERED_REPLIES: Final = 4096
_CRLF: Final = 2


@dataclass(frozen=True, slots=True)
class Message:
    """One message as inner subscribers see it."""

    subject: str
    reply: str
    headers: bytes
    payload: bytes
    account: Account
    client: Client | None
    chain: tuple[Any, ...] = ()
    """The service imports it came through."""

    @property
    def body(self) -> bytes:
        """As it travels: headers, payload, line end."""
        return self.headers + self.payload + b"\r\n"

    @property
    def header(self) -> int:
        return len(self.headers) or NO_HEADERS


Handler = Callable[[Message], bool | None]
"""What an inner subscription calls; False says that nobody got the message."""


class Host(Protocol):
    """Whoever owns connections: the core."""

    def slow_consumer(self, client: Client, closed: Closed) -> None: ...

    def unsubscribe(self, client: Client, subscription: Subscription) -> None: ...


@dataclass(slots=True)
class Counters:
    """What went through, since start."""

    in_msgs: int = 0
    in_bytes: int = 0
    out_msgs: int = 0
    out_bytes: int = 0


class Router:
    """Delivers. `wake` is called when frames begin to wait, and `flush` then sends them."""

    __slots__ = ("_clock", "_dirty", "_host", "chance", "counters", "max_pending", "wake")

    def __init__(self, host: Host, clock: Clock, chance: Callable[[], float], max_pending: int) -> None:
        self._host = host
        self._clock = clock
        self.chance = chance
        self._dirty: list[Client] = []
        self.max_pending = max_pending
        self.counters = Counters()
        self.wake: Callable[[], None] = lambda: None

    def touch(self, client: Client) -> None:
        """Something waits in this client's `out`."""
        if not client.dirty:
            client.dirty = True
            dirty = self._dirty
            if not dirty:
                self.wake()
            dirty.append(client)

    def tell(self, client: Client, frame: bytes) -> None:
        """Put one frame."""
        client.put(frame)
        if not client.dirty:
            self.touch(client)

    def flush(self) -> None:
        """Hand everything that waits to the sockets."""
        while self._dirty:
            dirty, self._dirty = self._dirty, []
            for client in dirty:
                client.dirty = False
                self.flush_client(client)

    def flush_client(self, client: Client) -> None:
        out = client.out
        if not out:
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        port = client.port
        port.write(data)
        if client.closed is None and port.pending() > self.max_pending:
            self._host.slow_consumer(client, Closed.SLOW_CONSUMER_PENDING)

    # --- the short way: what one header line always does -------------------------------------------

    def route(self, client: Client, subject: str, reply: bytes, header: int, size: int) -> Route | None:
        """A route, if this message goes the same simple way every time it comes."""
        account = client.account
        assert account is not None  # noqa: S101  only bound clients publish
        matched = account.trie.match(subject)
        if matched.groups or len(matched.plain) > MAX_RECEIVERS or (reply and not matched.plain):
            return None
        by_line: dict[bytes, list[Client]] = {}
        wire_subject = writer.wire(subject)
        for subscription in matched.plain:
            receiver = subscription.client
            if subscription.handler is not None or subscription.maximum:
                return None
            if (reply and receiver.remembers_replies) or (header >= 0 and not receiver.options.headers):
                return None
            if receiver is client and not client.options.echo:
                continue
            seen = subject
            if subscription.imported is not None:
                seen = subscription.imported.local_subject(subject)
            if subscription.filtered and not receiver.permissions.may_deliver(seen, subscription.queue):
                continue
            raw = wire_subject if seen is subject else writer.wire(seen)
            line = writer.first_line(raw, subscription.wire_sid, reply, header, size)
            by_line.setdefault(line, []).append(receiver)
        return Route(
            size + _CRLF,
            tuple((line, tuple(each.put for each in receivers)) for line, receivers in by_line.items()),
            tuple(each for receivers in by_line.values() for each in receivers),
        )

    def settle(self, client: Client, active: list[Route]) -> None:
        """Count what routes did, and see that receivers are sent to."""
        account = client.account
        assert account is not None  # noqa: S101  only bound clients publish
        counters = self.counters
        for route in active:
            hits, size = route.hits, route.span - _CRLF
            route.hits = 0
            client.in_msgs += hits
            client.in_bytes += hits * size
            account.in_msgs += hits
            account.in_bytes += hits * size
            counters.in_msgs += hits
            counters.in_bytes += hits * size
            receivers = route.receivers
            if not receivers:
                continue
            volume = hits * size
            copies = hits * len(receivers)
            account.out_msgs += copies
            account.out_bytes += copies * size
            counters.out_msgs += copies
            counters.out_bytes += copies * size
            for receiver in receivers:
                receiver.out_msgs += hits
                receiver.out_bytes += volume
                if not receiver.dirty:
                    self.touch(receiver)
                if len(receiver.out) > MAX_FRAMES:
                    self.flush_client(receiver)

    # --- the long way ------------------------------------------------------------------------------

    def received(self, client: Client, size: int) -> None:
        """Count one message that came in."""
        client.in_msgs += 1
        client.in_bytes += size
        account = client.account
        if account is not None:
            account.in_msgs += 1
            account.in_bytes += size
        self.counters.in_msgs += 1
        self.counters.in_bytes += size

    def send(
        self,
        account: Account,
        sender: Client | None,
        subject: str,
        reply: str,
        header: int,
        body: bytes,
        chain: tuple[Any, ...] = (),
    ) -> bool:
        """Deliver to all who listen in `account`; whether anybody got it."""
        matched = account.trie.match(subject)
        if not (matched.plain or matched.groups):
            return False
        return self._spread(account, sender, matched, subject, reply, header, body, chain)

    def _spread(
        self,
        account: Account,
        sender: Client | None,
        matched: Matched,
        subject: str,
        reply: str,
        header: int,
        body: bytes,
        chain: tuple[Any, ...],
    ) -> bool:
        delivered = False
        inner: list[Subscription] = []
        for subscription in matched.plain:
            if subscription.client is None:
                inner.append(subscription)
                continue
            if chain and subscription.imported is not None:
                continue  # what came as a request is not exported again as a stream
            if self._deliver(account, sender, subscription, subject, reply, header, body, chain):
                delivered = True
        for group in matched.groups:
            count = len(group)
            first = int(self.chance() * count) if count > 1 else 0
            for place in range(first, first + count):
                member = group[place if place < count else place - count]
                if self._deliver(account, sender, member, subject, reply, header, body, chain):
                    delivered = True
                    break
        # Services last: a client that listens to all hears the question before the answer.
        for subscription in inner:
            if self._deliver(account, sender, subscription, subject, reply, header, body, chain):
                delivered = True
        return delivered

    def _deliver(
        self,
        account: Account,
        sender: Client | None,
        subscription: Subscription,
        subject: str,
        reply: str,
        header: int,
        body: bytes,
        chain: tuple[Any, ...],
    ) -> bool:
        client: Client | None = subscription.client
        handler: Handler | None = subscription.handler
        cut = max(header, 0)
        if client is None:
            # One of our own: not counted, not filtered.
            if subscription.closed or handler is None:
                return False
            message = Message(subject, reply, body[:cut], body[cut:-2], account, sender, chain)
            try:
                return handler(message) is not False
            except Exception:
                # A fault of a service of ours must not end the connection of who asked it.
                log.exception("service on %s failed", subscription.subject)
                return True
        if subscription.closed or (client is sender and not client.options.echo):
            return False
        imported = subscription.imported
        seen = subject if imported is None else imported.local_subject(subject)
        if subscription.filtered and not client.permissions.may_deliver(seen, subscription.queue):
            return False
        subscription.delivered += 1
        over = subscription.maximum and subscription.delivered >= subscription.maximum
        if handler is not None:
            # Handed to the conversation that holds the subscription; the server does not count it.
            handler(Message(seen, reply, body[:cut], body[cut:-2], account, sender, chain))
            if over:
                self._host.unsubscribe(client, subscription)
            return True
        if header >= 0 and not client.options.headers:
            body = body[header:]
            header = NO_HEADERS
        size = len(body) - _CRLF
        client.put(
            writer.first_line(writer.wire(seen), subscription.wire_sid, writer.wire(reply), header, size)
            + body
        )
        if not client.dirty:
            self.touch(client)
        if len(client.out) > MAX_FRAMES:
            self.flush_client(client)
        client.out_msgs += 1
        client.out_bytes += size
        account.out_msgs += 1
        account.out_bytes += size
        self.counters.out_msgs += 1
        self.counters.out_bytes += size
        # The server asks whether it may answer already, and to ask counts as an answer.
        if (
            reply
            and client.remembers_replies
            and not client.permissions.can_publish(reply)
            and not self.may_reply(client, reply)
        ):
            self._remember_reply(client, reply)
        if over:
            self._host.unsubscribe(client, subscription)
        return True

    def _remember_reply(self, client: Client, reply: str) -> None:
        replies = client.remembered_replies
        replies[reply] = [0, self._clock()]
        if len(replies) > MAX_REMEMBERED_REPLIES:
            rule = client.permissions.response
            floor = self._clock() - rule.ttl_ns / 1e9 if rule.ttl_ns > 0 else 0.0
            for key in [key for key, (_, at) in replies.items() if at < floor]:
                del replies[key]
            while len(replies) > MAX_REMEMBERED_REPLIES:
                # Unlimited time must not mean unlimited memory: the oldest go.
                del replies[next(iter(replies))]

    def may_reply(self, client: Client, subject: str) -> bool:
        """Whether a publish that permissions refuse is an answer that was asked for (spec §3.4)."""
        asked = client.remembered_replies.get(subject)
        if asked is None:
            return False
        rule = client.permissions.response
        asked[0] += 1
        if (rule.max > 0 and asked[0] > rule.max) or (
            rule.ttl_ns > 0 and self._clock() - asked[1] > rule.ttl_ns / 1e9
        ):
            del client.remembered_replies[subject]
            return False
        return True

    def no_responders(self, client: Client, subject: str, reply: str) -> None:
        """Tell a requester that nobody listens, if it does itself for the answer."""
        account = client.account
        assert account is not None  # noqa: S101  only bound clients publish
        for subscription in account.trie.match(reply).plain:
            if subscription.client is client:
                frame = writer.no_responders(writer.wire(subject), subscription.wire_sid, writer.wire(reply))
                self.tell(client, frame)
                return
