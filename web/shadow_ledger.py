"""What a callout in the shadow writes down: for each login what would have become of it.

Nobody waits for it. So it takes every login at once, writes what it has taken together, and counts
what it had no room for.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from callout.desk import Login, Outcome, Seat
from callout.refusals import Reason
from callout.request import AuthorizationRequest
from issuer.authority.shadowing import Shadowed, write_shadowed
from issuer.errors import AccreditError
from issuer.store.unit import Database
from web.login_ledger import MOST_AT_ONCE, MOST_REFUSALS

log = logging.getLogger("accredit.callout")


class ShadowLedger:
    """The desk's ledger and the responder's recorder in one; used from one event loop."""

    def __init__(self, database: Database, *, now: Callable[[], float], version: Callable[[], int]) -> None:
        """`version` is that of the policy in force."""
        self._database = database
        self._now = now
        self._version = version
        self._taken: deque[Shadowed] = deque()
        self._writer: asyncio.Task[None] | None = None
        self.unwritten = 0
        """Logins for which there was no room, or no store."""

    async def granted(self, login: Login) -> None:
        """No session is written: there will be none."""

    def admitted(self, request: AuthorizationRequest, outcome: Outcome, seconds: float) -> None:
        """Would have been let in."""
        self._take(Seat.of(request), outcome)

    def refused(self, request: AuthorizationRequest | None, outcome: Outcome) -> None:
        """Would have been refused, or was not proved to come from a server."""
        self.turned_away(Seat.of(request) if request is not None else None, outcome)

    def turned_away(self, seat: Seat | None, outcome: Outcome) -> None:
        """As `refused`, of what may have been asked for without a server."""
        self._take(seat, outcome)

    async def drained(self) -> None:
        """All that was handed in is written, or has failed."""
        while self._writer is not None:
            await asyncio.wait({self._writer})

    def _take(self, seat: Seat | None, outcome: Outcome) -> None:
        if len(self._taken) >= MOST_REFUSALS:
            self.unwritten += 1
            return
        grant = outcome.grant
        reason = "" if outcome.token is not None else (outcome.reason or Reason.FAULT).value
        self._taken.append(
            Shadowed(
                code=reason,
                message=outcome.message,
                identity=outcome.identity,
                bindings=grant.bindings if grant is not None else (),
                policy=self._version(),
                account=grant.account if grant is not None else "",
                role="+".join(grant.roles) if grant is not None else "",
                server_id=seat.server_id if seat is not None else "",
                client_id=seat.client_id if seat is not None else 0,
                address=seat.address if seat is not None else "",
            )
        )
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._taken:
                batch = [self._taken.popleft() for _ in range(min(len(self._taken), MOST_AT_ONCE))]
                try:
                    await asyncio.to_thread(self._commit, batch)
                except AccreditError as error:
                    log.error("%d shadowed logins were not written: %s", len(batch), error)  # noqa: TRY400
                    self.unwritten += len(batch)
        finally:
            self._writer = None

    def _commit(self, batch: list[Shadowed]) -> None:
        with self._database.writing() as unit:
            write_shadowed(unit, batch, int(self._now()))
