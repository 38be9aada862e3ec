"""Every way to alter a log without leave is seen by one of three looks at it."""

from __future__ import annotations

import random

import pytest

from issuer.audit import log
from issuer.audit.catalogue import EventCode
from issuer.audit.checking import check_all, check_edge, check_some
from issuer.audit.checkpoints import create_log_key, seal
from issuer.audit.log import Event
from issuer.custody.keyring import Keyring, open_keyring
from issuer.custody.master import MasterKey
from issuer.store.unit import Database, Log
from tests.issuer.audit.test_checkpoints import rewrite
from tests.issuer.store.founding import NOW

YEAR = 31_622_400


@pytest.fixture
def keyring(database: Database) -> Keyring:
    with database.writing() as unit:
        made = open_keyring(unit, MasterKey(bytes(32)), now=NOW)
        create_log_key(unit, made, "test", NOW)
    return made


def grow(database: Database, keyring: Keyring, count: int, at: int, name: Log = Log.ADMIN) -> None:
    with database.writing(name) as unit:
        events = [
            Event(EventCode.ACT_REFUSED, "test", detail={"message": f"{each}"}) for each in range(count)
        ]
        log.append_many(unit, events, at)
        seal(unit, keyring, at, name)


@pytest.fixture
def grown(database: Database, keyring: Keyring) -> Database:
    """Two years, with 620 and 301 events, and five checkpoints."""
    for at, count in ((0, 100), (1, 200), (2, 319), (YEAR, 150), (YEAR + 1, 150)):
        grow(database, keyring, count, NOW + at)
    grow(database, keyring, 10, NOW, Log.SERVERS)
    return database


def looks(database: Database) -> list[object]:
    with database.reading() as unit:
        sample = check_some(unit, Log.ADMIN, random.Random(1), 3000)
        return [check_edge(unit, Log.ADMIN), sample, check_all(unit, Log.ADMIN).fault]


def test_a_log_that_is_what_it_was(grown: Database) -> None:
    assert looks(grown) == [None, None, None]
    with grown.reading() as unit:
        walked, other = check_all(unit, Log.ADMIN), check_all(unit, Log.SERVERS)
    assert (walked.events, walked.checkpoints) == (921, 5)
    assert (other.events, other.checkpoints, other.fault) == (10, 1, None)


def test_an_empty_log(database: Database) -> None:
    assert looks(database) == [None, None, None]


@pytest.mark.parametrize(
    ("forgery", "seen"),
    [
        ("UPDATE events SET body = replace(body, 'refused', 'allowed') WHERE seq = 7", (0, 1, 1)),
        ("UPDATE events SET actor = 'cli:eve' WHERE seq = 7", (0, 1, 1)),
        ("DELETE FROM events WHERE seq = 300", (0, 1, 1)),
        ("DELETE FROM events WHERE seq = 921", (1, 1, 1)),
        ("UPDATE logs SET seq = 920 WHERE name = 'admin'", (1, 0, 1)),
        ("UPDATE tiles SET root = hashes WHERE number = 1", (1, 0, 1)),
        ("UPDATE trees SET first = 600 WHERE year = 2024", (1, 1, 1)),
        ("DELETE FROM tiles WHERE number = 0 AND year = 2023", (1, 0, 1)),
        ("UPDATE checkpoints SET note = replace(note, '620', '621') WHERE size = 620", (1, 0, 1)),
        ("UPDATE checkpoints SET size = 5 WHERE size = 101", (0, 0, 1)),
    ],
    ids=["body", "column", "gap", "newest", "head", "root", "year", "tile", "note", "size"],
)  # fmt: skip
def test_forgeries(grown: Database, forgery: str, seen: tuple[int, int, int]) -> None:
    rewrite(grown, forgery)
    found = looks(grown)
    for look, expected in zip(found, seen, strict=True):
        assert not expected or look is not None, found
    assert found[2] is not None


def test_a_log_rewritten_with_all_that_belongs_to_it_is_not_what_was_signed(grown: Database) -> None:
    """Whoever has the database can make another log that is whole; only what was signed shows it."""
    bodies = []
    with grown.reading() as unit:
        bodies = [entry.body for entry in log.read(unit)]
    rewrite(
        grown,
        "DELETE FROM events",
        "DELETE FROM tiles",
        "DELETE FROM trees",
        f"UPDATE logs SET seq = 0, hash = '{'0' * 64}', year = 0, first = 1, edge = {'X' if grown.is_sqlite else ''}''"
        " WHERE name = 'admin'",
    )
    with grown.writing() as unit:
        log.append_many(unit, [Event(EventCode(b.code), "eve", detail=b.detail) for b in bodies[:620]], NOW)
    with grown.reading() as unit:
        assert log.verify_chain(unit) is None
        fault = check_all(unit, Log.ADMIN).fault
        assert fault is not None
        assert "not the one that was signed" in str(fault)
        assert check_edge(unit, Log.ADMIN) is not None
