"""What servers say waits within bounds, and is written whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from issuer.audit.log import read
from issuer.delivery.server_intake import Delivery, Follower, Listener, Message, Stream, Waiting, Writer
from issuer.delivery.system_account import Reply, SystemAccount
from issuer.errors import Unavailable
from issuer.store.unit import Database, Log
from tests.issuer.audit.servers_say import House
from tests.issuer.store.founding import NOW, found


@pytest.fixture
def house(tmp_path: Path) -> House:
    database = Database.open(f"sqlite:///{tmp_path / 'accredit.db'}", create=True)
    return House.over(database, found(database).account)


def writer(house: House) -> Writer:
    return Writer(house.database, house.account.operator_id, clock=lambda: NOW + 500)


def told(house: House, code: str) -> list[object]:
    with house.database.reading() as unit:
        return [entry.body.detail for entry in read(unit, Log.SERVERS, code=code)]


async def until(seen: Callable[[], bool]) -> None:
    end = asyncio.get_running_loop().time() + 20
    while not seen():
        assert asyncio.get_running_loop().time() < end, "waited in vain"
        await asyncio.sleep(0.01)


async def nobody() -> SystemAccount:
    raise Unavailable("no server answers")


def test_the_queue_is_bounded_in_number_and_bytes() -> None:
    waiting = Waiting(messages=3, size=100)
    assert [waiting.offer(("s", b"x" * 30)) for _ in range(4)] == [True, True, True, False]
    assert (len(waiting), waiting.bytes, waiting.lost) == (3, 90, 1)
    taken = waiting.take(2)
    assert not waiting.offer(("s", b"x" * 71))
    waiting.put_back(taken)
    assert (len(waiting), waiting.bytes, waiting.lost) == (3, 90, 2)
    assert waiting.take(9)[:2] == taken


def test_a_flood_is_cut_and_the_cut_is_in_the_log(house: House) -> None:
    """Room for 200; what comes while nothing can be written is counted, the rest is written in batches."""
    ada = house.issued("ada")
    messages = [house.connect(ada, client) for client in range(1, 1001)]

    async def flood() -> None:
        listener = Listener(nobody, writer(house), waiting=Waiting(messages=200), batch=50)
        for subject, data in messages:
            await listener._heard(Reply(data, subject))
        assert (len(listener.waiting), listener.waiting.lost) == (200, 800)
        stop = asyncio.Event()
        running = asyncio.create_task(listener.run(stop))
        await until(lambda: not len(listener.waiting))
        stop.set()
        await running

    asyncio.run(flood())
    assert told(house, "server.lost") == [{"count": 800}]
    assert len(told(house, "server.connected")) == 200
    house.database.close()


def test_what_waits_at_the_end_is_written_first(house: House) -> None:
    async def stopped() -> None:
        listener = Listener(nobody, writer(house), batch=2)
        for client in range(1, 6):
            subject, data = house.connect(None, client)
            await listener._heard(Reply(data, subject))
        stop = asyncio.Event()
        stop.set()
        await listener.run(stop)

    asyncio.run(stopped())
    assert len(told(house, "server.connected")) == 5
    house.database.close()


def test_a_store_that_does_not_answer_loses_nothing(house: House) -> None:
    """The batch it does not take stays first in the queue."""

    class Failing(Writer):
        left = 2

        def write(self, messages, *, lost=0):  # type: ignore[no-untyped-def]
            if self.left:
                self.left -= 1
                raise Unavailable("the disk is full")
            return super().write(messages, lost=lost)

    failing = Failing(house.database, house.account.operator_id, clock=lambda: NOW + 500)

    async def run() -> None:
        listener = Listener(nobody, failing, batch=2)
        for client in range(1, 6):
            subject, data = house.connect(None, client)
            await listener._heard(Reply(data, subject))
        stop = asyncio.Event()
        running = asyncio.create_task(listener.run(stop))
        await until(lambda: not len(listener.waiting) and not failing.left)
        stop.set()
        await running

    asyncio.run(run())
    clients = [each["client"] for each in told(house, "server.connected")]  # type: ignore[index]
    assert clients == [1, 2, 3, 4, 5]
    house.database.close()


class Tape:
    """A stream in memory, which gives again what was not settled."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.kept = dict(enumerate(messages))
        self.closed = False

    async def fetch(self, most: int, seconds: float) -> Sequence[Delivery]:
        del seconds
        await asyncio.sleep(0)
        return [Piece(self, place) for place in list(self.kept)[:most]]

    async def close(self) -> None:
        self.closed = True


class Piece:
    def __init__(self, tape: Tape, place: int) -> None:
        self._tape, self._place = tape, place
        self.message = tape.kept[place]

    async def settle(self) -> None:
        if self._place == 2:  # the connection breaks: this one comes again
            self._tape.kept[99] = self.message
        del self._tape.kept[self._place]


def test_a_stream_is_settled_after_the_commit_and_what_comes_again_counts_once(house: House) -> None:
    ada = house.issued("ada")
    tape = Tape([house.connect(ada, client) for client in range(1, 8)])

    async def connect() -> Stream:
        return tape

    async def run() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(Follower(connect, writer(house), batch=3).run(stop))
        await until(lambda: not tape.kept)
        stop.set()
        await running

    asyncio.run(run())
    assert len(told(house, "server.connected")) == 7
    assert tape.closed
    house.database.close()
