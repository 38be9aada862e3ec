"""What becomes of what servers say: each once, tied to credential and approval, and no token kept."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from issuer.audit.catalogue import EventCode
from issuer.audit.ingest import Ingest, Written
from issuer.audit.log import Event, append, read, verify_chain
from issuer.audit.server_events import parse
from issuer.authority.connections import ConnectionQuestion, seen_connections
from issuer.keys.nkeys import Role, Seed
from issuer.store.connections import (
    CONNECTIONS_KEPT,
    HEARD_KEPT,
    Connection,
    WantedConnections,
    find_connections,
    forget_old,
    note_service_user,
    uses_of,
)
from issuer.store.unit import Database, Log
from issuer.tokens.envelope import token_hash
from issuer.tokens.signer import SeedSigner
from tests.issuer.audit.servers_say import House, Message, Shown
from tests.issuer.store.founding import NOW, Founded, found
from tests.servers import Postgres

LATER = NOW + 200


@pytest.fixture
def house(database: Database, founded: Founded) -> House:
    return House.over(database, founded.account)


def write(
    house: House, *messages: Message, ingest: Ingest | None = None, lost: int = 0, now: int = LATER
) -> Written:
    with house.database.writing(Log.SERVERS) as unit:
        return (ingest or Ingest(house.account.operator_id)).write(
            unit, [parse(*message) for message in messages], now, lost=lost
        )


def codes(house: House) -> list[str]:
    with house.database.reading() as unit:
        assert verify_chain(unit, Log.SERVERS) is None
        return [entry.body.code for entry in read(unit, Log.SERVERS)]


def connections(house: House) -> list[Connection]:
    with house.database.reading() as unit:
        return find_connections(unit, WantedConnections(), limit=100)


def test_a_connection_is_tied_to_token_user_and_approval(house: House) -> None:
    ada = house.issued("ada")
    write(house, house.connect(ada, 7))
    write(house, house.disconnect(ada, 7, "Credentials Revoked"))
    assert codes(house) == ["server.connected", "server.disconnected"]
    with house.database.reading() as unit:
        [seen] = seen_connections(unit, ConnectionQuestion(user="ada"))
        use = uses_of(unit, {(ada.public, house.account.public)})[ada.public, house.account.public]
    assert (seen.connection.credential, seen.connection.sha256) == ("issued", token_hash(ada.token))
    assert (seen.connection.ended_at, seen.connection.reason) == (NOW + 160, "Credentials Revoked")
    assert (seen.identity, seen.said("address")) == ("ada", "10.0.0.7")
    assert seen.approval is not None
    assert (seen.approval.body.code, seen.approval.body.actor) == ("user.issued", "cli:ada")
    assert (use.first_seen, use.last_seen, use.connections) == (NOW + 100, NOW + 100, 1)


def test_what_is_heard_again_counts_once(house: House) -> None:
    """By the same process, by another one, and twice in a batch."""
    ada = house.issued("ada")
    messages = [house.connect(ada, 7), house.disconnect(ada, 7)]
    ingest = Ingest(house.account.operator_id)
    assert write(house, *messages, messages[0], ingest=ingest).again == 1
    assert write(house, *messages, ingest=ingest) == Written(again=2)
    assert write(house, *reversed(messages)) == Written(again=2)
    assert codes(house) == ["server.connected", "server.disconnected"]


def test_the_end_may_be_heard_before_the_beginning(house: House) -> None:
    ada = house.issued("ada")
    write(house, house.disconnect(ada, 7))
    write(house, house.connect(ada, 7))
    [row] = connections(house)
    assert (row.started_at, row.ended_at, row.opened_seq, row.closed_seq) == (NOW + 100, NOW + 160, 2, 1)


def test_a_refusal_told_as_an_end_too_stands_once(house: House) -> None:
    ada = house.issued("ada")
    messages = [
        house.refuse(ada, 8, user=""),
        house.disconnect(ada, 8, "Authentication Failure", acc="$G", user=""),
    ]
    assert write(house, *messages).events == 1
    assert codes(house) == ["server.refused"]
    with house.database.reading() as unit:
        [entry] = read(unit, Log.SERVERS)
    assert (entry.body.target, entry.body.outcome) == (ada.public, "refused")
    assert connections(house) == []


def test_a_connection_cut_for_its_key_is_over_all_the_same(house: House) -> None:
    """Servers give the same reason when a signing key is taken away."""
    ada = house.issued("ada")
    write(house, house.connect(ada, 7), house.disconnect(ada, 7, "Authentication Failure"))
    assert [row.reason for row in connections(house)] == ["Authentication Failure"]


def test_a_token_nobody_issued_is_an_alarm_and_once_it_is_taken_in_no_more(house: House) -> None:
    ingest = Ingest(house.account.operator_id)
    forged = house.signed("ada")
    written = write(house, house.connect(forged, 7), house.refuse(forged, 8), ingest=ingest)
    assert (written.events, written.alarms) == (4, 2)
    write(house, house.disconnect(forged, 7), ingest=ingest)
    assert codes(house).count("server.unknown-token") == 2
    with house.database.noting() as unit:
        sha256 = token_hash(forged.token)
        note_service_user(unit, forged.public, "ours", sha256, expires_at=LATER, now=NOW)
    assert write(house, house.connect(forged, 9), ingest=ingest).alarms == 0


def test_strangers_are_told_from_forgers_and_rubbish(house: House) -> None:
    foreign = house.signed("eve", by=SeedSigner(Seed.generate(Role.ACCOUNT)))
    ada = house.signed("ada")
    broken = Shown(ada.public, ada.token[:-6] + "AAAAAA", ada.issuer)
    rubbish = Shown(ada.public, "not a token", ada.issuer)
    messages = [
        house.connect(each, number, issuer_key="")
        for number, each in enumerate((foreign, broken, rubbish, None), 1)
    ]
    assert write(house, *messages).alarms == 0
    credentials = {row.client_id: row.credential for row in connections(house)}
    assert credentials == {1: "foreign", 2: "unproved", 3: "unproved", 4: "none"}


def test_an_account_that_is_not_ours_is_written_as_told(house: House) -> None:
    other = Seed.generate(Role.ACCOUNT)
    shown = house.signed("eve", by=SeedSigner(other))
    write(house, house.connect(shown, 7, acc=other.public))
    [row] = connections(house)
    assert (row.account, row.credential) == (other.public, "foreign")


def test_no_token_and_no_seed_reaches_the_store(sqlite_url: str, tmp_path: Path) -> None:
    """Neither its file nor its log holds one, wherever a client puts it."""
    opened = Database.open(sqlite_url, create=True)
    house = House.over(opened, found(opened).account)
    shown = [house.signed(name) for name in ("ada", "bob")]
    foreign = house.signed("eve", by=SeedSigner(Seed.generate(Role.ACCOUNT)))
    seed = f"SU{'A' * 56}"
    for number, each in enumerate((*shown, foreign), 1):
        planted = {"name": f"x{each.token}", "lang": each.token, "host": each.token, "ver": seed}
        write(house, house.connect(each, number, **planted), house.refuse(each, number + 50, **planted))
        write(house, house.disconnect(each, number, each.token, name_tag=each.token, kind=each.token))
    with house.database.noting() as unit:
        forget_old(unit, LATER)
    opened.close()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert token_hash(foreign.token).encode() in written
    for each in (*shown, foreign):
        assert each.signature.encode() not in written
        assert each.token.split(".")[1].encode() not in written
    assert seed.encode() not in written


def test_what_was_lost_and_what_was_no_event_is_counted_in_the_log(house: House) -> None:
    subject, data = house.connect(None, 1)
    written = write(house, (subject, b"{"), (subject, b"["), ("x", data), lost=1234)
    assert written.unfit == {"malformed": 2, "subject": 1}
    with house.database.reading() as unit:
        told = [(entry.body.code, entry.body.detail) for entry in read(unit, Log.SERVERS)]
    assert told == [
        ("server.lost", {"count": 1234}),
        ("server.unreadable", {"count": 2, "reason": "malformed"}),
        ("server.unreadable", {"count": 1, "reason": "subject"}),
    ]


def test_any_order_of_many_ends_with_the_same_connections(house: House) -> None:
    shown = [house.issued(f"user{number}") for number in range(3)]
    messages = [
        say(each, number * 10 + place)
        for number, each in enumerate(shown, 1)
        for place in range(5)
        for say in (house.connect, house.disconnect)
    ]
    random.Random(5).shuffle(messages)
    for start in range(0, len(messages), 4):
        write(house, *messages[start : start + 6])
    rows = connections(house)
    assert len(rows) == 15
    assert all(row.ended_at and row.opened_seq and row.closed_seq for row in rows)
    assert {row.credential for row in rows} == {"issued"}
    assert len(codes(house)) == 30


def test_old_things_are_forgotten_a_little_at_a_time(house: House) -> None:
    write(house, house.connect(None, 1), house.disconnect(None, 1), house.connect(None, 2))
    with house.database.noting() as unit:
        assert forget_old(unit, LATER + HEARD_KEPT) == 0
        assert forget_old(unit, LATER + HEARD_KEPT + 1) == 3
        assert forget_old(unit, LATER + CONNECTIONS_KEPT) == 1
    assert [row.client_id for row in connections(house)] == [2]


def test_an_act_does_not_wait_for_what_servers_say(postgres: Postgres) -> None:
    """On PostgreSQL: the transaction of a batch stays open until the act is committed."""
    opened = Database.open(postgres.new_database(), create=True)
    house = House.over(opened, found(opened).account)
    ada = house.issued("ada")
    act_done = threading.Event()

    def act() -> None:
        with house.database.writing() as unit:
            append(unit, Event(EventCode.ACCOUNT_CHANGED, "cli:bob"), LATER)
        act_done.set()

    with house.database.writing(Log.SERVERS) as unit:
        Ingest(house.account.operator_id).write(unit, [parse(*house.connect(ada, 7))], LATER)
        thread = threading.Thread(target=act)
        thread.start()
        waited = act_done.wait(20)
    thread.join()
    assert waited
    assert codes(house) == ["server.connected"]
    opened.close()
