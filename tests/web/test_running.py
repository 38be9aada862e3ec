"""Parts that live and end together, and those that may break."""

from __future__ import annotations

import asyncio

import pytest

from web import running
from web.running import kept_going, run_together


def test_when_one_part_breaks_all_end_and_the_fault_is_told() -> None:
    async def broken(stop: asyncio.Event) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("broken")

    async def waiting(stop: asyncio.Event) -> None:
        await stop.wait()

    with pytest.raises(RuntimeError, match="broken"):
        asyncio.run(run_together(asyncio.Event(), broken, waiting))


def test_a_part_others_do_not_depend_on_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "AGAIN_SECONDS", 0.01)
    begun = 0

    async def breaking(stop: asyncio.Event) -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise RuntimeError("once more")
        stop.set()

    async def waiting(stop: asyncio.Event) -> None:
        await stop.wait()

    asyncio.run(run_together(asyncio.Event(), kept_going(breaking, "it"), waiting))
    assert begun == 3
