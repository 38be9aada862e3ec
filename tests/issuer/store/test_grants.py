"""Policies only grow, sessions end once, denials stand until they are lifted."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from issuer.grants import Denial, Kind, Session, Target
from issuer.store import grants
from issuer.store.unit import Database
from tests.issuer.store.founding import NOW, Founded, told


def session(number: int = 1, **members: Any) -> Session:
    made = Session(
        user_key=f"U{number}",
        identity="0" * 32,
        issuer="https://id.example",
        subject="ann",
        name="Ann",
        kind=Kind.PERSON,
        directory="okta",
        groups_hash="0",
        bindings=("operators",),
        policy_version=3,
        account="A1",
        role="operator",
        server_id="N1",
        server="one",
        client_id=number,
        address="192.0.2.1",
        started_at=NOW + number,
        expires_at=NOW + 3600,
    )
    return replace(made, **members)


def test_a_policy_gets_the_next_version_and_the_old_ones_stay(database: Database, founded: Founded) -> None:
    operator = founded.operator.id
    with database.writing() as unit:
        assert grants.newest_policy_version(unit, operator) == 0
        assert grants.policy_at(unit, operator) is None
        assert [grants.add_policy(unit, operator, body, NOW).version for body in ("{}", "[]")] == [1, 2]
        told(unit)
    with database.reading() as unit:
        newest, first = grants.policy_at(unit, operator), grants.policy_at(unit, operator, 1)
        assert newest is not None
        assert first is not None
        assert (newest.version, newest.body, first.body) == (2, "[]", "{}")
        assert newest.sha256 != first.sha256
        assert grants.policy_at(unit, operator, 3) is None
        assert grants.newest_policy_version(unit, operator) == 2


def test_what_is_known_of_a_session_comes_back(database: Database, founded: Founded) -> None:
    given = session(bindings=("operators", "night\\shift"))
    with database.noting() as unit:
        grants.add_sessions(unit, founded.operator.id, [given])
        (found,) = grants.open_sessions(unit, founded.operator.id)
    assert replace(found, id=0) == given


@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        ({}, [1, 2, 3]),
        ({"subject": "ann"}, [1, 3]),
        ({"issuer": "https://id.example", "subject": "bob"}, [2]),
        ({"issuer": "https://other.example"}, []),
        ({"directory": "ldap"}, [3]),
        ({"binding": "operators"}, [1, 2]),
        ({"binding": "operator"}, []),
        ({"binding": "%"}, []),
        ({"account": "A2"}, [2]),
        ({"server_id": "N2"}, [3]),
        ({"started_before": NOW + 2}, [1]),
        ({"limit": 2}, [1, 2]),
    ],
)
def test_who_is_connected(
    database: Database, founded: Founded, asked: dict[str, Any], numbers: list[int]
) -> None:
    with database.noting() as unit:
        given = [
            session(1),
            session(2, subject="bob", account="A2"),
            session(3, directory="ldap", bindings=("meters",), server_id="N2"),
        ]
        grants.add_sessions(unit, founded.operator.id, given)
        found = grants.open_sessions(unit, founded.operator.id, **asked)
        assert [each.client_id for each in found] == numbers
        if found:
            rest = grants.open_sessions(unit, founded.operator.id, after=found[0].id)
            assert found[0].id not in {each.id for each in rest}


def test_a_session_ends_once(database: Database, founded: Founded) -> None:
    with database.noting() as unit:
        grants.add_sessions(unit, founded.operator.id, [session(1), session(2)])
        assert grants.end_session_of(unit, "N1", 1, now=NOW + 9, reason="Client Closed") == 1
        assert grants.end_session_of(unit, "N1", 1, now=NOW + 10, reason="again") == 0
        (left,) = grants.open_sessions(unit, founded.operator.id)
        assert grants.end_sessions(unit, [left.id], now=NOW + 11, reason="Kicked") == 1
        assert grants.open_sessions(unit, founded.operator.id) == []


def test_a_denial_stands_until_it_is_lifted(database: Database, founded: Founded) -> None:
    operator = founded.operator.id
    given = Denial(
        target=Target.IDENTITY, issuer="https://id.example", value="ann", reason="left", before=NOW
    )
    with database.writing() as unit:
        grants.add_denial(unit, operator, given, NOW)
        grants.add_denial(unit, operator, Denial(target=Target.EVERYBODY), NOW + 1)
        told(unit)
    with database.writing() as unit:
        first, second = grants.standing_denials(unit, operator)
        assert replace(first, id=0, created_at=0) == given
        assert grants.lift_denial(unit, operator, first.id, now=NOW + 2)
        assert not grants.lift_denial(unit, operator, first.id, now=NOW + 3)
        assert grants.standing_denials(unit, operator) == [second]
        assert grants.standing_denials(unit, operator + 1) == []
        told(unit)
