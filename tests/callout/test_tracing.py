"""Where the time of a login goes: steps inside one another's time, and nothing where nobody asks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import count

import pytest

from callout.tracing import Trace, step, traced, well_formed


@dataclass
class Kept:
    traces: list[Trace] = field(default_factory=list)
    ticks: count[int] = field(default_factory=lambda: count(1))

    def clock(self) -> int:
        return next(self.ticks)

    def told(self, trace: Trace) -> None:
        self.traces.append(trace)


def test_without_a_tracer_nothing_is_kept() -> None:
    with traced(None, "login", "") as trace, step("policy"):
        assert trace is None


def test_a_step_outside_of_any_login_is_nothing() -> None:
    with step("policy", {"version": 1}):
        pass


def test_steps_belong_to_the_login_they_are_in() -> None:
    kept = Kept()

    async def login(name: str) -> None:
        with traced(kept, name, f"from {name}"):
            for number in range(3):
                with step(f"{name}{number}", {"version": number}, outside=number == 1):
                    await asyncio.sleep(0)

    async def both() -> None:
        await asyncio.gather(login("a"), login("b"))

    asyncio.run(both())
    for trace in kept.traces:
        assert trace.parent == f"from {trace.name}"
        assert [each.name for each in trace.steps] == [f"{trace.name}{number}" for number in range(3)]
        assert [each.outside for each in trace.steps] == [False, True, False]
        assert [each.attributes for each in trace.steps] == [{"version": number} for number in range(3)]
        for each in trace.steps:
            assert trace.began < each.began < each.ended < trace.ended


def test_a_step_that_is_left_by_an_error_has_failed_and_the_login_is_told_all_the_same() -> None:
    kept = Kept()
    with pytest.raises(ValueError, match="no"), traced(kept, "login", ""), step("directory"):
        raise ValueError("no")
    (trace,) = kept.traces
    assert [(each.failed, each.ended > each.began) for each in trace.steps] == [(True, True)]
    assert trace.failed
    assert trace.ended


def test_a_login_that_is_cut_short_has_failed() -> None:
    kept = Kept()

    async def cut() -> None:
        async def login() -> None:
            with traced(kept, "login", ""), step("directory"):
                await asyncio.sleep(60)

        task = asyncio.create_task(login())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cut())
    (trace,) = kept.traces
    assert trace.failed
    assert [each.failed for each in trace.steps] == [True]


TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize("parent", [f"00-{TRACE_ID}-{SPAN_ID}-01", f"cc-{TRACE_ID}-{SPAN_ID}-00"])
def test_a_parent_as_the_standard_has_it(parent: str) -> None:
    assert well_formed(parent)


@pytest.mark.parametrize(
    "parent",
    [
        "",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID.upper()}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{SPAN_ID}-01\n",
        f"00-{TRACE_ID}-{SPAN_ID}-01\r\nEvil: yes",
        f"00-{TRACE_ID}-{SPAN_ID}-01-more",
        f"00-{TRACE_ID}-{SPAN_ID}",
        f" 00-{TRACE_ID}-{SPAN_ID}-01",
    ],
)
def test_a_parent_that_is_none(parent: str) -> None:
    assert not well_formed(parent)
