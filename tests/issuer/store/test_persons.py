"""People apart from events: commitments that can be opened, until they are erased."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode

import pytest

from issuer.audit import log
from issuer.audit.catalogue import EventCode
from issuer.audit.log import Event
from issuer.errors import Defect
from issuer.store import persons, schema
from issuer.store.journal import read_events
from issuer.store.unit import Database, Log
from tests.issuer.store.founding import NOW


def login(subject: str, **more: str) -> Event:
    return Event(EventCode.LOGIN_REFUSED, "callout", outcome="refused", detail={"subject": subject, **more})


def write(database: Database, *events: Event, name: Log = Log.ADMIN) -> None:
    with database.writing(name) as unit:
        log.append_many(unit, events, NOW)


def erase(database: Database, value: str) -> str | None:
    with database.writing() as unit:
        stood = persons.erase(unit, value)
        log.append(unit, Event(EventCode.PERSON_ERASED, "test", detail={"commitment": stood or ""}), NOW)
    return stood


def texts(database: Database) -> list[str]:
    with database.reading() as unit:
        return [line.body for line in read_events(unit)]


def test_people_are_not_in_what_is_hashed(database: Database) -> None:
    write(
        database,
        Event(EventCode.ACCOUNT_CREATED, "cli:ada", reason="asked by grace", detail={"name": "Orders"}),
        login("linus", address="192.0.2.7", issuer="https://id.example"),
    )
    written = "".join(texts(database))
    for word in ("ada", "grace", "linus", "192.0.2.7"):
        assert word not in written
    for word in ("Orders", "https://id.example", "cli:~"):
        assert word in written
    with database.reading() as unit:
        first, second = log.read(unit)
    assert (first.body.actor, first.body.reason) == ("cli:ada", "asked by grace")
    assert second.body.detail == {"subject": "linus", "address": "192.0.2.7", "issuer": "https://id.example"}


def test_the_same_person_has_one_commitment_and_it_opens(database: Database) -> None:
    write(database, login("linus"), login("ada"))
    write(database, login("linus"))
    with database.reading() as unit:
        stands = persons.known_as(unit, "linus")
        assert stands is not None
        opening = persons.openings(unit, [stands, "~" + "A" * 43])[stands]
    digest = hashlib.sha256(opening.salt + b"linus").digest()
    assert stands == "~" + urlsafe_b64encode(digest).decode().rstrip("=")
    assert persons.is_commitment(stands)
    assert [stands in body for body in texts(database)] == [True, False, True]
    assert "linus" not in repr(opening)


def test_an_actor_is_found_by_name(database: Database) -> None:
    act = EventCode.ACT_REFUSED
    write(database, Event(act, "cli:ada"), Event(act, "cli:grace"), Event(act, "service:accredit"))
    with database.reading() as unit:
        assert [entry.seq for entry in log.read(unit, actor="cli:ada")] == [1]
        assert [entry.seq for entry in log.read(unit, actor="service:accredit")] == [3]
        assert list(log.read(unit, actor="cli:nobody")) == []


def test_who_is_erased_is_nobody_from_then_on(database: Database) -> None:
    write(database, login("linus"), login("ada"))
    with database.reading() as unit:
        before = persons.known_as(unit, "linus")
    assert erase(database, "linus") == before
    assert erase(database, "linus") is None
    with database.reading() as unit:
        first, second, *_ = log.read(unit)
        assert log.verify_chain(unit) is None
        assert persons.openings(unit, [before or ""]) == {}
    assert first.body.detail["subject"] == before
    assert second.body.detail["subject"] == "ada"
    write(database, login("linus"))
    with database.reading() as unit:
        (last,) = log.read(unit, newest_first=True, limit=1)
        assert last.body.detail["subject"] == "linus"
        assert persons.known_as(unit, "linus") not in {None, before}


def test_another_process_forgets_too(database: Database, database_url: str) -> None:
    other = Database.open(database_url)
    write(database, login("linus"))
    write(other, login("linus"))
    write(other, login("linus"), name=Log.SERVERS)
    erase(database, "linus")
    write(other, login("linus"), name=Log.SERVERS)
    write(other, login("linus"))
    other.close()
    with database.reading() as unit:
        subjects = [entry.body.detail.get("subject") for entry in log.read(unit)]
        heard = [entry.body.detail["subject"] for entry in log.read(unit, Log.SERVERS)]
    assert subjects[0] == subjects[1] != "linus"
    assert subjects[-1] == heard[-1] == "linus"
    assert heard[0] == subjects[0]


def test_what_was_rolled_back_is_not_remembered(database: Database) -> None:
    def fail() -> None:
        with database.writing() as unit:
            log.append(unit, login("linus"), NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    write(database, login("linus"))
    with database.reading() as unit:
        (entry,) = log.read(unit)
    assert entry.body.detail["subject"] == "linus"


def test_any_text_may_be_a_name(database: Database) -> None:
    odd = ["=1+1", "a\x00b", "half \ud83d", "x" * 1_000_000, "~" + "A" * 43, "é\n\r\t"]
    write(database, *map(login, odd))
    with database.reading() as unit:
        subjects = [entry.body.detail["subject"] for entry in log.read(unit)]
        assert log.verify_chain(unit) is None
    assert subjects == ["=1+1", "a\\x00b", "half \\ud83d", "x" * 1_000_000, "~" + "A" * 43, "é\n\r\t"]


def test_beside_the_log_of_servers_no_right_is_changed(database: Database) -> None:
    with pytest.raises(Defect, match="not written beside"), database.writing(Log.SERVERS) as unit:
        unit.write(schema.accounts.delete())
