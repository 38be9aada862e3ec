"""What servers say, on its way to the log: a bounded queue, and a loop that writes batches of it.

Whoever hears it plainly cannot make a server wait: what there is no room for is counted, and the count is
written. A stream waits by itself: nothing is asked of it before the batch before is written.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from issuer.audit.ingest import LARGEST_BATCH, Ingest, Written
from issuer.audit.server_events import SUBJECTS, parse
from issuer.delivery.shift import until
from issuer.delivery.staying import stay_connected
from issuer.delivery.system_account import Reply, SystemAccount
from issuer.errors import AccreditError, Defect
from issuer.store.connections import forget_old
from issuer.store.unit import Database, Log

log = logging.getLogger("accredit.ingest")

MOST_MESSAGES: Final = 20_000
MOST_BYTES: Final = 64 * 1024 * 1024
BATCH_SECONDS: Final = 0.25
AGAIN_SECONDS: Final = 1.0
FORGET_SECONDS: Final = 60.0
_SHARE: Final = 0.5  # of the time, at most, that a batch holds the only writer SQLite has

Message = tuple[str, bytes]
Connect = Callable[[], Awaitable[SystemAccount]]


class Waiting:
    """Messages not written yet; bounded in number and bytes. Not for several threads."""

    def __init__(self, *, messages: int = MOST_MESSAGES, size: int = MOST_BYTES) -> None:
        self._most, self._room = messages, size
        self._queue: deque[Message] = deque()
        self.bytes = 0
        self.lost = 0
        """Thrown away since somebody last took this number."""

    def __len__(self) -> int:
        return len(self._queue)

    def offer(self, message: Message) -> bool:
        """Take it, if there is room; else count it."""
        size = len(message[1])
        if len(self._queue) >= self._most or self.bytes + size > self._room:
            self.lost += 1
            return False
        self._queue.append(message)
        self.bytes += size
        return True

    def take(self, most: int) -> list[Message]:
        taken = [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
        self.bytes -= sum(len(data) for _, data in taken)
        return taken

    def put_back(self, messages: Sequence[Message]) -> None:
        """First in the queue again; it may be over its bounds by a batch."""
        self._queue.extendleft(reversed(messages))
        self.bytes += sum(len(data) for _, data in messages)


@dataclass(slots=True)
class Counts:
    """What this process has done, for whoever watches."""

    events: int = 0
    again: int = 0
    alarms: int = 0
    unfit: int = 0
    lost: int = 0


class Writer:
    """Writes batches into the log `servers`, and now and then forgets what is old."""

    def __init__(self, database: Database, operator_id: int, *, clock: Callable[[], int]) -> None:
        self._database = database
        self._ingest = Ingest(operator_id)
        self._clock = clock
        self._forget_at = 0.0
        self.counts = Counts()

    def write(self, messages: Sequence[Message], *, lost: int = 0) -> Written:
        """One batch, one transaction.

        Raises:
            AccreditError: the store does not take it; nothing of it is written.
        """
        heard = [parse(subject, data) for subject, data in messages]
        with self._database.writing(Log.SERVERS) as unit:
            written = self._ingest.write(unit, heard, self._clock(), lost=lost)
        counts = self.counts
        counts.events += written.events
        counts.again += written.again
        counts.alarms += written.alarms
        counts.unfit += written.unfit.total()
        counts.lost += lost
        if written.alarms:
            log.warning(
                "servers were shown %d credentials signed with our keys that we never issued: "
                "accredit audit list --log servers --code server.unknown-token",
                written.alarms,
            )
        if lost:
            log.warning("%d events of servers were lost: more came than could be written", lost)
        if written.unfit:
            log.warning("%d messages on the servers' subjects cannot be read", written.unfit.total())
        self._forget()
        return written

    async def batch(self, messages: Sequence[Message], *, lost: int = 0) -> Written:
        """The same beside the loop; on SQLite the next one waits as long as this one took."""
        began = time.perf_counter()
        written = await asyncio.to_thread(self.write, messages, lost=lost)
        if self._database.is_sqlite and messages:
            took = time.perf_counter() - began
            await asyncio.sleep(took * (1 - _SHARE) / _SHARE)
        return written

    def _forget(self) -> None:
        if (at := time.monotonic()) < self._forget_at:
            return
        with self._database.noting() as unit:
            gone = forget_old(unit, self._clock())
        self._forget_at = at if gone else at + FORGET_SECONDS


class Listener:
    """Hears servers plainly, by a subscription of the system account, and writes what it hears."""

    def __init__(
        self,
        connect: Connect,
        writer: Writer,
        *,
        waiting: Waiting | None = None,
        batch: int = LARGEST_BATCH,
    ) -> None:
        self._connect = connect
        self._writer = writer
        self._batch = batch
        self.waiting = Waiting() if waiting is None else waiting

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; a lost connection is made anew. What happens meanwhile is not heard."""
        over = asyncio.Event()
        writing = asyncio.create_task(self._write(over))

        async def listen(system: SystemAccount) -> None:
            for subject in SUBJECTS.values():
                await system.subscribe(subject, self._heard)
            while not stop.is_set() and not system.closed:
                await until(stop, BATCH_SECONDS)

        def trouble(error: AccreditError) -> None:
            log.warning("servers are not heard: %s", error)

        try:
            await stay_connected(self._connect, listen, stop, again=AGAIN_SECONDS, trouble=trouble)
        finally:
            over.set()
            await writing

    async def _heard(self, message: Reply) -> None:
        self.waiting.offer((message.subject, message.payload))

    async def _write(self, over: asyncio.Event) -> None:
        well = True
        while not over.is_set():
            if len(self.waiting) < self._batch:
                await until(over, BATCH_SECONDS)
            well = await self._write_some(well=well)
            if not well:
                await until(over, AGAIN_SECONDS)
        while len(self.waiting) and await self._write_some(well=well):
            pass

    async def _write_some(self, *, well: bool) -> bool:
        """Whether the store took it; what it did not take stays first in the queue."""
        taken, lost = self.waiting.take(self._batch), self.waiting.lost
        if not taken and not lost:
            return True
        self.waiting.lost = 0
        try:
            await self._writer.batch(taken, lost=lost)
        except Defect:
            # The same batch would break again, and for ever: it is counted as lost.
            log.exception("%d events of servers could not be written", len(taken))
            self.waiting.lost += lost + len(taken)
        except AccreditError as error:
            self.waiting.put_back(taken)
            self.waiting.lost += lost
            if well:
                log.warning("what servers say waits: %s", error)
            return False
        return True


