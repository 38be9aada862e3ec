"""Denials, whom they are about, and what is written of it, on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from issuer.audit import log
from issuer.audit.catalogue import EventCode
from issuer.authority.cutting import (
    DeniesNobody,
    Deny,
    Ended,
    LiftDenial,
    affected,
    denials,
    deny,
    lift,
    note_ended,
)
from issuer.authority.desk import Actor, Authority
from issuer.authority.operators import AddOperator, add_operator
from issuer.authority.sessions import SessionQuestion, session_page
from issuer.custody.keyring import Keyring
from issuer.custody.master import MasterKey
from issuer.errors import NotFound
from issuer.grants import Denial, Identity, Target
from issuer.store import hierarchy
from issuer.store.grants import add_sessions
from issuer.store.identities import keep_identities
from issuer.store.sessions import Over, Wanted, end_connections, end_expired
from issuer.store.unit import Database
from tests.issuer.store.founding import NOW
from tests.issuer.store.test_grants import session

ADA = Actor("ada", "test")
OKTA = "https://id.example"
ANN = Identity(issuer=OKTA, subject="ann", name="Ann", directory="okta", groups=("staff",))
BOB = Identity(issuer=OKTA, subject="bob", name="Bob", directory="okta", groups=("ops", "staff"))
PUMP = Identity(issuer="keys:pumps", subject="p1", name="p1", directory="pumps")


class Office:
    """An operator with four sessions: Ann's two, Bob's, a pump's portable one."""

    def __init__(self, url: str) -> None:
        self.database = Database.open(url, create=True)
        keyring = Keyring(MasterKey(bytes(range(32))))
        self.authority = Authority(self.database, keyring, clock=lambda: NOW + 100)
        self.authority.perform(add_operator, AddOperator("ACME"), ADA)
        with self.database.reading() as unit:
            operator = hierarchy.find_operator(unit, "ACME")
        assert operator is not None
        self.id = operator.id
        rows = [
            session(1, identity=ANN.digest(), proved_at=NOW),
            session(2, identity=ANN.digest(), proved_at=NOW + 50, server_id="N2", server="two"),
            session(3, identity=BOB.digest(), subject="bob", bindings=("operators", "night")),
            session(
                4, identity=PUMP.digest(), issuer="keys:pumps", subject="p1", directory="pumps",
                bindings=("pumps",), server_id="", server="", client_id=0,
            ),
        ]  # fmt: skip
        with self.database.noting() as unit:
            keep_identities(unit, self.id, [ANN, BOB, PUMP], NOW)
            add_sessions(unit, self.id, rows)

    def about(self, denial: Denial) -> list[int]:
        found = self.authority.ask(affected, (self.id, denial, 0))
        return [int(each.user_key[1:]) for each in found.sessions]

    def events(self, code: EventCode) -> list[log.Entry]:
        with self.database.reading() as unit:
            return list(log.read(unit, code=code))


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    made = Office(database_url)
    yield made
    made.database.close()


@pytest.mark.parametrize(
    ("denial", "numbers"),
    [
        (Denial(target=Target.IDENTITY, issuer=OKTA, value="ann"), [1, 2]),
        (Denial(target=Target.IDENTITY, issuer="keys:pumps", value="ann"), []),
        (Denial(target=Target.IDENTITY, issuer=OKTA, value="ann", before=NOW + 50), [1]),
        (Denial(target=Target.GROUP, value="staff"), [1, 2, 3]),
        (Denial(target=Target.GROUP, value="ops"), [3]),
        (Denial(target=Target.GROUP, issuer="keys:pumps", value="staff"), []),
        (Denial(target=Target.DIRECTORY, value="pumps"), [4]),
        (Denial(target=Target.BINDING, value="operators"), [1, 2, 3]),
        (Denial(target=Target.BINDING, value="night"), [3]),
        (Denial(target=Target.BINDING, value="nigh"), []),
        (Denial(target=Target.EVERYBODY), [1, 2, 3, 4]),
        # Who cannot say when it was proved is taken to have proved it long ago.
        (Denial(target=Target.EVERYBODY, before=NOW + 1), [1, 3, 4]),
    ],
)
def test_whom_a_denial_is_about(office: Office, denial: Denial, numbers: list[int]) -> None:
    assert office.about(denial) == numbers


