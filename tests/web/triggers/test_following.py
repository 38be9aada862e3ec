"""A directory followed: whoever is shut there has no session here, and what cannot be found out ends nobody's."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from callout.directories.ldap.changes import Change, CursorError, What
from callout.refusals import DirectoryDownError, LoginRefusedError, Reason
from issuer.audit.catalogue import EventCode
from issuer.errors import Unavailable
from issuer.grants import Identity
from issuer.store import notices
from tests.web.triggers.office import Office, person
from web.triggers.following import LdapFollower
from web.triggers.reevaluating import Reevaluator
from web.triggers.settings import LdapFollowed

CORP = "ldap:CORP"


def somebody(subject: str, *groups: str) -> Identity:
    return person(subject, *groups, issuer=CORP, directory="corp")


ANN, BOB = somebody("ann", "readers", "writers"), somebody("bob", "readers")


@dataclass
class Directory:
    """What it tells next, who is in it, and what was asked."""

    people: dict[str, Identity | Reason] = field(default_factory=lambda: {"ann": ANN, "bob": BOB})
    changes: list[Change] = field(default_factory=list)
    down: bool = False
    lookups_down: bool = False
    cursors: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def lookup(self, subject: str, *, now: float, deadline: float) -> Identity:
        self.asked.append(subject)
        if self.lookups_down:
            raise DirectoryDownError("no answer")
        found = self.people.get(subject, Reason.GONE)
        if isinstance(found, Reason):
            raise LoginRefusedError(found, f"{subject}: no")
        return found

    async def changes_since(self, cursor: str, *, now: float, deadline: float) -> tuple[str, list[Change]]:
        if self.down:
            raise DirectoryDownError("no answer")
        if cursor == "strange":
            raise CursorError("none of ours")
        self.cursors.append(cursor)
        told, self.changes = self.changes, []
        return f"{len(self.cursors)}", told


@dataclass
class House:
    office: Office
    directory: Directory
    follower: LdapFollower

    def turn(self) -> list[str]:
        """A turn, a little later; who was looked up."""
        self.office.now += 5
        self.directory.asked.clear()
        assert asyncio.run(self.follower.turn())
        return sorted(self.directory.asked)

    def followed(self) -> list[tuple[Any, ...]]:
        heard = [each.body.detail for each in self.office.events(EventCode.TRIGGER_HEARD)]
        return [(each["what"], each["subject"], each["followed"], each["ended"]) for each in heard]


def follower(office: Office, directory: Directory, **settings: Any) -> LdapFollower:
    named: dict[str, Any] = {"directory": "corp"}
    return LdapFollower(
        LdapFollowed(**(named | settings)), CORP, directory,
        authority=office.authority, operator_id=office.id, cutter=office,
        reevaluator=Reevaluator(office.authority, office.id, office, office), now=lambda: office.now,
    )  # fmt: skip


@pytest.fixture
def house(office: Office) -> House:
    office.let_in(ANN, 1)
    office.let_in(ANN, 2)
    office.let_in(BOB, 3)
    directory = Directory()
    made = House(office, directory, follower(office, directory))
    made.turn()
    return made


def test_nothing_told_nothing_done(house: House) -> None:
    assert house.turn() == []
    assert house.office.open() == [1, 2, 3]
    assert house.directory.cursors == ["", "1"]


@pytest.mark.parametrize("reason", [Reason.DISABLED, Reason.LOCKED, Reason.EXPIRED])
def test_who_is_shut_has_all_sessions_ended_and_no_denial_is_left(house: House, reason: Reason) -> None:
    house.directory.changes = [Change(What.PERSON, "ann", "uid=ann", reason)]
    house.directory.people["ann"] = reason
    house.turn()
    assert (house.office.open(), house.office.standing()) == ([3], [])
    assert house.followed() == [(reason.value, "ann", "ended", 2)]


def test_who_is_deleted_has_all_sessions_ended(house: House) -> None:
    house.directory.changes = [Change(What.GONE, "ann", "uid=ann")]
    house.turn()
    assert house.office.open() == [3]


def test_the_newest_of_several_changes_counts(house: House) -> None:
    house.directory.changes = [
        Change(What.PERSON, "ann", "uid=ann", Reason.DISABLED),
        Change(What.PERSON, "ann", "uid=ann"),
    ]
    assert house.turn() == ["ann"]
    assert house.office.open() == [1, 2, 3]


def test_a_login_let_in_just_before_is_found_just_after(house: House) -> None:
    house.directory.changes = [Change(What.GONE, "ann")]
    del house.directory.people["ann"]
    house.turn()
    house.office.let_in(ANN, 4)
    assert house.turn() == ["ann"]
    assert house.office.open() == [3]


def test_a_reason_to_be_kept_ends_nothing(office: Office) -> None:
    office.let_in(ANN, 1)
    directory = Directory(people={"ann": Reason.LOCKED})
    made = House(office, directory, follower(office, directory, keep=(Reason.LOCKED,)))
    directory.changes = [Change(What.PERSON, "ann", "uid=ann", Reason.LOCKED)]
    assert made.turn() == ["ann"]
    assert office.open() == [1]


def test_an_old_password_refuses_logins_and_ends_nothing(house: House) -> None:
    house.directory.people["ann"] = Reason.PASSWORD_EXPIRED
    house.directory.changes = [Change(What.PERSON, "ann", "uid=ann", Reason.PASSWORD_EXPIRED)]
    house.turn()
    assert house.office.open() == [1, 2, 3]


def test_groups_that_cannot_be_told_in_full_end_nothing(house: House) -> None:
    house.directory.people["ann"] = Reason.GROUPS_INCOMPLETE
    house.directory.changes = [Change(What.GROUP, name="cn=writers")]
    house.turn()
    assert house.office.open() == [1, 2, 3]


@pytest.mark.parametrize("what", [What.GROUP, What.EVERYTHING])
def test_a_group_that_changed_has_everybody_with_sessions_looked_up(house: House, what: What) -> None:
    house.directory.changes = [Change(what)]
    house.directory.people["ann"] = somebody("ann", "readers")
    house.directory.people["bob"] = somebody("bob", "readers", "writers")
    assert house.turn() == ["ann", "bob"]
    # Who only gains stays.
    assert (house.office.open(), house.office.kicked) == ([3], [((1, 2), "groups changed")])
    assert house.followed() == [("groups changed", "ann", "kicked", 2)]


def test_who_has_no_session_is_not_looked_up(house: House) -> None:
    house.directory.changes = [Change(What.PERSON, "zoe", "uid=zoe"), Change(What.GONE, "")]
    assert house.turn() == []


def test_whoever_has_sessions_is_looked_up_in_turn_whatever_is_told(house: House) -> None:
    del house.directory.people["bob"]  # and the directory says nothing of it
    seen: list[str] = []
    for _ in range(300 // 5):
        seen += house.turn()
    assert {"ann", "bob"} <= set(seen)
    assert house.office.open() == [1, 2]
    assert seen.count("ann") <= 2


def test_a_directory_that_is_down_ends_nothing_and_loses_nothing(house: House) -> None:
    house.directory.down = True
    house.office.now += 5
    with pytest.raises(DirectoryDownError):
        asyncio.run(house.follower.turn())
    house.directory.down = False
    house.directory.changes = [Change(What.GONE, "ann")]
    house.turn()
    assert house.directory.cursors[-1] == "1"
    assert house.office.open() == [3]


def test_a_look_up_that_is_not_answered_ends_nothing_and_is_done_again(house: House) -> None:
    house.directory.changes = [Change(What.PERSON, "ann", "uid=ann")]
    house.directory.people["ann"] = Reason.DISABLED
    house.directory.lookups_down = True
    house.turn()
    assert house.office.open() == [1, 2, 3]
    house.directory.lookups_down = False
    assert house.turn() == ["ann"]
    assert house.office.open() == [3]


def test_servers_that_do_not_answer_are_asked_again(house: House) -> None:
    house.directory.changes = [Change(What.GONE, "ann")]
    del house.directory.people["ann"]
    house.office.unclean = True
    house.turn()
    house.office.unclean = False
    assert house.turn() == []  # not at every turn
    house.office.now += 60
    assert house.turn() == ["ann"]
    assert house.office.open() == [3]


def test_a_fault_while_ending_is_met_again_by_looking_up(house: House) -> None:
    house.directory.changes = [Change(What.PERSON, "ann", "uid=ann", Reason.DISABLED)]
    house.directory.people["ann"] = Reason.DISABLED
    house.office.fault = Unavailable("no key")
    house.turn()
    house.office.fault = None
    house.turn()
    assert house.office.open() == [3]


def test_of_two_processes_one_has_the_turn_and_the_cursor_is_kept_for_both(house: House) -> None:
    other = follower(house.office, house.directory)
    assert not asyncio.run(other.turn())
    house.office.now += 5
    assert asyncio.run(other.turn())
    assert house.directory.cursors == ["", "1"]


def test_a_cursor_that_is_none_begins_anew_and_looks_everybody_up(house: House) -> None:
    with house.office.database.noting() as unit:
        notices.keep_cursor(unit, f"follow:{house.office.id}:ldap:corp", "strange", house.office.now)
    assert house.turn() == ["ann", "bob"]
    house.turn()
    assert house.directory.cursors[-1] == ""


def test_another_directorys_people_are_left_alone(house: House) -> None:
    house.office.let_in(person("ann", "readers"), 9)
    house.directory.changes = [Change(What.GONE, "ann")]
    house.turn()
    assert house.office.open() == [3, 9]
