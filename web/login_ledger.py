"""Logins of the callout on their way into the store: many in one commit, none answered before it.

A commit costs what twenty logins cost, whatever is in it, and keeps other writers out. So while one
is under way the logins that come meanwhile wait together for the next, and when many come, they gather
for a moment first: alone a login waits for its own commit only.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from callout.desk import Login, Outcome, Seat
from callout.refusals import LoginRefusedError, Reason
from callout.request import AuthorizationRequest
from issuer.authority import logins
from issuer.store.unit import Database

log = logging.getLogger("accredit.callout")

MOST_AT_ONCE: Final = 1000
MOST_REFUSALS: Final = 10_000
"""Refusals that wait to be written; beyond it they are counted."""
PACE: Final = 0.04
"""Seconds from the beginning of one commit to that of the next, when many come."""


class LoginLedger:
    """The ledger of one process, over one store and one operator; used from one event loop."""

    def __init__(self, database: Database, operator_id: int, *, now: Callable[[], float]) -> None:
        self._database = database
        self._operator_id = operator_id
        self._now = now
        self._granted: deque[tuple[Login, asyncio.Future[None]]] = deque()
        self._refused: deque[logins.Refused] = deque()
        self._writer: asyncio.Task[None] | None = None
        self.unwritten = 0
        """Refusals for which there was no room."""

    async def granted(self, login: Login) -> None:
        """Written, once this returns.

        Raises:
            LoginRefusedError: what was shown is good once, and was used before.
            AccreditError: as the store; nothing was written.
        """
        done = asyncio.get_running_loop().create_future()
        self._granted.append((login, done))
        self._begin()
        await done

    def refused(self, request: AuthorizationRequest | None, outcome: Outcome) -> None:
        """Noted; written soon."""
        self.turned_away(Seat.of(request) if request is not None else None, outcome)

    def turned_away(self, seat: Seat | None, outcome: Outcome) -> None:
        """As `refused`, of what may have been asked for without a server."""
        if len(self._refused) >= MOST_REFUSALS:
            self.unwritten += 1
            return
        reason = outcome.reason or Reason.FAULT
        self._refused.append(
            logins.Refused(
                code=reason.value,
                message=outcome.message,
                server_id=seat.server_id if seat is not None else "",
                client_id=seat.client_id if seat is not None else 0,
                address=seat.address if seat is not None else "",
                connection_type=seat.connection_type if seat is not None else "",
                identity=outcome.identity,
            )
        )
        self._begin()

    def admitted(self, request: AuthorizationRequest, outcome: Outcome, seconds: float) -> None:
        """Written already."""

    async def drained(self) -> None:
        """All that was handed in is written, or has failed."""
        while self._writer is not None:
            await asyncio.wait({self._writer})

    def _begin(self) -> None:
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._granted or self._refused:
                began = loop.time()
                granted = [self._granted.popleft() for _ in range(min(len(self._granted), MOST_AT_ONCE))]
                refused = [self._refused.popleft() for _ in range(min(len(self._refused), MOST_AT_ONCE))]
                try:
                    used = await asyncio.to_thread(self._commit, [login for login, _ in granted], refused)
                except Exception as error:  # noqa: BLE001  whoever waits gets it
                    log.error(  # noqa: TRY400  the words say all
                        "%d logins and %d refusals were not written: %s", len(granted), len(refused), error
                    )
                    self.unwritten += len(refused)
                    for _, done in granted:
                        if not done.done():
                            done.set_exception(error)
                else:
                    for login, done in granted:
                        if done.done():
                            continue
                        if login.jti in used:
                            done.set_exception(
                                LoginRefusedError(
                                    Reason.CREDENTIALS_USED, "it is good once, and was used before"
                                )
                            )
                        else:
                            done.set_result(None)
                if len(granted) + len(refused) > 1 or self._granted or self._refused:
                    await asyncio.sleep(began + PACE - loop.time())
        finally:
            self._writer = None

    def _commit(self, granted: list[Login], refused: list[logins.Refused]) -> frozenset[str]:
        now = int(self._now())
        with self._database.writing() as unit:
            taken = [
                logins.Granted(
                    each.session,
                    each.identity,
                    each.jti,
                    each.sha256,
                    each.proved_at,
                    each.first,
                    each.proof,
                )
                for each in granted
            ]
            used = logins.write_granted(unit, self._operator_id, taken, now)
            logins.write_refused(unit, self._operator_id, refused, now)
            return used
