"""Jobs that block are waited for no longer than there is time, and are told of when they end at last."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future

import pytest

from callout.directories.ldap.roster import Roster
from callout.directories.ldap.settings import Server
from callout.directories.ldap.threads import Threads
from callout.directories.ldap.turns import Turns
from callout.refusals import DirectoryDownError


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(30):
            await story()

    asyncio.run(whole())


def in_time(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


def test_a_job_is_told_until_when_and_its_answer_comes_back() -> None:
    async def story() -> None:
        threads = Threads(1, waiting=0, name="x")
        assert 4 < await threads.begin(lambda until: until - time.monotonic(), deadline=in_time(5)) < 5
        with pytest.raises(ZeroDivisionError):
            await threads.begin(lambda _: 1 // 0, deadline=in_time(5))
        threads.close()

    run(story)


def test_a_job_that_hangs_is_left_and_told_of_when_it_ends() -> None:
    async def story() -> None:
        threads, go = Threads(1, waiting=1, name="x"), threading.Event()
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def after(future: Future[str]) -> None:
            ended.set_result(future.result())

        def job(_: float) -> str:
            go.wait()
            return "late"

        with pytest.raises(DirectoryDownError, match="no answer in time"):
            await threads.begin(job, deadline=in_time(0.1), after=after)
        assert not ended.done()
        go.set()
        assert await ended == "late"
        threads.close()

    run(story)


def test_a_job_that_never_began_is_told_of_as_cancelled() -> None:
    async def story() -> None:
        threads, go = Threads(1, waiting=1, name="x"), threading.Event()
        told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        first = asyncio.ensure_future(threads.begin(lambda _: go.wait(), deadline=in_time(5)))
        with pytest.raises(DirectoryDownError):
            await threads.begin(
                lambda _: None,
                deadline=in_time(0.1),
                after=lambda future: told.set_result(future.cancelled()),
            )
        assert await told
        go.set()
        await first
        threads.close()

    run(story)


def test_more_than_may_wait_are_refused_and_later_ones_are_not() -> None:
    async def story() -> None:
        threads, go = Threads(1, waiting=1, name="x"), threading.Event()
        under_way = [
            asyncio.ensure_future(threads.begin(lambda _: go.wait(), deadline=in_time(5))) for _ in "ab"
        ]
        with pytest.raises(DirectoryDownError, match="2 questions are under way already"):
            threads.begin(lambda _: None, deadline=in_time(5))
        go.set()
        await asyncio.gather(*under_way)
        await asyncio.sleep(0.01)
        await threads.begin(lambda _: None, deadline=in_time(5))
        threads.close()
        with pytest.raises(DirectoryDownError, match="closed"):
            threads.begin(lambda _: None, deadline=in_time(5))

    run(story)


def test_nothing_is_begun_that_would_be_too_late() -> None:
    async def story() -> None:
        threads = Threads(1, waiting=1, name="x")
        with pytest.raises(DirectoryDownError, match="no time was left"):
            threads.begin(lambda _: None, deadline=in_time(0))
        threads.close()

    run(story)


# --- turns ---------------------------------------------------------------------------------------------


def test_turns_come_in_order_and_one_at_a_time() -> None:
    async def story() -> None:
        turns, came = Turns(), list[str]()

        async def wait(who: str) -> None:
            await turns.wait("ann", 5)
            came.append(who)

        waiting = [asyncio.create_task(wait(who)) for who in "abc"]
        await asyncio.sleep(0)
        turns.next("bob")
        for number in range(3):
            turns.next("ann")
            await asyncio.sleep(0.01)
            assert came == list("abc")[: number + 1]
        await asyncio.gather(*waiting)
        assert turns._waiting == {}

    run(story)


def test_a_turn_that_comes_as_its_owner_gives_up_is_the_next_ones() -> None:
    async def story() -> None:
        turns = Turns()
        first = asyncio.create_task(turns.wait("ann", 5))
        second = asyncio.create_task(turns.wait("ann", 5))
        await asyncio.sleep(0.01)
        turns.next("ann")
        first.cancel()
        await second
        with pytest.raises(asyncio.CancelledError):
            await first

    run(story)


def test_who_waits_too_long_is_told_and_takes_nobodys_turn() -> None:
    async def story() -> None:
        turns = Turns()
        with pytest.raises(TimeoutError):
            await turns.wait("ann", 0.01)
        second = asyncio.create_task(turns.wait("ann", 5))
        await asyncio.sleep(0.01)
        turns.next("ann")
        await second

    run(story)


# --- which server is asked -----------------------------------------------------------------------------

A, B, C = (Server(host, 636, tls=True, starttls=False) for host in "abc")


def test_a_server_that_gave_no_answer_is_asked_last_for_a_while() -> None:
    roster = Roster((A, B, C), retry_after=10)
    assert roster.order(0) == (A, B, C)
    roster.failed(A, 0)
    assert roster.order(9) == (B, C, A)
    assert roster.aside() == (A,)
    roster.answered(A)
    assert roster.order(9) == (A, B, C)


def test_one_caller_alone_tries_whether_it_is_back() -> None:
    roster = Roster((A, B), retry_after=10)
    roster.failed(A, 0)
    assert roster.order(10) == (A, B)
    assert roster.order(10) == (B, A)
    assert roster.aside() == (A,)


def test_all_are_asked_even_if_all_failed_and_the_one_that_knows_comes_first() -> None:
    roster = Roster((A, B, C), retry_after=10)
    for server in (A, B, C):
        roster.failed(server, 0)
    assert roster.order(1) == (A, B, C)
    assert roster.order(1, first=C) == (C, A, B)
