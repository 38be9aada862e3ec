"""Admission while it runs: who waits sleeps until he is told, and one timer serves all."""

from __future__ import annotations

import asyncio

from callout.admission import Admission, State, Ticket


class Doorway:
    """Lets logins through, or not. For one event loop."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._sleeping: dict[Ticket, asyncio.Future[None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        return self._admission.waiting

    @property
    def working(self) -> int:
        return self._admission.working

    async def enter(self, ticket: Ticket) -> bool:
        """Whether it may be worked on, now. Then it must `leave`, whatever becomes of it."""
        loop = asyncio.get_running_loop()
        decided = self._admission.come(ticket, now=loop.time())
        self._tell(decided)
        if ticket.state is State.WAITING:
            told = self._sleeping[ticket] = loop.create_future()
            self._set_timer(loop)
            try:
                await told
            except asyncio.CancelledError:
                self.leave(ticket)
                raise
            finally:
                self._sleeping.pop(ticket, None)
        return ticket.state is State.BEGUN

    def leave(self, ticket: Ticket) -> None:
        """Its work is done; whose turn it is now is told."""
        loop = asyncio.get_running_loop()
        self._tell(self._admission.leave(ticket, now=loop.time()))
        if self._sleeping:
            self._set_timer(loop)

    def _tell(self, decided: list[Ticket]) -> None:
        for ticket in decided:
            told = self._sleeping.get(ticket)
            if told is not None and not told.done():
                told.set_result(None)

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        at = self._admission.next_wake()
        if self._timer is not None:
            if at is not None and self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = None if at is None else loop.call_at(at, self._woken, loop)

    def _woken(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._tell(self._admission.wake(now=loop.time()))
        self._set_timer(loop)
