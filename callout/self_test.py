"""A login from end to end, to see that servers ask and that what we answer reaches the client.

A client comes with the sentinel and a token no directory knows. The question must reach the service's
user, sealed or not as the account says, and prove to be of a server; the refusal must reach the client.
Nothing is let in, and a callout that runs already is not disturbed: it may answer first, with the same.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import time
from collections.abc import Sequence
from typing import Final

import msgspec
import nats
from nats.errors import Error as NatsError

from callout.answer import Voice, refusing
from callout.connection import Connection
from callout.refusals import LoginRefusedError, Reason
from callout.request import Rules, SeenUsers, prove
from callout.responder import Question
from issuer.errors import Unavailable
from issuer.tokens.envelope import Token
from issuer.tokens.signer import Signer

TOKEN: Final = "accredit-self-test"  # noqa: S105  nobody's
SECONDS: Final = 5.0
_REFUSED: Final = "authorization violation"


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at, and what was found."""

    what: str
    good: bool
    words: str = ""


class _Listener:
    """Takes the question of the test's own client; others are left to whoever answers them."""

    def __init__(self, voice: Voice, rules: Rules) -> None:
        self._voice = voice
        self._rules = rules
        self._seen = SeenUsers()
        self._tasks: set[asyncio.Task[None]] = set()
        self.heard: asyncio.Future[Finding] = asyncio.get_running_loop().create_future()

    def hear(self, question: Question) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(question))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drained(self, seconds: float) -> bool:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        return True

    async def _answer(self, question: Question) -> None:
        now = int(time.time())
        what = "the server's question proves to be one"
        try:
            request = prove(question.body, question.sender, self._rules, self._seen, now=now)
        except LoginRefusedError as refusal:
            self._tell(Finding(what, good=False, words=f"{refusal} ({refusal.reason.value})"))
            return
        if request.credentials.token != TOKEN:
            return
        how = "sealed" if request.sealed else "in the clear"
        self._tell(Finding(what, good=True, words=f"of {request.server.name}, {how}"))
        with contextlib.suppress(ConnectionError):
            await question.answer(refusing(request, Reason.NO_DIRECTORY, self._voice, now=now))

    def _tell(self, finding: Finding) -> None:
        if not self.heard.done():
            self.heard.set_result(finding)


async def self_test(
    urls: Sequence[str],
    *,
    voice: Voice,
    rules: Rules,
    service: tuple[Token, Signer],
    sentinel: tuple[Token, Signer],
    tls: ssl.SSLContext | None = None,
    seconds: float = SECONDS,
) -> list[Finding]:
    """What was found, in order; it ends with the first that is not good."""
    listener = _Listener(voice, rules)
    connection = Connection(urls, lambda: service, listener, tls=tls, queue="")
    what = "the service's user is let in"
    try:
        await connection.open()
    except Unavailable as error:
        return [Finding(what, good=False, words=str(error))]
    found = [Finding(what, good=True)]
    try:
        client = asyncio.create_task(_knock(urls, sentinel, tls, seconds))
        done, _ = await asyncio.wait(
            {client, listener.heard}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if listener.heard not in done:
            # It may be on its way still.
            await asyncio.wait({listener.heard}, timeout=seconds / 5)
        if not listener.heard.done():
            words = (await client).words or "no question came"
            found.append(Finding("servers ask about a login", good=False, words=words))
            return found
        found.append(Finding("servers ask about a login", good=True))
        found.append(listener.heard.result())
        if found[-1].good:
            found.append(await client)
        else:
            client.cancel()
        return found
    finally:
        await connection.close(patience=1.0)


async def _knock(
    urls: Sequence[str], sentinel: tuple[Token, Signer], tls: ssl.SSLContext | None, seconds: float
) -> Finding:
    """Come as a client nobody knows."""
    token, signer = sentinel
    what = "the refusal reaches the client"
    said: list[str] = []

    async def trouble(error: Exception) -> None:
        said.append(str(error))

    try:
        client = await nats.connect(
            list(urls),
            name="accredit self-test",
            user_jwt_cb=lambda: bytearray(token.encode()),
            signature_cb=lambda nonce: base64.b64encode(signer.sign(nonce.encode())),
            token=TOKEN,
            tls=tls,
            allow_reconnect=False,
            connect_timeout=seconds,
            error_cb=trouble,
        )
    except (NatsError, OSError, TimeoutError) as error:
        words = str(error) or type(error).__name__
        return Finding(what, good=_REFUSED in words.lower(), words=words)
    await client.close()
    return Finding(what, good=False, words="it was let in: does the account ask a callout?")
