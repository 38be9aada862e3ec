"""Checkpoints: signed when there is something new, and what the log is held to."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text

from issuer.audit import log
from issuer.audit.catalogue import EventCode
from issuer.audit.checkpoint import parse_checkpoint
from issuer.audit.checkpoints import create_log_key, held, origin_of, seal, seal_closed, verifier, whole_note
from issuer.audit.log import Event
from issuer.audit.note import NoteNotSigned, opened_by, parse_note, parse_vkey
from issuer.audit.tiles import TreeBroken
from issuer.audit.tree import root_of, unpack_edge
from issuer.custody.keyring import Keyring, open_keyring
from issuer.custody.master import MasterKey
from issuer.errors import PeerError
from issuer.store import checkpoints
from issuer.store.checkpoints import Sealed
from issuer.store.unit import Database, Log
from tests.issuer.store.founding import NOW

YEAR = 31_622_400


@pytest.fixture
def keyring(database: Database) -> Keyring:
    with database.writing() as unit:
        made = open_keyring(unit, MasterKey(bytes(32)), now=NOW)
        create_log_key(unit, made, "test", NOW, "log.example.com/accredit")
    return made


def write(database: Database, keyring: Keyring, count: int, at: int, name: Log = Log.ADMIN) -> Sealed | None:
    with database.writing(name) as unit:
        log.append_many(unit, [Event(EventCode.ACT_REFUSED, "test") for _ in range(count)], at)
        return seal(unit, keyring, at, name)


def test_a_checkpoint_is_what_the_log_says_of_itself(database: Database, keyring: Keyring) -> None:
    sealed = write(database, keyring, 300, NOW)
    assert sealed is not None
    with database.reading() as unit:
        (key,) = checkpoints.log_keys(unit)
        assert checkpoints.newest(unit, Log.ADMIN, 2023) == sealed
        checkpoint = held(unit, sealed)
        (created,) = log.read(unit, code="log.key-created")
        assert root_of(unpack_edge(unit.log_head().edge)) == checkpoint.root
    assert parse_checkpoint(opened_by(parse_note(sealed.note), verifier(key, Log.ADMIN, 2023))) == checkpoint
    assert checkpoint.origin == "log.example.com/accredit/admin/2023"
    assert checkpoint.size == 301
    told = parse_vkey(str(created.body.detail["vkey"]))
    assert (told.name, told.raw) == ("log.example.com/accredit", verifier(key, Log.ADMIN, 2023).raw)


def test_one_a_second_and_only_of_what_is_new(database: Database, keyring: Keyring) -> None:
    assert write(database, keyring, 1, NOW) is not None
    assert write(database, keyring, 1, NOW) is None
    later = write(database, keyring, 1, NOW + 1)
    assert later is not None
    with database.noting() as unit:
        assert seal(unit, keyring, NOW + 9) is None
        sizes = [checkpoints.largest(unit, Log.ADMIN, 2023, most) for most in (9, 4, 3, 1)]
        assert [each and each.size for each in sizes] == [4, 4, 2, None]
        sizes = [checkpoints.smallest(unit, Log.ADMIN, 2023, least) for least in (0, 2, 3, 5)]
        assert [each and each.size for each in sizes] == [2, 2, 4, None]


def test_each_log_and_year_has_its_own_name(database: Database, keyring: Keyring) -> None:
    write(database, keyring, 5, NOW)
    write(database, keyring, 5, NOW, Log.SERVERS)
    # Nobody was there to sign the last of the old year.
    with database.writing() as unit:
        log.append(unit, Event(EventCode.ACT_REFUSED, "test"), NOW)
    new = write(database, keyring, 1, NOW + YEAR)
    with database.noting() as unit:
        (old,) = seal_closed(unit, keyring, NOW + YEAR)
        assert seal_closed(unit, keyring, NOW + YEAR) == []
        names = [
            held(unit, each).origin
            for each in (old, new, checkpoints.newest(unit, Log.SERVERS, 2023))
            if each
        ]
        (opened,) = log.read(unit, code="log.opened")
        assert opened.body.detail["closed_root"] == held(unit, old).root.hex()
        assert opened.body.detail["closed_size"] == old.size == 7
    assert names == [
        f"log.example.com/accredit/{each}" for each in ("admin/2023", "admin/2024", "servers/2023")
    ]


def test_another_key_goes_on_with_the_same_log(database: Database, keyring: Keyring) -> None:
    first = write(database, keyring, 1, NOW)
    with database.writing() as unit:
        created = create_log_key(unit, keyring, "test", NOW + 1, "another.example")
        second = seal(unit, keyring, NOW + 1)
    assert first is not None
    assert second is not None
    with database.reading() as unit:
        new, old = checkpoints.log_keys(unit)
        assert (new.public, new.origin) == (created.public, "log.example.com/accredit")
        assert held(unit, first).origin == held(unit, second).origin == origin_of(old, Log.ADMIN, 2023)
    opened_by(parse_note(second.note), verifier(new, Log.ADMIN, 2023))
    with pytest.raises(NoteNotSigned):
        opened_by(parse_note(second.note), verifier(old, Log.ADMIN, 2023))


@pytest.mark.parametrize("origin", ["with space", "a+b", "UPPER", "line\n"])
def test_names_no_log_can_have(database: Database, origin: str) -> None:
    with pytest.raises(PeerError, match="cannot name a log"), database.writing() as unit:
        create_log_key(unit, open_keyring(unit, MasterKey(bytes(32)), now=NOW), "test", NOW, origin)


def rewrite(database: Database, *statements: str) -> None:
    """What only somebody with the database in hand can do."""
    with database._engine.begin() as connection:
        if database.is_sqlite:
            query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            for (name,) in connection.execute(text(query)).all():
                connection.execute(text(f"DROP TRIGGER {name}"))
        else:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            connection.execute(text(statement))


def test_a_log_that_was_altered_is_not_what_was_signed(database: Database, keyring: Keyring) -> None:
    sealed = write(database, keyring, 20, NOW)
    assert sealed is not None
    rewrite(database, "UPDATE events SET body = replace(body, 'refused', 'granted') WHERE seq = 7")
    with database.reading() as unit, pytest.raises(TreeBroken, match="not those that were signed"):
        held(unit, sealed)


def test_an_older_copy_is_not_what_was_signed(database: Database, keyring: Keyring) -> None:
    sealed = write(database, keyring, 20, NOW)
    assert sealed is not None
    rewrite(database, "DELETE FROM events WHERE seq > 15", "UPDATE logs SET seq = 15 WHERE name = 'admin'")
    with database.reading() as unit, pytest.raises(TreeBroken, match="21 events were signed, and only 15"):
        held(unit, sealed)


def test_what_another_signed_is_not_ours(database: Database, keyring: Keyring) -> None:
    sealed = write(database, keyring, 20, NOW)
    assert sealed is not None
    with database.reading() as unit:
        with pytest.raises(NoteNotSigned, match="not its signature"):
            held(unit, replace(sealed, note=sealed.note.replace("\n21\n", "\n20\n")))
        with pytest.raises(NoteNotSigned, match="no key of this log"):
            held(unit, replace(sealed, note=sealed.note.replace("\u2014 log.example", "\u2014 bog.example")))
        with pytest.raises(TreeBroken, match="another's"):
            held(unit, replace(sealed, size=20))


def test_witnesses_stand_under_it(database: Database, keyring: Keyring) -> None:
    sealed = write(database, keyring, 1, NOW)
    assert sealed is not None
    line = "\u2014 w.example AAAAAAAA\n"
    with database.noting() as unit:
        checkpoints.add_cosignature(unit, sealed, "w.example", line, NOW)
        assert whole_note(unit, sealed) == sealed.note + line
