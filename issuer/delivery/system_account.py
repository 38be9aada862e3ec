"""The connection to the servers' system account: a small interface, and nats-py behind it.

All that delivery needs of a message system is here, so that a fleet in memory can stand in for
it. Errors of the client library do not pass: whoever calls sees `Unavailable` or `Refused`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import random
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from issuer.delivery.guard import OversizeToken
from issuer.errors import Unavailable
from issuer.tokens.envelope import Token
from issuer.tokens.signer import Signer

NAME: Final = "accredit pusher"
# Answers of our own processes to these inboxes say whose they are; see `lookup`.
INBOX: Final = "_INBOX_accredit"
_CONNECT_SECONDS: Final = 5
_LOOK_AGAIN: Final = 0.05
_PAYLOAD_WORDS: Final = "maximum payload"

Credentials = Callable[[], tuple[Token, Signer]]


class ConnectionLost(Unavailable):
    """The system connection ended while something was under way; the message is the server's words."""

    code = "delivery.connection-lost"


@dataclass(frozen=True, slots=True)
class Reply:
    """One message: `reply` is where an answer goes, `ours` who of our own answered."""

    payload: bytes
    subject: str = ""
    reply: str = ""
    ours: str = ""


Enough = Callable[[Sequence[Reply]], bool]
Handler = Callable[[Reply], Awaitable[None]]


class SystemAccount(Protocol):
    """What delivery needs of a connection to the system account."""

    @property
    def max_payload(self) -> int:
        """Bytes of the largest message the server at the other end takes."""
        ...

    @property
    def closed(self) -> bool:
        """Whether it is over; it does not mend itself, connect anew."""
        ...

    async def request_many(
        self,
        subject: str,
        payload: bytes = b"",
        *,
        deadline: float,
        enough: Enough | None = None,
        quiet: float | None = None,
    ) -> list[Reply]:
        """Ask everybody: the answers until `enough` says so or `deadline` seconds have passed.

        `enough` is asked at every answer and now and then; with `quiet`, so many seconds without
        another answer are enough too. The question leaves first thing; nobody there ends it at once.

        Raises:
            OversizeToken: the payload is larger than the server takes.
            Unavailable: there is no connection, or it broke meanwhile.
        """
        ...

    async def publish(
        self, subject: str, payload: bytes, *, headers: Mapping[str, str] | None = None
    ) -> None: ...

    async def subscribe(self, subject: str, handler: Handler) -> None:
        """Call `handler` with every message on `subject`, as long as the connection lasts."""
        ...

    async def close(self) -> None: ...


def expecting(count: int) -> Enough:
    """As many answers as there are servers; a count of nothing is never reached."""
    return lambda replies: 0 < count <= len(replies)


class TlsSettings(Protocol):
    """The settings that are about TLS."""

    @property
    def tls_ca(self) -> Path | None: ...
    @property
    def tls_cert(self) -> Path | None: ...
    @property
    def tls_key(self) -> Path | None: ...


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths of PEM files for servers that ask for TLS; empty: the system's trust, no client certificate."""

    ca: str = ""
    cert: str = ""
    key: str = ""

    @classmethod
    def of(cls, settings: TlsSettings) -> Tls:
        """As the settings say."""
        paths = (settings.tls_ca, settings.tls_cert, settings.tls_key)
        return cls(*(str(path) if path else "" for path in paths))

    def context(self) -> ssl.SSLContext | None:
        """The context, or None when nothing is set (a `tls://` URL then uses the defaults)."""
        if not (self.ca or self.cert):
            return None
        made = ssl.create_default_context(cafile=self.ca or None)
        if self.cert:
            made.load_cert_chain(self.cert, self.key or None)
        return made


@dataclass(slots=True)
class _Question:
    enough: Enough | None
    replies: list[Reply] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    lost: str | None = None


async def _collect(question: _Question, deadline: float, quiet: float | None) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline
    seen, since = 0, loop.time()
    while not question.done.is_set() and (left := end - loop.time()) > 0:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(question.done.wait(), min(left, _LOOK_AGAIN))
        if len(question.replies) != seen:
            seen, since = len(question.replies), loop.time()
        elif seen and quiet is not None and loop.time() - since >= quiet:
            return
        if question.enough is not None and question.enough(question.replies):
            return


