"""A chain of events that shows every change to it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import pytest
from sqlalchemy import text

from issuer.audit import log
from issuer.audit.catalogue import EventCode
from issuer.audit.log import Event, EventNotAllowed, Leaf
from issuer.keys.nkeys import Role, Seed
from issuer.store import persons
from issuer.store.journal import read_events
from issuer.store.unit import GENESIS, Database
from tests.issuer.store.founding import NOW

CREATED = Event(
    code=EventCode.ACCOUNT_CREATED,
    actor="cli:ada",
    target="ACCOUNT",
    targets=("OPERATOR",),
    after="a" * 64,
    artefacts=(("jti", "a" * 64),),
    reason='wanted by ö & "co"\n',
    correlation="c1",
    detail={"name": "Orders", "expires": 5},
)


def write(database: Database, *events: Event) -> list[Leaf]:
    with database.writing() as unit:
        return log.append_many(unit, events, NOW)


def test_the_body_is_canonical_and_hashed_over_what_came_before(database: Database) -> None:
    first, second = write(database, CREATED, CREATED)
    with database.reading() as unit:
        lines = list(read_events(unit))
    previous = GENESIS
    for line, leaf in zip(lines, (first, second), strict=True):
        members = json.loads(line.body)
        canonical = json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert line.body == canonical
        assert members["previous"] == previous
        digest = hashlib.sha256(bytes.fromhex(previous) + line.body.encode()).hexdigest()
        assert (leaf.seq, leaf.hash, line.hash) == (line.seq, digest, digest)
        previous = digest
    with database.reading() as unit:
        (named, because) = (persons.known_as(unit, "ada"), persons.known_as(unit, CREATED.reason))
    assert json.loads(lines[0].body) == {
        "actor": f"cli:{named}",
        "after": "a" * 64,
        "artefacts": [["jti", "a" * 64]],
        "at": NOW,
        "code": "account.created",
        "correlation": "c1",
        "detail": {"name": "Orders", "expires": 5},
        "outcome": "done",
        "previous": GENESIS,
        "reason": because,
        "seq": 1,
        "target": "ACCOUNT",
        "targets": ["OPERATOR"],
    }


def test_control_characters_are_written_as_rfc_8785_says(database: Database) -> None:
    write(database, Event(EventCode.ACT_REFUSED, "a", correlation='\b\t\n\f\r\x01\x1f\x7f\u2028"\\/'))
    with database.reading() as unit:
        (line,) = read_events(unit)
    assert '"correlation":"\\b\\t\\n\\f\\r\\u0001\\u001f\x7f\u2028\\"\\\\/"' in line.body


def test_what_is_not_text_is_written_as_text(database: Database) -> None:
    odd = Event(
        EventCode.ACT_REFUSED,
        "a\x00b",
        target="half \ud83d",
        reason="\x00",
        detail={"message": "\udcff \x00"},
    )
    write(database, odd, CREATED)
    with database.reading() as unit:
        first = next(log.read(unit))
        assert log.verify_chain(unit) is None
    assert (first.body.actor, first.body.target) == ("a\\x00b", "half \\ud83d")
    assert first.body.detail == {"message": "\\udcff \\x00"}


def test_a_typed_seed_is_not_recorded(database: Database) -> None:
    seed = Seed.generate(Role.ACCOUNT).reveal()
    write(database, Event(EventCode.ACT_REFUSED, "a", detail={"message": f"no account {seed!r}"}))
    with database.reading() as unit:
        (entry,) = log.read(unit)
    assert entry.body.detail == {"message": "no account '(a seed, not recorded)'"}


@pytest.mark.parametrize(
    "event",
    [
        Event(EventCode.ACCOUNT_CREATED, "a", detail={"seed": "S"}),
        Event(EventCode.ACCOUNT_CREATED, "a", outcome="perhaps"),
        Event(EventCode.ACCOUNT_CREATED, "a", detail={"expires": 2**53}),
        Event(EventCode.ACCOUNT_CREATED, "a", detail={"expires": 1.5}),  # type: ignore[dict-item]
        Event(EventCode.ACCOUNT_CREATED, "a", detail={"name": b"x"}),  # type: ignore[dict-item]
    ],
)
def test_what_the_catalogue_does_not_provide_for(database: Database, event: Event) -> None:
    with pytest.raises(EventNotAllowed):
        write(database, CREATED, event)
    with database.reading() as unit:
        assert unit.log_head()[:2] == (0, GENESIS)


def test_one_by_one_or_many_at_once_makes_the_same_chain(database: Database) -> None:
    leaves = [write(database, CREATED)[0]]
    leaves += write(database, *[CREATED] * 30)
    with database.writing() as unit:
        leaves += [log.append(unit, CREATED, NOW) for _ in range(3)]
        leaves += log.append_many(unit, [CREATED] * 3, NOW)
        assert log.append_many(unit, [], NOW) == []
    assert [leaf.seq for leaf in leaves] == list(range(1, 38))
    with database.reading() as unit:
        assert [(entry.seq, entry.hash) for entry in log.read(unit)] == [
            (leaf.seq, leaf.hash) for leaf in leaves
        ]
        assert log.verify_chain(unit) is None


def test_reading_with_filters(database: Database) -> None:
    other = Event(EventCode.USER_ISSUED, "api:bob", target="USER", correlation="c2")
    write(database, CREATED, other, CREATED, other)
    with database.reading() as unit:

        def seqs(**filters: object) -> list[int]:
            return [entry.seq for entry in log.read(unit, **filters)]  # type: ignore[arg-type]

        assert seqs() == [1, 2, 3, 4]
        assert seqs(after_seq=2) == [3, 4]
        assert seqs(code="user.issued") == [2, 4]
        assert seqs(target="ACCOUNT") == [1, 3]
        assert seqs(actor="api:bob", limit=1) == [2]
        assert seqs(correlation="c2", newest_first=True) == [4, 2]


def drop_guards(database: Database) -> list[str]:
    if database.is_sqlite:
        return ["DROP TRIGGER events_no_update", "DROP TRIGGER events_no_delete"]
    return ["ALTER TABLE events DISABLE TRIGGER ALL"]


@pytest.mark.parametrize(
    ("forgery", "first_bad"),
    [
        ("UPDATE events SET body = replace(body, 'Orders', 'Others') WHERE seq = 3", 3),
        ("UPDATE events SET actor = 'cli:eve' WHERE seq = 3", 3),
        ("UPDATE events SET at = at - 1 WHERE seq = 3", 3),
        ("UPDATE events SET outcome = 'failed' WHERE seq = 4", 4),
        ("UPDATE events SET hash = previous WHERE seq = 2", 2),
        ("UPDATE events SET body = '{}' WHERE seq = 5", 5),
        ("DELETE FROM events WHERE seq = 2", 2),
        ("DELETE FROM events WHERE seq = 5", 5),
        ("DELETE FROM events WHERE seq = 1", 1),
        ("DELETE FROM events", 1),
        ("UPDATE logs SET seq = 4", 6),
    ],
)
def test_every_forgery_shows(database: Database, forgery: str, first_bad: int) -> None:
    write(database, *[CREATED] * 5)
    with database._engine.begin() as connection:
        for statement in (*drop_guards(database), forgery):
            connection.execute(text(statement))
    with database.reading() as unit:
        assert log.verify_chain(unit) == first_bad


def test_events_are_refused_that_follow_another(database: Database) -> None:
    make: Callable[[str], Event] = lambda actor: Event(EventCode.ACT_REFUSED, actor)  # noqa: E731
    with database.writing() as unit:
        stale, _ = log._chained(make("a"), {}, 1, GENESIS, NOW)
        head = unit.log_head()._replace(seq=1, hash=stale[9])
        log.append(unit, make("b"), NOW)
        with pytest.raises(Exception, match="does not follow"):
            unit.append_events([stale], head)
