"""What was signed stays due until exactly that version is settled."""

from __future__ import annotations

import threading

from issuer.store import outbox
from issuer.store.outbox import Delivery
from issuer.store.unit import Database
from tests.issuer.store.founding import NOW, Founded, new_account, told


def put(database: Database, account_id: int, *, version: int = 1, action: str = "update") -> None:
    with database.writing() as unit:
        outbox.enqueue(unit, account_id, action, 1, version, NOW)
        told(unit)


def test_claimed_work_is_nobody_elses_until_the_lease_ends(database: Database, founded: Founded) -> None:
    put(database, founded.account.id)
    with database.noting() as unit:
        (due,) = outbox.claim(unit, "one", NOW, 30, 10)
        assert outbox.claim(unit, "two", NOW + 29, 30, 10) == []
        (again,) = outbox.claim(unit, "two", NOW + 30, 30, 10)
        assert (due.attempts, again.attempts, again.claimed_by) == (1, 2, "two")
        assert not outbox.settle(unit, due)
        assert outbox.settle(unit, again)
        assert outbox.pending(unit) == []
        assert outbox.next_due(unit) is None


def test_a_newer_version_survives_the_settling_of_an_older(database: Database, founded: Founded) -> None:
    put(database, founded.account.id)
    with database.noting() as unit:
        (due,) = outbox.claim(unit, "one", NOW, 30, 10)
    put(database, founded.account.id, version=2)
    with database.noting() as unit:
        assert not outbox.settle(unit, due)
        assert not outbox.postpone(unit, due, NOW + 9, "no answer")
        (newer,) = outbox.claim(unit, "one", NOW, 30, 10)
        assert (newer.version, newer.attempts) == (2, 1)


def test_postponed_work_is_due_later_and_says_why(database: Database, founded: Founded) -> None:
    put(database, founded.account.id, action="delete")
    with database.noting() as unit:
        (due,) = outbox.claim(unit, "one", NOW, 30, 10)
        assert due.action == "delete"
        assert outbox.postpone(unit, due, NOW + 60, "no answer from n2")
        assert outbox.claim(unit, "one", NOW + 59, 30, 10) == []
        assert outbox.next_due(unit) == NOW + 60
        (again,) = outbox.claim(unit, "one", NOW + 60, 30, 10)
        assert (again.last_words, again.attempts) == ("no answer from n2", 2)


def test_two_deliverers_share_the_work(database: Database, founded: Founded) -> None:
    with database.writing() as unit:
        for number in range(20):
            account = new_account(unit, founded.operator, f"account {number}")
            outbox.enqueue(unit, account.id, "update", 1, 1, NOW)
        told(unit)
    taken: dict[str, list[int]] = {"one": [], "two": []}

    def work(who: str) -> None:
        while True:
            with database.noting() as unit:
                found = outbox.claim(unit, who, NOW, 30, 3)
            if not found:
                return
            taken[who] += [due.account_id for due in found]

    threads = [threading.Thread(target=work, args=(who,)) for who in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = taken["one"] + taken["two"]
    assert len(everything) == len(set(everything)) == 20


def test_servers_and_deliveries_are_kept_by_name(database: Database, founded: Founded) -> None:
    account = founded.account.id
    with database.noting() as unit:
        outbox.note_server(unit, "NA", "n1", now=NOW, cluster="c", version="2.15.0")
        outbox.note_server(unit, "NA", "n1", now=NOW + 5, cluster="c", version="2.15.1")
        (server,) = outbox.servers(unit)
        assert (server.first_seen, server.last_seen, server.version) == (NOW, NOW + 5, "2.15.1")
        sent = Delivery(account, "n1", "NA", 1, "hash", "sent", "", NOW)
        proved = Delivery(account, "n1", "NB", 2, "hash 2", "proved", "", NOW + 1)
        outbox.note_delivery(unit, sent)
        outbox.note_delivery(unit, proved)
        assert outbox.deliveries(unit) == outbox.deliveries(unit, account) == [proved]
        assert outbox.deliveries(unit, account + 1) == []
        outbox.forget_server(unit, "n1")
        assert (outbox.servers(unit), outbox.deliveries(unit)) == ([], [])
