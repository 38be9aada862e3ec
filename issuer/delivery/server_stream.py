"""The stream that keeps what servers say until it is written (JetStream).

A system account cannot have streams. Another account imports what servers publish in it, and has one:
each message is in it until it is settled, and no longer, for it holds a token.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from issuer.audit.server_events import IMPORTED
from issuer.delivery.system_account import (
    Credentials,
    Tls,
    connect_system_account,
)
from issuer.errors import Unavailable

STREAM: Final = "ACCREDIT_SERVERS"
CONSUMER: Final = "accredit"
NAME: Final = "accredit ingest"
MAX_AGE: Final = 3 * 86_400
"""Seconds a message waits for us at most: less than its id is remembered."""
MAX_BYTES: Final = 512 * 1024 * 1024
ACK_SECONDS: Final = 30
"""After this a message that was handed to somebody who then went away is given again."""
_ANSWER_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Kept:
    """One message as the stream gave it."""

    message: tuple[str, bytes]
    _raw: Any

    def __repr__(self) -> str:
        return f"Kept({self.message[0]!r})"

    async def settle(self) -> None:
        """The stream may forget it."""
        await self._raw.ack()


class ServerStream:
    """The stream, as one of any number of processes that share its consumer."""

    def __init__(self, client: Any, subscription: Any) -> None:
        self._client = client
        self._subscription = subscription

    @property
    def closed(self) -> bool:
        return bool(self._client.is_closed)

    async def fetch(self, most: int, seconds: float) -> Sequence[Kept]:
        """What there is, `most` at the most; waits so long for the first.

        Raises:
            Unavailable: the connection broke, or the stream is gone.
        """
        import nats.errors

        try:
            found = await self._subscription.fetch(most, timeout=seconds)
        except (nats.errors.TimeoutError, TimeoutError):
            return ()
        except nats.errors.Error as error:
            raise Unavailable(f"the stream {STREAM} does not answer: {_words(error)}") from None
        return [Kept((message.subject, message.data), message) for message in found]

    async def close(self) -> None:
        with contextlib.suppress(Exception):  # it is over either way
            await self._client.close()


async def connect_server_stream(
    urls: Sequence[str],
    credentials: Credentials,
    *,
    tls: Tls | None = None,
    replicas: int = 1,
    max_bytes: int = MAX_BYTES,
) -> ServerStream:
    """Connect, and see to it that stream and consumer are there.

    Raises:
        Unavailable: no server lets us in, or none has JetStream for the account.
    """
    import nats.errors
    from nats.js import api

    system = await connect_system_account(urls, credentials, tls=tls, name=NAME)
    client = system.client
    stream = client.jetstream(timeout=_ANSWER_SECONDS)
    config = api.StreamConfig(
        name=STREAM,
        subjects=[f"{IMPORTED}.>"],
        retention=api.RetentionPolicy.WORK_QUEUE,
        discard=api.DiscardPolicy.OLD,
        storage=api.StorageType.FILE,
        max_age=MAX_AGE,
        max_bytes=max_bytes,
        num_replicas=replicas,
    )
    consumer = api.ConsumerConfig(
        durable_name=CONSUMER,
        ack_policy=api.AckPolicy.EXPLICIT,
        ack_wait=ACK_SECONDS,
        max_ack_pending=10_000,
    )
    try:
        try:
            await stream.stream_info(STREAM)
        except nats.js.errors.NotFoundError:
            await stream.add_stream(config)
        await stream.add_consumer(STREAM, consumer)
        subscription = await stream.pull_subscribe_bind(CONSUMER, STREAM)
    except (nats.errors.Error, TimeoutError) as error:
        await system.close()
        raise Unavailable(
            f"the stream {STREAM} cannot be had: {_words(error)}",
            hint="has the account been pushed, and has the server JetStream?",
        ) from None
    return ServerStream(client, subscription)


def _words(error: Exception) -> str:
    return str(error).removeprefix("nats: ") or type(error).__name__
