"""What OpenLDAP tells of changes, so that sessions end when an account does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from callout.directories.ldap.changes import Change, CursorError, What
from callout.refusals import Reason
from tests.processes import wait_until
from tests.system.callout.ldap_asking import Asked, run, settings
from tests.system.callout.slapd import GROUPS, Slapd, dn_of, group, group_dn, person

pytestmark = pytest.mark.component("slapd")


@pytest.fixture
def server() -> Iterator[Slapd]:
    with Slapd() as found:
        found.add(person("alice"), person("bob"), group("operators", dn_of("alice")))
        yield found


def subject_of(server: Slapd, uid: str) -> str:
    return server.read(dn_of(uid), "entryUUID")["entryUUID"][0]


def test_an_empty_cursor_begins_now_and_tells_nothing(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        cursor, changes = await asked.changes("")
        assert changes == []
        assert (await asked.changes(cursor)) == (cursor, [])

    run(story, settings(server.plain))


def test_each_change_is_told_once_and_the_cursor_outlives_us(server: Slapd) -> None:
    kept = ""

    async def before(asked: Asked) -> None:
        nonlocal kept
        kept, _ = await asked.changes("")

    async def after(asked: Asked) -> None:
        cursor, changes = await asked.changes(kept)
        assert sorted(changes, key=lambda change: change.what) == [
            Change(What.GROUP, name=group_dn("operators")),
            Change(What.PERSON, subject_of(server, "bob"), dn_of("bob")),
        ]
        assert (await asked.changes(cursor))[1] == []
        server.add(person("carol"))
        cursor, changes = await asked.changes(cursor)
        assert changes == [Change(What.PERSON, subject_of(server, "carol"), dn_of("carol"))]

    run(before, settings(server.plain))
    server.set(dn_of("bob"), "sn", "Bobby")
    server.set(group_dn("operators"), "member", dn_of("bob"))
    run(after, settings(server.plain))


def test_who_was_locked_by_an_administrator_is_told_with_the_reason(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        cursor, _ = await asked.changes("")
        server.set(dn_of("alice"), "pwdAccountLockedTime", "000001010000Z")
        _, changes = await asked.changes(cursor)
        assert changes == [Change(What.PERSON, subject_of(server, "alice"), dn_of("alice"), Reason.LOCKED)]

    run(story, settings(server.plain))


def test_who_is_left_out_by_the_user_filter_from_now_on_is_told(server: Slapd) -> None:
    server.set(dn_of("alice"), "title", "operator")
    subject = subject_of(server, "alice")

    async def story(asked: Asked) -> None:
        cursor, _ = await asked.changes("")
        server.set(dn_of("alice"), "title", "retired")
        _, changes = await asked.changes(cursor)
        assert [change.subject for change in changes] == [subject]
        assert await asked.lookup_refusal(subject) is Reason.GONE

    run(story, settings(server.plain, user_filter="(&(title=operator)(uid={user}))"))


def test_who_was_locked_by_failures_is_told_with_the_reason(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        cursor, _ = await asked.changes("")
        for _ in range(3):
            server.binds(dn_of("alice"), "wrong")
        _, changes = await asked.changes(cursor)
        subject = subject_of(server, "alice")
        assert changes == [Change(What.PERSON, subject, dn_of("alice"), Reason.LOCKED)]
        assert await asked.lookup_refusal(subject) is Reason.LOCKED

    run(story, settings(server.plain))


def test_openldap_keeps_nothing_of_who_was_deleted_so_that_only_a_look_up_tells(server: Slapd) -> None:
    bob = subject_of(server, "bob")

    async def story(asked: Asked) -> None:
        cursor, _ = await asked.changes("")
        server.delete(dn_of("bob"))
        assert (await asked.changes(cursor))[1] == []
        assert await asked.lookup_refusal(bob) is Reason.GONE

    run(story, settings(server.plain))


def test_a_group_of_a_class_nobody_knows_is_a_group_among_groups(server: Slapd) -> None:
    server.add(
        f"dn: cn=shift,{GROUPS}\nobjectClass: organizationalRole\ncn: shift\nroleOccupant: {dn_of('bob')}\n"
    )

    async def story(asked: Asked) -> None:
        cursor, _ = await asked.changes("")
        server.set(f"cn=shift,{GROUPS}", "roleOccupant", dn_of("alice"))
        server.set(dn_of("bob"), "sn", "Bobby")
        _, changes = await asked.changes(cursor)
        assert {change.what for change in changes} == {What.GROUP, What.PERSON}
        assert (await asked.login("alice", "alicepw")).groups == ("shift",)

    run(story, settings(server.plain, group_member="roleOccupant"))


def test_the_replica_goes_on_where_the_other_one_was_left(server: Slapd) -> None:
    with Slapd(of=server) as replica:
        wait_until(lambda: replica.has(group_dn("operators")), what="the replica to have the entries")

        async def story(asked: Asked) -> None:
            cursor, _ = await asked.changes("")
            server.set(dn_of("bob"), "sn", "Bobby")
            wait_until(
                lambda: replica.read(dn_of("bob"), "sn")["sn"] == ["Bobby"], what="the change to arrive"
            )
            server.stop()
            cursor, changes = await asked.changes(cursor)
            assert [change.name for change in changes] == [dn_of("bob")]
            assert (await asked.changes(cursor))[1] == []

        run(story, settings(server.plain, replica.plain))


def test_more_changes_than_the_server_gives_are_told_as_everything() -> None:
    with Slapd(before="sizelimit size.soft=4 size.hard=4 size.prtotal=4") as small:

        async def story(asked: Asked) -> None:
            cursor, _ = await asked.changes("")
            small.add(*(person(f"user{number}") for number in range(6)))
            cursor, changes = await asked.changes(cursor)
            assert changes == [Change(What.EVERYTHING)]
            assert cursor

        run(story, settings(small.plain, page_size=2))


def test_many_entries_are_begun_with_although_the_server_gives_few_at_once() -> None:
    with Slapd(before="sizelimit 20") as server:
        server.add(*(person(f"user{number}") for number in range(150)))

        async def story(asked: Asked) -> None:
            cursor, changes = await asked.changes("")
            newest = server.read(dn_of("user149"), "entryCSN")["entryCSN"][0]
            assert f'"stamp":"{newest}"' in cursor
            assert changes == []

        run(story, settings(server.plain, group_base=""))


@pytest.mark.parametrize(
    "cursor", ["x", "[]", "7", '{"numbers":1}', '{"stamp":"yesterday"}', '{"stamp":"9999"}']
)
def test_what_is_no_cursor_is_refused(server: Slapd, cursor: str) -> None:
    async def story(asked: Asked) -> None:
        with pytest.raises(CursorError):
            await asked.changes(cursor)

    run(story, settings(server.plain))


def test_a_cursor_of_another_kind_of_directory_means_that_nothing_is_known(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        cursor, changes = await asked.changes('{"numbers":{"a":7}}')
        assert changes == [Change(What.EVERYTHING)]
        assert (await asked.changes(cursor))[1] == []

    run(story, settings(server.plain))
