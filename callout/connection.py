"""The connection of the callout to its account, by nats-py."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import ssl
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from callout.responder import QUEUE, SUBJECT, XKEY_HEADER, Question
from callout.tracing import PARENT_HEADER, well_formed
from issuer.errors import Unavailable
from issuer.tokens.envelope import Token
from issuer.tokens.signer import Signer

log = logging.getLogger("accredit.callout")

NAME: Final = "accredit callout"
CONNECT_SECONDS: Final = 5
_AGAIN_SECONDS: Final = 0.5
_MOST_PENDING: Final = 65_536

Credentials = Callable[[], tuple[Token, Signer]]
"""The service's own user; asked again at every connection, so that it may be a fresh one."""


class Hearer(Protocol):
    """Who is handed the questions."""

    def hear(self, question: Question) -> None: ...

    async def drained(self, seconds: float) -> bool: ...


class _Asked:
    """A question as nats-py brought it."""

    __slots__ = ("_message", "body", "parent", "sender")

    def __init__(self, message: Msg) -> None:
        self._message = message
        self.body = message.data
        headers = message.headers or {}
        self.sender = headers.get(XKEY_HEADER, "")
        parent = headers.get(PARENT_HEADER, "")
        self.parent = parent if parent and well_formed(parent) else ""
        # The library answers with the headers it was asked with. Of those only this one is a reply's.
        message.headers = {PARENT_HEADER: self.parent} if self.parent else None

    async def answer(self, data: bytes) -> None:
        try:
            await self._message.respond(data)
        except NatsError as error:
            raise ConnectionError(str(error)) from None


class Connection:
    """Brings questions to a responder for as long as it is open; comes back by itself."""

    def __init__(
        self,
        urls: Sequence[str],
        credentials: Credentials,
        responder: Hearer,
        *,
        tls: ssl.SSLContext | None = None,
        queue: str = QUEUE,
    ) -> None:
        """Whoever shares a `queue` shares the questions; without one everybody hears all."""
        self._urls = list(urls)
        self._credentials = credentials
        self._responder = responder
        self._tls = tls
        self._queue = queue
        self._client: Client | None = None
        self._subscription: Subscription | None = None

    @property
    def connected(self) -> bool:
        return self._client is not None and self._client.is_connected

    async def open(self) -> None:
        """Connect and listen.

        Raises:
            Unavailable: no server lets us in.
        """

        # At every connection the client library asks for the signature first.
        shown = Token("")

        def signature(nonce: str) -> bytes:
            nonlocal shown
            shown, signer = self._credentials()
            return base64.b64encode(signer.sign(nonce.encode()))

        def token() -> bytearray:
            return bytearray(shown.encode())

        async def trouble(error: Exception) -> None:
            log.warning("connection of the callout: %s", error or type(error).__name__)

        try:
            client = await nats.connect(
                self._urls,
                name=NAME,
                user_jwt_cb=token,
                signature_cb=signature,
                tls=self._tls,
                connect_timeout=CONNECT_SECONDS,
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=_AGAIN_SECONDS,
                error_cb=trouble,
            )
        except (NatsError, OSError, TimeoutError) as error:
            where = ", ".join(self._urls)
            raise Unavailable(
                f"the callout is not let in at {where}: {error or type(error).__name__}",
                hint="is the server up, and has the account's token been pushed to it?",
            ) from None
        self._client = client
        self._subscription = await client.subscribe(
            SUBJECT, queue=self._queue, cb=self._heard, pending_msgs_limit=_MOST_PENDING
        )
        await client.flush()

    async def _heard(self, message: Msg) -> None:
        self._responder.hear(_Asked(message))

    async def close(self, *, patience: float) -> None:
        """Hear no more, answer what was heard, then go."""
        client, subscription = self._client, self._subscription
        self._client = self._subscription = None
        if client is None or subscription is None:
            return
        with contextlib.suppress(NatsError, TimeoutError, asyncio.TimeoutError):
            drained = subscription.drain()  # type: ignore[no-untyped-call]
            await asyncio.wait_for(drained, patience)
        await self._responder.drained(patience)
        with contextlib.suppress(NatsError, TimeoutError, asyncio.TimeoutError):
            await client.flush()
            await client.close()
