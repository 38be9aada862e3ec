"""What an account imports, at work: stand-ins for streams, links for services (enforcement spec §4).

A stream import makes a subscription stand a second time, in the exporter's trie. A service
import is an inner subscription in the importer that passes requests on under another subject,
and answers come back through a one-time subject of the exporter's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from broker.protocol.reader import NO_HEADERS
from broker.trie import Subscription
from issuer.claims.account import AccountClaims
from issuer.keys.nkeys import PublicKey

if TYPE_CHECKING:
    from broker.account import Account
    from broker.client import Client
    from broker.routing import Message, Router
    from broker.sharing import ServiceImport, StreamImport

REPLY_PREFIX: Final = "_R_."
INFO_HEADER: Final = b"Nats-Request-Info"
HEADER_LINE: Final = b"NATS/1.0\r\n"
_SWEEP_AT: Final = 1024


class Facts(Protocol):
    """What links need of the broker around them."""

    @property
    def router(self) -> Router: ...

    def account(self, public: PublicKey) -> Account | None: ...

    def now(self) -> float: ...

    def token(self, size: int) -> str:
        """Random letters and digits."""

    def request_info(self, client: Client | None, account: Account, *, shared: bool) -> dict[str, Any]: ...


class Response:
    """Where the answers to one request go back to."""

    __slots__ = ("at", "kind", "link", "requester", "subject", "threshold")

    def __init__(
        self, requester: Account, subject: str, kind: str, at: float, threshold: float, link: ServiceLink
    ) -> None:
        self.requester = requester
        self.subject = subject
        self.kind = kind
        self.at = at
        self.threshold = threshold
        self.link = link


class Responses:
    """The requests an exporter has not answered yet, behind one inner subscription."""

    __slots__ = ("_account", "_facts", "_prefix", "_waiting", "subscription")

    def __init__(self, account: Account, facts: Facts) -> None:
        self._account = account
        self._facts = facts
        self._prefix = f"{REPLY_PREFIX}{facts.token(6)}."
        self._waiting: dict[str, Response] = {}
        self.subscription = Subscription(f"{self._prefix}>", handler=self._answer)
        account.trie.insert(self.subscription)

    def expect(self, response: Response) -> str:
        """The subject under which the answer may come, once or as its kind allows."""
        if len(self._waiting) >= _SWEEP_AT:
            self._sweep(response.at)
        subject = self._prefix + self._facts.token(6)
        self._waiting[subject] = response
        return subject

    def clear(self) -> None:
        """Nobody waits any more: whatever changes an exporter ends what it was asked before."""
        self._waiting.clear()

    def forget(self, subject: str) -> None:
        self._waiting.pop(subject, None)

    def _sweep(self, now: float) -> None:
        late = [key for key, each in self._waiting.items() if now - each.at > each.threshold]
        for key in late:
            del self._waiting[key]

    def _answer(self, message: Message) -> None:
        response = self._waiting.get(message.subject)
        now = self._facts.now()
        if response is None or self._account.expired:
            return
        if now - response.at > response.threshold:
            self.forget(message.subject)
            return
        body = message.body
        reply = ""
        if message.reply:
            # An answer that asks back: its answer takes the same road in the other direction.
            back = Response(
                self._account, message.reply, response.kind, now, response.threshold, response.link
            )
            reply = responses_of(response.requester, self._facts).expect(back)
        # The requester's mappings hold for what it is answered, too.
        subject = response.requester.mappings.choose(response.subject, self._facts.router.chance)
        delivered = self._facts.router.send(
            response.requester,
            message.client,
            subject or "",
            reply,
            message.header,
            body,
            (*message.chain, response),
        )
        ended = response.kind == "Singleton" or (not message.headers and not message.payload)
        if not delivered or ended:
            self.forget(message.subject)
        else:
            response.at = now


class ServiceLink:
    """One service import: passes on what is published on its subject."""

    __slots__ = ("_facts", "_importer", "service")

    def __init__(self, importer: Account, service: ServiceImport, facts: Facts) -> None:
        self._importer = importer
        self._facts = facts
        self.service = service

    def pass_on(self, message: Message) -> bool:
        """Whether anybody in the exporter got it."""
        service = self.service
        if any(link is not None and link.same_export(self) for link in map(_link_of, message.chain)):
            return False
        exporter = self._facts.account(service.exporter)
        if exporter is None or exporter.expired:
            return False
        subject = service.to_exporter.apply(message.subject)
        if subject is None:
            return False
        mapped = exporter.mappings.choose(subject, self._facts.router.chance)
        if mapped is None:
            mapped = ""
        reply = ""
        responses = None
        if message.reply:
            responses = responses_of(exporter, self._facts)
            now = self._facts.now()
            threshold = service.threshold_ns / 1e9
            reply = responses.expect(
                Response(self._importer, message.reply, service.response_type, now, threshold, self)
            )
        headers = self._with_info(message)
        delivered = self._facts.router.send(
            exporter,
            message.client,
            mapped,
            reply,
            len(headers) or NO_HEADERS,
            headers + message.payload + b"\r\n",
            (*message.chain, self),
        )
        if not delivered and responses is not None:
            responses.forget(reply)
        return delivered

    def same_export(self, other: ServiceLink) -> bool:
        return (self.service.exporter, self.service.export) == (other.service.exporter, other.service.export)

    def _with_info(self, message: Message) -> bytes:
        before = [each for each in message.chain if isinstance(each, ServiceLink)]
        shared = before[-1].service.share if before else self.service.share
        info = header_value(message.headers, INFO_HEADER) if before else None
        if info is not None:
            said = msgspec.json.decode(info)
            members = {"acc": said.pop("acc", ""), "svc": self._importer.public, **said}
        else:
            members = self._facts.request_info(message.client, self._importer, shared=shared)
        return with_header(message.headers, INFO_HEADER, msgspec.json.encode(members))


def _link_of(passed: object) -> ServiceLink | None:
    """The import that a request, or the answer to one, came through."""
    return (
        passed.link if isinstance(passed, Response) else passed if isinstance(passed, ServiceLink) else None
    )


def responses_of(account: Account, facts: Facts) -> Responses:
    if account.responses is None:
        account.responses = Responses(account, facts)
    found: Responses = account.responses
    return found


class Look:
    """How one stand-in sees the exporter's subjects: as the importer calls them."""

    __slots__ = ("_stream", "exporter")

    def __init__(self, stream: StreamImport, exporter: Account) -> None:
        self._stream = stream
        self.exporter = exporter

    def local_subject(self, subject: str) -> str:
        return self._stream.to_local.apply(subject) or subject


