"""Logins of one account that wait for another of them to end: in order, one woken at a time.

With all woken at once, a thousand devices of one account would ask a million times.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """Who waits, by account. For one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def wait(self, account: str, seconds: float) -> None:
        """Until it is our turn to ask again.

        Raises:
            TimeoutError: it was not, for so long.
        """
        turn = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(account, deque())
        waiting.append(turn)
        try:
            # wait_for of Python 3.11 would lose a cancellation that comes together with the turn.
            async with asyncio.timeout(max(seconds, 0)):
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                # It came just as we gave up: it is the next one's.
                self.next(account)
            raise

    def next(self, account: str) -> None:
        """Wake the first who still waits."""
        waiting = self._waiting.get(account)
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                break
        if not waiting:
            self._waiting.pop(account, None)