class NatsSystemAccount:
    """`SystemAccount` over nats-py. Made by `connect_system_account`."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._prefix = f"{INBOX}.{secrets.token_hex(8)}"
        self._questions: dict[str, _Question] = {}
        self._words = ""

    @property
    def client(self) -> Any:
        """The library's own client, for what of it is not wrapped here."""
        return self._client

    @property
    def max_payload(self) -> int:
        return int(self._client.max_payload)

    @property
    def closed(self) -> bool:
        return bool(self._client.is_closed)

    async def start(self) -> None:
        # One standing inbox: a question is then a single PUB, already routed in a cluster.
        with _translated():
            await self._client.subscribe(f"{self._prefix}.*", cb=self._answered)
            await self._client.flush(_CONNECT_SECONDS)

    async def request_many(
        self,
        subject: str,
        payload: bytes = b"",
        *,
        deadline: float,
        enough: Enough | None = None,
        quiet: float | None = None,
    ) -> list[Reply]:
        if len(payload) > self.max_payload:
            raise OversizeToken(f"message of {len(payload)} bytes is over the server's {self.max_payload}")
        name = secrets.token_hex(6)
        question = self._questions[name] = _Question(enough)
        try:
            with _translated():
                await self._client.publish(subject, payload, reply=f"{self._prefix}.{name}")
            await _collect(question, deadline, quiet)
        finally:
            del self._questions[name]
        if question.lost is not None:
            raise ConnectionLost(question.lost or "the system connection was closed")
        return question.replies

    async def publish(
        self, subject: str, payload: bytes, *, headers: Mapping[str, str] | None = None
    ) -> None:
        with _translated():
            await self._client.publish(subject, payload, headers=dict(headers) if headers else None)

    async def subscribe(self, subject: str, handler: Handler) -> None:
        async def heard(message: Any) -> None:
            await handler(_reply(message))

        with _translated():
            await self._client.subscribe(subject, cb=heard)

    async def close(self) -> None:
        with contextlib.suppress(Exception):  # it is over either way
            await self._client.close()

    async def _answered(self, message: Any) -> None:
        question = self._questions.get(message.subject.rpartition(".")[2])
        if question is None:
            return
        if message.headers and message.headers.get("Status") == "503":  # nobody listens to that subject
            question.done.set()
            return
        question.replies.append(_reply(message))
        if question.enough is not None and question.enough(question.replies):
            question.done.set()

    def because(self, error: Unavailable) -> Unavailable:
        """The same with the reason, where the library only says that no server is left."""
        if "no servers available" not in error.message or not self._words:
            return error
        return Unavailable(f"no connection to the servers: {self._words}", hint=error.hint)

    async def note_error(self, error: Exception) -> None:
        self._words = str(error).removeprefix("nats: ")

    async def note_disconnected(self) -> None:
        last = getattr(self._client, "last_error", None)
        words = str(last).removeprefix("nats: ") if last else self._words
        for question in self._questions.values():
            question.lost = words
            question.done.set()


def _reply(message: Any) -> Reply:
    ours = (message.headers or {}).get("Accredit-Who", "")
    return Reply(message.data, message.subject, message.reply, ours)


class _Translated(contextlib.AbstractContextManager[None]):
    """Turns what nats-py raises into our own kinds."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None:
            return
        import nats.errors

        if isinstance(error, nats.errors.MaxPayloadError):
            raise OversizeToken("message is larger than the server takes") from None
        if isinstance(error, nats.errors.Error) and "authorization violation" in str(error).lower():
            raise Unavailable(
                "the servers refuse our system account credentials",
                hint="check that they run with this operator and its system account",
            ) from None
        if isinstance(error, (nats.errors.Error, OSError, TimeoutError)):
            words = str(error).removeprefix("nats: ") or type(error).__name__
            raise Unavailable(f"no connection to the servers: {words}") from None


def _translated() -> _Translated:
    return _Translated()


def is_payload_violation(error: Unavailable) -> bool:
    """Whether the server hung up because the message was too large."""
    return _PAYLOAD_WORDS in error.message.lower()


async def connect_system_account(
    urls: Sequence[str], credentials: Credentials, *, tls: Tls | None = None, name: str = NAME
) -> NatsSystemAccount:
    """Connect to one of the servers; the token may be short-lived, it is needed for the moment only.

    Raises:
        Unavailable: no server answers, or they refuse the credentials.
    """
    # Imported here: only who talks to servers pays for it.
    from nats.aio.client import Client

    token, signer = credentials()
    last: Unavailable | None = None
    for url in random.sample(list(urls), len(urls)):  # not everybody at the same server
        client: Any = Client()
        system = NatsSystemAccount(client)
        try:
            with _translated():
                await client.connect(
                    servers=[url],
                    name=name,
                    user_jwt_cb=token.encode,
                    signature_cb=lambda nonce: base64.b64encode(signer.sign(nonce.encode())),
                    error_cb=system.note_error,
                    disconnected_cb=system.note_disconnected,
                    closed_cb=system.note_disconnected,
                    tls=tls.context() if tls else None,
                    connect_timeout=_CONNECT_SECONDS,
                    # Whoever reconnects asks for fresh credentials and looks at everything again.
                    allow_reconnect=False,
                    # Or it would knock on a closed door sixty times, two seconds apart.
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    inbox_prefix=INBOX,
                )
                await system.start()
        except Unavailable as error:
            last = system.because(error)
            await system.close()
        else:
            return system
    raise last or Unavailable("no server to connect to", hint="give the URLs of the servers")


@contextlib.asynccontextmanager
async def system_account(
    urls: Sequence[str], credentials: Credentials, *, tls: Tls | None = None
) -> AsyncIterator[NatsSystemAccount]:
    """A connection for the length of a `with` block."""
    system = await connect_system_account(urls, credentials, tls=tls)
    try:
        yield system
    finally:
        await system.close()


__all__ = [
    "ConnectionLost",
    "Credentials",
    "NatsSystemAccount",
    "Reply",
    "SystemAccount",
    "Tls",
    "connect_system_account",
    "system_account",
]
