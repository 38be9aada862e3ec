"""Staying on the system account: a lost connection is made anew, until told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from issuer.delivery.shift import until
from issuer.delivery.system_account import SystemAccount
from issuer.errors import AccreditError


async def stay_connected(
    connect: Callable[[], Awaitable[SystemAccount]],
    work: Callable[[SystemAccount], Awaitable[None]],
    stop: asyncio.Event,
    *,
    again: float,
    trouble: Callable[[AccreditError], None],
) -> None:
    """Connect and do the work, which ends when the connection does or with `stop`; then do it again.

    Of several faults in a row the first is told; each time `again` seconds go by.
    """
    well = True
    while not stop.is_set():
        try:
            system = await connect()
            try:
                well = True
                await work(system)
            finally:
                await system.close()
        except AccreditError as error:
            if well:
                trouble(error)
            well = False
            await until(stop, again)
