"""Brings what was signed to the servers, and keeps at it until all of them prove that it is in force."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

from issuer.delivery.ledger import DeliveryReport, Ledger, StoreLedger
from issuer.delivery.shift import Means, Pace, Shift, until
from issuer.delivery.system_account import SystemAccount
from issuer.errors import AccreditError, Defect
from issuer.keys.nkeys import PublicKey
from issuer.store.unit import Database
from issuer.tokens.envelope import Token
from issuer.tokens.signer import Signer

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger(__name__)

Connect = Callable[[], Awaitable[SystemAccount]]

_RECONNECT_SECONDS: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Pusher:
    """Delivers for one operator; `run` in a service, `push_once` for a command."""

    def __init__(
        self,
        ledger: Ledger,
        connect: Connect,
        *,
        clock: Callable[[], int],
        deletion_signer: Callable[[], Signer] | None = None,
        unloaded_is_enough: bool = False,
        pace: Pace | None = None,
        heard: Callable[[DeliveryReport], None] = lambda _: None,
    ) -> None:
        """`deletion_signer` gives an operator key; `unloaded_is_enough` where servers ask us by HTTP."""
        self._connect = connect
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="delivery")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._shift: Shift | None = None
        self._means = Means(
            ledger,
            clock,
            self._io,
            asyncio.Event(),
            pace or Pace(),
            deletion_signer,
            unloaded_is_enough,
            heard,
        )
        self.trouble = ""  # why there is no connection, for who asks; empty when there is one

    @classmethod
    def over(
        cls,
        database: Database,
        connect: Connect,
        *,
        operator: PublicKey,
        clock: Callable[[], int],
        who: str,
        deletion_signer: Callable[[], Signer] | None = None,
        unloaded_is_enough: bool = False,
        heard: Callable[[DeliveryReport], None] = lambda _: None,
    ) -> Pusher:
        """A pusher for one operator's accounts; `who` names this process in claims and events."""
        return cls(
            StoreLedger(database, operator, who=who),
            connect,
            clock=clock,
            deletion_signer=deletion_signer,
            unloaded_is_enough=unloaded_is_enough,
            heard=heard,
        )

    def wake(self, token: Token | None = None) -> None:
        """Something was signed and committed. From any thread; an account token given leaves at once."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._woken, token)

    def _woken(self, token: Token | None) -> None:
        # The shift's loop may be waiting for the disk: what was handed over does not queue behind it.
        if token is not None and self._shift is not None:
            self._shift.send_early(token)
        self._means.woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until told to stop; a lost connection is made anew."""
        self._loop = asyncio.get_running_loop()
        failures = 0
        while not stop.is_set():
            began = self._loop.time()
            try:
                system = await self._connect()
                self.trouble = ""
                try:
                    async with asyncio.TaskGroup() as tasks:
                        self._shift = Shift(self._means, system, tasks)
                        await self._shift.work(stop)
                finally:
                    self._shift = None
                    await system.close()
            except (AccreditError, ExceptionGroup) as fault:
                error = _fault(fault)
                if self._loop.time() - began > _RECONNECT_SECONDS[-1]:
                    failures = 0
                self.trouble = str(error)
                log.warning("delivery starts over: %s", error)
                await until(stop, _RECONNECT_SECONDS[min(failures, len(_RECONNECT_SECONDS) - 1)])
                failures += 1

    async def push_once(
        self, accounts: Collection[str] | None = None, *, everything: bool = False, deadline: float = 10.0
    ) -> list[DeliveryReport]:
        """Deliver what waits, or these accounts, or every account, now; give up after `deadline` seconds.

        Raises:
            Unavailable: no connection to the servers.
        """
        end = asyncio.get_running_loop().time() + deadline
        system = await self._connect()
        try:
            async with asyncio.TaskGroup() as tasks:
                shift = Shift(self._means, system, tasks)
                await shift.greet()
                works = await self._io(self._means.ledger.works, accounts)
                if accounts is None and not everything:
                    works = [work for work in works if work.due is not None]
                return await shift.all_of(works, end)
        except ExceptionGroup as group:
            raise _fault(group) from None
        finally:
            await system.close()
        raise Defect("a push ended without a report")

    async def _io(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(function, *args, **kwargs))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _fault(error: AccreditError | ExceptionGroup[Exception]) -> AccreditError:
    """The first fault of ours in a group; anything else is a defect and goes on up."""
    if isinstance(error, AccreditError):
        return error
    ours, others = error.split(AccreditError)
    if others is not None or ours is None:
        raise error
    first: BaseException = ours
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    if not isinstance(first, AccreditError) or isinstance(first, Defect):
        raise error
    return first


def this_process() -> str:
    """What this process calls itself where several share the work."""
    return f"{socket.gethostname()}:{os.getpid()}"


__all__ = ["Pace", "Pusher", "this_process"]
