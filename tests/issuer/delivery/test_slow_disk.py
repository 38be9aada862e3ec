"""A store on a disk that takes its time."""

from __future__ import annotations

import asyncio

import pytest

from issuer.delivery.ledger import StoreLedger
from tests.issuer.delivery.test_pusher import running, three, until
from tests.issuer.delivery.town import Town


def test_a_commit_that_can_be_read_only_after_its_file_changed_is_not_overlooked(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a slow disk: the log is written, synced, and only then can others see what is in it."""

    async def story() -> None:
        fleet = three(town)
        town.add("Orders")
        async with running(town, fleet):
            await until(lambda: not town.pending())
            with monkeypatch.context() as blind:
                blind.setattr(StoreLedger, "fresh", lambda *_: [])
                blind.setattr(StoreLedger, "claim", lambda *_: [])
                blind.setattr(StoreLedger, "next_due", lambda _: None)
                token = town.change("Orders", description="new")
                await asyncio.sleep(0.1)  # looked at, and nothing seen
                assert fleet["a"].stored[town.public("Orders")] != token
            await until(lambda: fleet["a"].stored[town.public("Orders")] == token)

    asyncio.run(story())
