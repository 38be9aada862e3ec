"""Threads for a library that blocks: so many and no more, and nobody waits for one beyond his deadline."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from callout.refusals import DirectoryDownError

T = TypeVar("T")

_MARGIN: Final = 0.01
"""Seconds before the deadline at which we give up, so that the caller still has time to say so."""


class Threads:
    """Runs jobs that take the moment, on the monotonic clock, at which they must be done."""

    def __init__(self, count: int, *, waiting: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=f"ldap-{name}")
        self._room = count + waiting
        self._under_way = 0

    def begin(
        self,
        job: Callable[[float], T],
        *,
        deadline: float,
        after: Callable[[Future[T]], None] | None = None,
    ) -> Awaitable[T]:
        """Begin a job; await at once what it gives. `deadline` is on the clock of the running loop.

        `after` is called on the loop once the job has ended, be it long after the deadline; with a
        cancelled future if it never began.

        Raises:
            DirectoryDownError: here if it is not begun at all, and when awaited if it was not done in time.
        """
        loop = asyncio.get_running_loop()
        left = deadline - loop.time() - _MARGIN
        if left <= 0:
            raise DirectoryDownError("no time was left to ask the directory")
        if self._under_way >= self._room:
            raise DirectoryDownError(f"{self._under_way} questions are under way already")
        # The loop's clock need not be the threads' one.
        until = time.monotonic() + left
        try:
            future = self._pool.submit(job, until)
        except RuntimeError:
            raise DirectoryDownError("it is closed") from None
        self._under_way += 1

        def ended() -> None:
            self._under_way -= 1
            if after is not None:
                after(future)

        def ended_in_thread(_: Future[T]) -> None:
            # A closed loop has nobody left who would want to know.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(ended)

        future.add_done_callback(ended_in_thread)
        return self._awaited(future, left)

    async def _awaited(self, future: Future[T], left: float) -> T:
        try:
            async with asyncio.timeout(left):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise DirectoryDownError("the directory gave no answer in time") from None

    def close(self) -> None:
        """Begin no more; what runs ends by its own time limits."""
        self._pool.shutdown(wait=False, cancel_futures=True)