def test_only_those_who_came_since_are_asked_for_again(office: Office) -> None:
    everybody = Denial(target=Target.EVERYBODY)
    first = office.authority.ask(affected, (office.id, everybody, 0))
    assert office.authority.ask(affected, (office.id, everybody, first.last)).sessions == ()
    with office.database.noting() as unit:
        add_sessions(unit, office.id, [session(5, identity=ANN.digest())])
    (new,) = office.authority.ask(affected, (office.id, everybody, first.last)).sessions
    assert new.client_id == 5


def test_a_denial_is_written_once_with_its_event_and_lifted_once(office: Office) -> None:
    act = Deny(Target.IDENTITY, OKTA, "ann", None, "left")
    first = office.authority.perform(deny, act, ADA, reason="left")
    assert office.authority.perform(deny, act, ADA) == first
    assert office.authority.ask(denials, office.id) == [first]
    (event,) = office.events(EventCode.IDENTITY_DENIED)
    assert event.body.detail["denial"] == first.id
    assert office.authority.perform(lift, LiftDenial(first.id), ADA) == first
    assert len(office.events(EventCode.IDENTITY_RESTORED)) == 1
    with pytest.raises(NotFound):
        office.authority.perform(lift, LiftDenial(first.id), ADA)
    assert office.authority.perform(deny, act, ADA).id != first.id


@pytest.mark.parametrize("act", [Deny(Target.IDENTITY, "", "ann"), Deny(Target.GROUP)])
def test_a_denial_says_whom(office: Office, act: Deny) -> None:
    with pytest.raises(DeniesNobody):
        office.authority.perform(deny, act, ADA)


def test_what_became_of_them_is_one_event_in_milliseconds(office: Office) -> None:
    denial = Denial(id=7, target=Target.GROUP, value="staff")
    ended = Ended(
        operator_id=office.id, denial=denial, sessions=(1, 2), servers={"two": 1, "one": 2}, left=1,
        first_kick=0.0012, last_gone=0.5,
    )  # fmt: skip
    assert office.authority.perform(note_ended, ended, ADA, reason="x") == 2
    assert office.authority.perform(note_ended, replace_sessions(ended, (1,)), ADA) == 0
    event = office.events(EventCode.IDENTITY_EVICTED)[0].body
    assert event.outcome == "failed"
    wanted = {"sessions": 3, "servers": "one: 2, two: 1", "first_kick_ms": 1, "last_gone_ms": 500, "left": 1}
    assert wanted.items() <= event.detail.items()


def replace_sessions(ended: Ended, ids: tuple[int, ...]) -> Ended:
    from dataclasses import replace as changed

    return changed(ended, sessions=ids)


def test_sessions_are_given_a_page_at_a_time(office: Office) -> None:
    question = SessionQuestion(operator_id=office.id, limit=3)
    first = office.authority.ask(session_page, question)
    assert first.after is not None
    second = office.authority.ask(session_page, SessionQuestion(operator_id=office.id, after=first.after))
    assert [len(first.sessions), len(second.sessions), second.after] == [3, 1, None]
    by_group = office.authority.ask(session_page, SessionQuestion(operator_id=office.id, group="ops"))
    assert [each.subject for each in by_group.sessions] == ["bob"]


def test_an_end_told_twice_keeps_its_first_words(office: Office) -> None:
    for at, words in ((NOW + 5, "Kicked"), (NOW + 9, "Client Closed")):
        with office.database.noting() as unit:
            end_connections(unit, [Over("N2", 2, at, words), Over("N9", 9, at, words)])
    wanted = Wanted(ended=True)
    (over,) = office.authority.ask(
        session_page, SessionQuestion(operator_id=office.id, wanted=wanted)
    ).sessions
    assert (over.ended_at, over.reason) == (NOW + 5, "Kicked")


def test_a_token_that_has_expired_is_a_session_that_is_over(office: Office) -> None:
    with office.database.noting() as unit:
        assert end_expired(unit, office.id, now=NOW + 3599, reason="x") == 0
        assert end_expired(unit, office.id, now=NOW + 3600, reason="x") == 4
    with office.database.reading() as unit:
        question = SessionQuestion(operator_id=office.id, wanted=Wanted(ended=True, since=NOW + 3600))
        assert len(session_page(unit, question).sessions) == 4


def test_a_session_whose_identity_is_lost_is_still_its_subject(office: Office) -> None:
    with office.database.noting() as unit:
        add_sessions(unit, office.id, [replace(session(6), identity="f" * 32)])
    assert office.about(Denial(target=Target.IDENTITY, issuer=OKTA, value="ann")) == [1, 2, 6]
