"""A store on a disk that takes its time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from issuer.delivery.ledger import StoreLedger
from tests.issuer.delivery.test_pusher import running, three, until
from tests.issuer.delivery.town import Town


class Disk:
    """What the ledger finds, or, while it is slow, nothing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._slow = False
        # A look that is under way ends before the disk is slow, or it would see what comes after.
        self._looking = threading.Lock()
        for name, nothing in (("fresh", []), ("claim", []), ("next_due", None)):
            monkeypatch.setattr(StoreLedger, name, self._through(getattr(StoreLedger, name), nothing))

    def be(self, *, slow: bool) -> None:
        with self._looking:
            self._slow = slow

    def _through(self, look: Callable[..., Any], nothing: Any) -> Callable[..., Any]:
        def found(*arguments: Any) -> Any:
            with self._looking:
                return nothing if self._slow else look(*arguments)

        return found


def test_a_commit_that_can_be_read_only_after_its_file_changed_is_not_overlooked(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a slow disk: the log is written, synced, and only then can others see what is in it."""
    disk = Disk(monkeypatch)

    async def story() -> None:
        fleet = three(town)
        town.add("Orders")
        async with running(town, fleet):
            await until(lambda: not town.pending())
            disk.be(slow=True)
            token = town.change("Orders", description="new")
            await asyncio.sleep(0.1)  # looked at, and nothing seen
            assert fleet["a"].stored[town.public("Orders")] != token
            disk.be(slow=False)
            await until(lambda: fleet["a"].stored[town.public("Orders")] == token)

    asyncio.run(story())
