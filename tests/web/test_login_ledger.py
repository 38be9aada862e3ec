"""A login is answered when it is written, and not before; whatever fails lets nobody in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from callout.desk import Login, Outcome
from callout.refusals import Reason
from issuer.audit import log
from issuer.audit.catalogue import EventCode
from issuer.errors import AccreditError
from issuer.store import grants
from issuer.store.unit import Database
from tests.issuer.store.founding import NOW, Founded, found
from tests.issuer.store.test_grants import session
from web.login_ledger import LoginLedger


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(f"sqlite:///{tmp_path / 'store.db'}", create=True)
    yield database
    database.close()


@pytest.fixture
def founded(database: Database) -> Founded:
    return found(database)


def login(number: int) -> Login:
    return Login(session=session(number), jti=f"J{number}", sha256="0" * 64)


def ledger(database: Database, founded: Founded) -> LoginLedger:
    return LoginLedger(database, founded.operator.id, now=lambda: NOW)


def test_what_was_granted_is_there_with_its_event(database: Database, founded: Founded) -> None:
    async def run() -> None:
        book = ledger(database, founded)
        await asyncio.gather(*(book.granted(login(number)) for number in range(50)))

    asyncio.run(run())
    with database.reading() as unit:
        open_ = grants.open_sessions(unit, founded.operator.id)
        events = list(log.read(unit, code=EventCode.LOGIN_GRANTED))
        assert log.verify_chain(unit) is None
    assert {each.client_id for each in open_} == set(range(50))
    assert {entry.body.target for entry in events} == {each.user_key for each in open_}
    assert events[0].body.artefacts == ((f"J{open_[0].client_id}", "0" * 64),)


def test_refusals_are_written_though_nobody_waits_for_them(database: Database, founded: Founded) -> None:
    async def run() -> None:
        book = ledger(database, founded)
        book.refused(None, Outcome(reason=Reason.REQUEST_UNSIGNED, message="no request of a server"))
        await book.drained()

    asyncio.run(run())
    with database.reading() as unit:
        (entry,) = log.read(unit, code=EventCode.LOGIN_REFUSED)
    assert entry.body.detail["code"] == Reason.REQUEST_UNSIGNED
    assert entry.body.outcome == "refused"


def test_a_store_that_does_not_write_lets_nobody_in(database: Database, founded: Founded) -> None:
    async def run() -> None:
        book = ledger(database, founded)
        book._operator_id = -1  # no such operator: the store refuses the row
        with pytest.raises(AccreditError):
            await book.granted(login(1))
        book._operator_id = founded.operator.id
        await book.granted(login(2))

    asyncio.run(run())
    with database.reading() as unit:
        assert [each.client_id for each in grants.open_sessions(unit, founded.operator.id)] == [2]
        assert len(list(log.read(unit, code=EventCode.LOGIN_GRANTED))) == 1
