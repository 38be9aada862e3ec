"""One client's conversation: what each operation means for the broker (enforcement spec §1.3–1.5).

The reader calls it, it calls the core. States, in order: a connection waits for CONNECT, is
decided (which may take an answer from elsewhere), is open, and ends.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec

from broker.client import Client
from broker.protocol import texts, writer
from broker.protocol.connect import ConnectSyntaxError, read_connect
from broker.protocol.reader import NO_HEADERS, Reader, Route, Stop
from broker.protocol.texts import Closed
from broker.protocol.writer import unwire
from broker.trie import Subscription
from issuer.claims.fields import UNLIMITED as NO_LIMIT

if TYPE_CHECKING:
    from broker.core import Core
    from broker.entrance import Entrance

log = logging.getLogger("accredit.broker")

RESERVED_QUEUE: Final = "_sys_"
_GATEWAY: Final = "_GR_."
_RESERVED_REPLIES: Final = ("_R_.", "$JS.ACK.", _GATEWAY)
_CONSENSUS: Final = "$NRG."
AFTER_LIMIT: Final = 0.02
"""Seconds between the word that a limit is reached and the end."""


class Session:
    """The sink of one connection's reader."""

    __slots__ = (
        "_core",
        "_entrance",
        "_info_sent",
        "_router",
        "_was_in",
        "awaits_connect",
        "client",
        "cookie",
        "reader",
    )

    def __init__(self, core: Core, entrance: Entrance, client: Client) -> None:
        self._core = core
        self._router = core.router
        self._entrance = entrance
        self.client = client
        self.reader = Reader(self, core.options.max_control_line)
        self.awaits_connect = entrance.required
        self.cookie = ""
        """The token a browser sent with its request, for who says none in CONNECT."""
        self._info_sent = False
        self._was_in = False

    @property
    def generation(self) -> int:
        account = self.client.account
        return -1 if account is None else account.trie.generation

    # --- CONNECT -----------------------------------------------------------------------------------

    def connect(self, arguments: bytes) -> None:
        client = self.client
        try:
            client.options = read_connect(arguments, client.options if client.said_connect else None)
        except ConnectSyntaxError as error:
            if error.partial is not None:
                client.options = error.partial
            self.fault(None)
        if self.cookie and not client.options.jwt:
            client.options = msgspec.structs.replace(client.options, jwt=self.cookie)
        again, client.said_connect = client.said_connect, True
        if again:
            self._core.leave(client)
            self.reader.forget()
        if client.rtt == 0.0:
            client.rtt = max(self._core.now() - client.started, 1e-6)
        self.reader.paused = True
        self._entrance.decide(self)
        if self.client.closed is not None:
            raise Stop

    def admitted(self) -> None:
        """The entrance let it in: the last checks of CONNECT, then it may go on."""
        again, self._was_in = self._was_in, True
        client, options = self.client, self.client.options
        self._core.announce(client)
        if client.closed is not None:
            return
        if options.new_account or options.account:
            self._core.refuse(
                client,
                Closed.AUTHENTICATION_FAILURE,
                texts.AUTHORIZATION_VIOLATION,
                "an account was asked for by name",
            )
            return
        self.awaits_connect = False
        if not 0 <= options.protocol <= 1:
            self._core.close(client, Closed.BAD_PROTOCOL_VERSION, texts.INVALID_CLIENT_PROTOCOL)
            return
        if options.no_responders and not options.headers:
            self._core.close(client, Closed.NO_RESPONDERS_NEEDS_HEADERS, texts.NO_RESPONDERS_NEEDS_HEADERS)
            return
        if options.verbose:
            self._router.tell(client, writer.OK)
        limit = client.limits.subscriptions
        if again and client.callout is None and client.effective is not client.user:
            # At a second CONNECT the server holds a role's user to its own token, which allows nothing.
            limit = 0
        if limit >= 0 and len(client.subscriptions) >= limit:
            # A limit of nothing: the server lets it in, says so, and closes (spec §0, 8).
            self._router.tell(client, writer.error(texts.TOO_MANY_SUBSCRIPTIONS))
            self._core.later(AFTER_LIMIT, lambda: self._core.close(client, Closed.MAX_SUBSCRIPTIONS))
        self.go_on()

    def go_on(self) -> None:
        """Read on, now or when the reader is back from the line that brought us here."""
        if self.reader.paused:
            self.reader.paused = False
            if self.reader.buffered:
                self.reader.resume()
            self.client.port.resume()

    def bind_open(self) -> None:
        """Without operator or users: a client that does not say CONNECT is in the open account."""
        if self.client.account is None:
            self._core.bind(self.client, self._core.globals, None)

    def unauthorized(self) -> None:
        if self._entrance.without_connect(self):
            self.awaits_connect = False
            return
        self._core.refuse(
            self.client,
            Closed.AUTHENTICATION_FAILURE,
            texts.AUTHORIZATION_VIOLATION,
            "something else than CONNECT came first",
        )
        raise Stop

    # --- PUB ---------------------------------------------------------------------------------------

    def announce(self, subject: bytes, header: int, size: int) -> None:
        client = self.client
        if client.account is None:
            self.bind_open()
        if header != NO_HEADERS and not client.options.headers:
            self.fault(None)
        limit = client.limits.payload
        if limit != NO_LIMIT and size > limit:
            log.error("%r - maximum payload exceeded: %d beside %d", client, size, limit)
            self._core.close(client, Closed.MAX_PAYLOAD, texts.PAYLOAD_VIOLATION)
            raise Stop
        if client.options.pedantic and not _literal(unwire(subject)):
            self._router.tell(client, writer.error(texts.INVALID_PUBLISH_SUBJECT))

    def route(self, subject: bytes, reply: bytes, header: int, size: int) -> Route | None:
        client = self.client
        account = client.account
        if account is None or client.options.verbose or client.options.pedantic:
            return None
        name = unwire(subject)
        if not account.mappings.static(name) or self._refusal(name, reply, answering=False) is not None:
            return None
        if reply and client.options.no_responders:
            return None
        return self._router.route(client, name, reply, header, size)

    def publish(self, subject: bytes, reply: bytes, header: int, body: bytes) -> None:
        client, router = self.client, self._router
        account = client.account
        if account is None:
            return
        router.received(client, len(body) - 2)
        said = unwire(subject)
        name = said if account.mappings.empty else account.mappings.choose(said, router.chance)
        if name is None:
            name = ""  # the share of a mapping that goes nowhere is published there
        refused = self._refusal(name, reply, answering=True)
        if refused is not None:
            log.error("%r - %s", client, refused)
            router.tell(client, writer.error(refused))
            return
        if client.options.verbose:
            router.tell(client, writer.OK)
        answer = unwire(reply) if reply else ""
        delivered = router.send(account, client, name, answer, header, body)
        if answer and not delivered and client.options.no_responders and client.closed is None:
            router.no_responders(client, name, answer)

    def _refusal(self, subject: str, reply: bytes, *, answering: bool) -> str | None:
        """Why this may not be published; None if it may.

        With `answering`, a remembered reply overrides the permissions, and is used up by it.
        """
        client = self.client
        if subject[:5] == _GATEWAY:
            return texts.publish_violation(subject)
        permissions = client.permissions
        if permissions is not None and permissions.restricts_publish and not permissions.can_publish(subject):
            replies = answering and client.remembers_replies
            if not (replies and self._router.may_reply(client, subject)):
                return texts.publish_violation(subject)
        if subject[:5] == _CONSENSUS and not (client.account is not None and client.account.system):
            return texts.publish_violation(subject)
        if reply and reply[:1] in b"_$":
            answer = unwire(reply)
            if answer.startswith(_RESERVED_REPLIES):
                return texts.reply_violation(answer)
        return None

    def settle(self, active: list[Route]) -> None:
        self._router.settle(self.client, active)

    # --- SUB, UNSUB --------------------------------------------------------------------------------

    def subscribe(self, subject: bytes, queue: bytes, sid: bytes) -> None:
        client, router = self.client, self._router
        if client.account is None:
            self.bind_open()
        name, group = unwire(subject), unwire(queue)
        permissions = client.permissions
        refused = group == RESERVED_QUEUE or (
            permissions is not None
            and permissions.restricts_subscribe
            and not permissions.can_subscribe(name, group)
        )
        if refused:
            text = texts.subscription_violation(name, group)
            log.error("%r - %s", client, text)
            router.tell(client, writer.error(text))
            return
        most = self._core.options.max_subscription_tokens
        if most and name.count(".") >= most:
            router.tell(client, writer.error(texts.too_many_tokens(name)))
            return
        limit = client.limits.subscriptions
        if limit >= 0 and len(client.subscriptions) >= limit:
            log.error("%r - %s", client, texts.TOO_MANY_SUBSCRIPTIONS)
            router.tell(client, writer.error(texts.TOO_MANY_SUBSCRIPTIONS))
            return
        number = unwire(sid)
        if number not in client.subscriptions:
            subscription = Subscription(name, group, number, client=client)
            if permissions is not None:
                subscription.filtered = permissions.filters(name, group)
            if not self._core.subscribe_client(client, subscription):
                router.tell(client, writer.error(texts.INVALID_SUBJECT))
                return
        if client.options.verbose:
            router.tell(client, writer.OK)

    def unsubscribe(self, sid: bytes, maximum: int) -> None:
        client = self.client
        subscription = client.subscriptions.get(unwire(sid))
        if client.options.verbose and client.account is not None:
            self._router.tell(client, writer.OK)
        if subscription is None:
            return
        if maximum > 0 and maximum > subscription.delivered:
            subscription.maximum = maximum
            if client.account is not None:
                client.account.trie.generation += 1
        else:
            self._core.unsubscribe(client, subscription)

    # --- the rest ----------------------------------------------------------------------------------

    def ping(self) -> None:
        client = self.client
        self._router.tell(client, writer.PONG)
        if not self._info_sent and client.said_connect:
            self._info_sent = client.first_pong = True
            if client.options.protocol >= 1:
                self._router.tell(client, self._entrance.connect_info(client))

    def pong(self) -> None:
        client = self.client
        if client.pending_pings:
            client.pending_pings = 0
            client.rtt = max(self._core.now() - client.pinged_at, 1e-9)

    def info(self, arguments: bytes) -> None:
        """Clients have nothing to tell, but what they send must be what it says it is."""
        try:
            if not isinstance(msgspec.json.decode(arguments.decode("utf-8", "replace")), (dict, type(None))):
                self.fault(None)
        except (msgspec.MsgspecError, RecursionError):
            self.fault(None)

    def error(self, arguments: bytes) -> None:
        log.error("%r - Client Error %r", self.client, arguments)
        self._core.close(self.client, Closed.PARSE_ERROR)
        raise Stop

    def fault(self, text: str | None) -> None:
        closed = Closed.MAX_CONTROL_LINE if text == texts.CONTROL_LINE_EXCEEDED else Closed.PROTOCOL_VIOLATION
        self._core.close(self.client, closed, text)
        raise Stop


def _literal(subject: str) -> bool:
    tokens = subject.split(".")
    return not ({"", "*", ">"} & set(tokens))