def stand_ins(
    subscription: Subscription, streams: tuple[StreamImport, ...], find: Callable[[PublicKey], Account | None]
) -> tuple[tuple[Account, Subscription], ...]:
    """The places in exporters' tries where a subscription must stand too; not inserted yet."""
    made: list[tuple[Account, Subscription]] = []
    for stream in streams:
        subject = stream.listens_to(subscription.subject)
        exporter = find(stream.exporter) if subject is not None else None
        if subject is None or exporter is None:
            continue
        twin = Subscription(
            subject,
            subscription.queue,
            subscription.sid,
            client=subscription.client,
            handler=subscription.handler,
        )
        twin.filtered = subscription.filtered
        # A count set when it was made holds for it too, one set later does not: as on the server.
        twin.maximum, twin.delivered = subscription.maximum, subscription.delivered
        twin.imported = Look(stream, exporter)
        made.append((exporter, twin))
    return tuple(made)


def header_value(headers: bytes, name: bytes) -> bytes | None:
    """The value of one header, its name in the exact spelling."""
    for line in headers.split(b"\r\n")[1:]:
        key, colon, value = line.partition(b":")
        if colon and key == name:
            return value.strip()
    return None


def with_header(headers: bytes, name: bytes, value: bytes) -> bytes:
    """A header block with one header set, in the place of any other of that name."""
    lines = headers[:-2].split(b"\r\n") if len(headers) > 2 else []
    first = lines[0] + b"\r\n" if lines and lines[0] else HEADER_LINE
    kept = b"".join(line + b"\r\n" for line in lines[1:] if line and line.partition(b":")[0] != name)
    return first + kept + name + b": " + value + b"\r\n\r\n"


def names_of_exporters(claims: AccountClaims) -> set[PublicKey]:
    return {PublicKey(each.account) for each in claims.nats.imports}
