"""Versions of a policy: each with its event, none changed, and nothing done twice."""

from __future__ import annotations

import json

import pytest

from issuer.audit.catalogue import EventCode
from issuer.audit.log import read
from issuer.authority.policies import PolicyMoved, SetPolicy, policy_history, set_policy, the_policy
from issuer.errors import NotFound
from tests.issuer.authority.conftest import House


def body(number: int) -> str:
    return json.dumps({"version": 1, "bindings": [number]})


def test_each_is_a_version_with_its_event(grid: House) -> None:
    for number in (1, 2):
        made = grid.do(set_policy, SetPolicy(body(number), bindings=1))
        assert (made.version.version, made.changed) == (number, True)
    with grid.authority.database.reading() as unit:
        assert the_policy(unit, (None, None)).body == body(2)
        assert the_policy(unit, (None, 1)).body == body(1)
        assert [each.version for each in policy_history(unit, None)] == [2, 1]
        newest = next(iter(read(unit, code=EventCode.POLICY_CHANGED)))
    assert newest.body.detail["sha256"]


def test_the_same_again_changes_nothing(grid: House) -> None:
    grid.do(set_policy, SetPolicy(body(1), bindings=1))
    again = grid.do(set_policy, SetPolicy(body(1), bindings=1))
    assert (again.version.version, again.changed) == (1, False)
    with grid.authority.database.reading() as unit:
        assert len(list(read(unit, code=EventCode.POLICY_CHANGED))) == 1


@pytest.mark.parametrize("expected", [0, 2])
def test_whoever_looked_at_another_version_is_told(grid: House, expected: int) -> None:
    grid.do(set_policy, SetPolicy(body(1), bindings=1))
    with pytest.raises(PolicyMoved, match="version 1 is in force"):
        grid.do(set_policy, SetPolicy(body(2), bindings=1, expected_version=expected))
    grid.do(set_policy, SetPolicy(body(2), bindings=1, expected_version=1))


def test_what_is_not_there(grid: House) -> None:
    with grid.authority.database.reading() as unit, pytest.raises(NotFound, match="no policy is in force"):
        the_policy(unit, (None, None))
    grid.do(set_policy, SetPolicy(body(1), bindings=1))
    with grid.authority.database.reading() as unit, pytest.raises(NotFound, match="no version 9"):
        the_policy(unit, (None, 9))
