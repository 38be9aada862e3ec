"""The service signs what is new, and writes nothing more to a log that is not what it was."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from issuer.audit import log
from issuer.audit.catalogue import EventCode
from issuer.audit.log import Event
from issuer.authority.desk import Actor, Authority
from issuer.authority.opening import create_store, open_authority
from issuer.settings import load
from issuer.store import checkpoints
from issuer.store.unit import ClosedForWriting, Log
from tests.issuer.audit.test_checkpoints import rewrite
from web.auditing.log_keeping import log_keeping, look

NOW = 1_700_000_000


@pytest.fixture
def authority(tmp_path: Path):
    clock = [NOW]
    settings = load({"data_dir": str(tmp_path / "data")}, {})
    database = create_store(settings, {}, actor=Actor("ada"), now=NOW)

    def now() -> int:
        clock[0] += 1
        return clock[0]

    yield open_authority(settings, {}, clock=now, database=database)
    database.close()


def write(authority: Authority, name: Log = Log.ADMIN) -> None:
    with authority.database.writing(name) as unit:
        log.append(unit, Event(EventCode.ACT_REFUSED, "test"), NOW)


def run(authority: Authority, until, **every: float) -> None:
    """The part, until something is so."""

    async def go() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(log_keeping(authority, **every)(stop))
        for _ in range(2000):
            if until():
                break
            await asyncio.sleep(0.01)
        stop.set()
        await task

    asyncio.run(go())
    assert until()


def size(authority: Authority, name: Log) -> int:
    with authority.database.reading() as unit:
        newest = checkpoints.newest(unit, name, 2023)
    return newest.size if newest else 0


def test_both_logs_are_signed_when_nobody_acts(authority: Authority) -> None:
    write(authority, Log.SERVERS)
    run(authority, lambda: (size(authority, Log.ADMIN), size(authority, Log.SERVERS)) == (3, 1))
    write(authority)
    run(authority, lambda: size(authority, Log.ADMIN) == 4)


FORGERY = "UPDATE events SET body = replace(body, 'store.created', 'store.crested') WHERE seq = 1"


def test_a_log_that_is_another_closes_the_store_at_the_start(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    database = authority.database
    run(authority, lambda: size(authority, Log.ADMIN) == 3)
    assert look(database) is None
    rewrite(database, FORGERY)
    with caplog.at_level(logging.ERROR):
        fault = look(database)
    assert fault is not None
    assert (
        "not what it was" in str(fault) or "not those that were signed" in str(fault) or "tree" in str(fault)
    )
    assert "nothing is written any more" in caplog.text
    for way in (database.writing, database.noting):
        with pytest.raises(ClosedForWriting, match="nothing is written any more"), way():
            pass
    with database.reading() as unit:
        assert unit.log_head().seq == 3


@pytest.mark.parametrize("every", [{"sample": 0.0}, {"walk": 0.0}], ids=["sample", "walk"])
def test_it_is_seen_while_the_service_runs(authority: Authority, every: dict[str, float]) -> None:
    run(authority, lambda: size(authority, Log.ADMIN) == 3)
    rewrite(authority.database, FORGERY)
    run(authority, lambda: authority.database.closed_for is not None, **every)