class Delivery(Protocol):
    """A message of a stream, which keeps it until it is settled."""

    @property
    def message(self) -> Message: ...

    async def settle(self) -> None: ...


class Stream(Protocol):
    """A stream of what servers said, asked for a batch at a time."""

    @property
    def closed(self) -> bool: ...

    async def fetch(self, most: int, seconds: float) -> Sequence[Delivery]: ...

    async def close(self) -> None: ...


class Follower:
    """Writes what a stream has kept; nothing is settled before it is written."""

    def __init__(
        self, connect: Callable[[], Awaitable[Stream]], writer: Writer, *, batch: int = LARGEST_BATCH
    ) -> None:
        self._connect = connect
        self._writer = writer
        self._batch = batch

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; a lost connection is made anew, and nothing is missed."""
        well = True
        while not stop.is_set():
            try:
                stream = await self._connect()
                try:
                    while not stop.is_set() and not stream.closed:
                        found = await stream.fetch(self._batch, BATCH_SECONDS)
                        if found:
                            await self._written(found)
                        well = True
                finally:
                    await stream.close()
            except AccreditError as error:
                if well:
                    log.warning("the stream of what servers say is not followed: %s", error)
                well = False
                await until(stop, AGAIN_SECONDS)

    async def _written(self, found: Sequence[Delivery]) -> None:
        messages = [each.message for each in found]
        try:
            await self._writer.batch(messages)
        except Defect:
            log.exception("%d events of servers could not be written", len(found))
            await self._writer.batch([], lost=len(found))
        for each in found:
            await each.settle()
