"""A login is answered when it is written, and not before; whatever fails lets nobody in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from callout import desk
from callout.desk import Login, Outcome
from callout.refusals import LoginRefusedError, Reason
from issuer.audit import log
from issuer.audit.catalogue import EventCode
from issuer.authority.logins import Refused
from issuer.errors import AccreditError
from issuer.grants import Identity
from issuer.store import grants
from issuer.store.identities import identities_of, turned_away_since
from issuer.store.notices import NOTICES_KEPT
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


ANN = Identity(issuer="https://id.example", subject="ann", name="Ann", directory="okta", groups=("staff",))


def login(number: int) -> Login:
    return Login(
        session=session(number, identity=ANN.digest()), identity=ANN, jti=f"J{number}", sha256="0" * 64
    )


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


class Counted(LoginLedger):
    """Counts its commits."""

    commits = 0

    def _commit(self, granted: list[Login], refused: list[Refused]) -> frozenset[str]:
        self.commits += 1
        return super()._commit(granted, refused)


def test_when_many_come_they_gather_for_few_commits(database: Database, founded: Founded) -> None:
    async def run() -> int:
        book = Counted(database, founded.operator.id, now=lambda: NOW)
        tasks = []
        for number in range(60):
            tasks.append(asyncio.create_task(book.granted(login(number))))
            await asyncio.sleep(0.001)
        await asyncio.gather(*tasks)
        return book.commits

    assert asyncio.run(run()) < 30
    with database.reading() as unit:
        assert len(grants.open_sessions(unit, founded.operator.id)) == 60


def test_who_comes_alone_waits_for_nobody(database: Database, founded: Founded) -> None:
    async def run() -> int:
        book = Counted(database, founded.operator.id, now=lambda: NOW)
        for number in range(5):
            await book.granted(login(number))
        return book.commits

    assert asyncio.run(run()) == 5


def test_a_login_by_grace_is_marked_and_the_first_of_an_outage_told(
    database: Database, founded: Founded
) -> None:
    async def run() -> None:
        book = ledger(database, founded)
        await book.granted(login(0))
        await book.granted(replace(login(1), proved_at=NOW - 60, first=True))
        await book.granted(replace(login(2), proved_at=NOW - 60))

    asyncio.run(run())
    with database.reading() as unit:
        events = list(log.read(unit, code=EventCode.LOGIN_GRANTED))
        (alarm,) = log.read(unit, code=EventCode.LOGIN_GRACE)
        assert log.verify_chain(unit) is None
    assert sorted(entry.body.detail.get("grace", 0) for entry in events) == [0, NOW - 60, NOW - 60]
    assert dict(alarm.body.detail) == {"directory": ANN.directory, "proved": NOW - 60}


def test_whose_it_was_is_kept_once_and_without_its_proof(database: Database, founded: Founded) -> None:
    proved = replace(ANN, credential="c", authenticated_at=NOW, expires_at=NOW + 9)
    away = Outcome(identity=proved, reason=Reason.NO_BINDING, message="no binding takes it")

    async def run() -> None:
        book = ledger(database, founded)
        await asyncio.gather(*(book.granted(login(number)) for number in range(5)))
        book.refused(None, away)
        await book.drained()

    asyncio.run(run())
    with database.reading() as unit:
        assert identities_of(unit, founded.operator.id, [proved.digest()]) == {ANN.digest(): ANN}
        (turned,) = turned_away_since(unit, founded.operator.id, NOW)
    assert (turned.identity, turned.code, turned.proved_at) == (ANN.digest(), Reason.NO_BINDING, NOW)


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


def test_what_is_good_once_lets_in_once_whoever_takes_it(database: Database, founded: Founded) -> None:
    def shown(number: int, proof: str) -> Login:
        return replace(login(number), proof=proof)

    async def tried(book: LoginLedger, number: int, proof: str) -> bool:
        try:
            await book.granted(shown(number, proof))
        except LoginRefusedError as refusal:
            assert refusal.reason is Reason.CREDENTIALS_USED
            return False
        return True

    async def run() -> list[bool]:
        one, other = ledger(database, founded), ledger(database, founded)
        first = await tried(one, 0, "a" * 64)
        again = await tried(other, 1, "a" * 64)
        # In one commit with others, which are let in all the same.
        together = await asyncio.gather(
            tried(one, 2, "b" * 64), tried(one, 3, "b" * 64), tried(one, 4, "a" * 64), tried(one, 5, "")
        )
        alone = await tried(other, 6, "b" * 64)
        return [first, again, *together, alone]

    assert asyncio.run(run()) == [True, False, True, False, False, True, False]
    with database.reading() as unit:
        assert {each.client_id for each in grants.open_sessions(unit, founded.operator.id)} == {0, 2, 5}
        assert len(list(log.read(unit, code=EventCode.LOGIN_GRANTED))) == 3


def test_that_it_was_used_is_remembered_longer_than_it_could_be_shown() -> None:
    assert NOTICES_KEPT > desk.LONGEST_PROOF
