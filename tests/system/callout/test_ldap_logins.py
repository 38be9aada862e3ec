"""Logins and look-ups by a real OpenLDAP server: whose they are, and in which groups."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator

import pytest

from callout.directories.ldap.settings import ServiceAccount
from callout.directories.secrets import Secret
from callout.refusals import DirectoryDownError, LoginRefusedError, Reason
from issuer.grants import Kind
from tests.processes import free_port
from tests.system.callout.ldap_asking import Asked, run, settings
from tests.system.callout.listener import Listener
from tests.system.callout.slapd import (
    GROUPS,
    PEOPLE,
    SUFFIX,
    Slapd,
    dn_of,
    group,
    group_dn,
    person,
)

pytestmark = pytest.mark.component("slapd")

READABLE = f"""
access to dn.subtree="{GROUPS}" by users read by anonymous auth by * none
access to dn.base="{PEOPLE}" by users read by anonymous auth by * none
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Slapd]:
    with Slapd(after=READABLE) as found:
        found.lock_nobody()
        found.add(
            person("alice", more="mail: alice@example.test\nmail: a.op@example.test\ntitle: operator\n"),
            person("bob", cn="Bob (weird*) Name"),
            person("carol", password="pass word \u00fc"),
            person("erin", password="erin\u200bpw"),
            person("twin", more="mail: twins@example.test\n"),
            person("twin2", more="mail: twins@example.test\n"),
            f"dn: uid=two\\2C names\\+1,{PEOPLE}\nobjectClass: inetOrgPerson\nuid: two, names+1\ncn: two\nsn: two\nuserPassword: twopw\n",
            # Direct, nested, nested in a circle, and of a strange name.
            group("operators", dn_of("alice")),
            group("grid", group_dn("operators")),
            group("all (weird*) ops", group_dn("grid"), group_dn("ring-b")),
            group("ring-a", group_dn("ring-b"), dn_of("bob")),
            group("ring-b", group_dn("ring-a")),
            group("deep-0", dn_of("carol")),
            *(group(f"deep-{depth}", group_dn(f"deep-{depth - 1}")) for depth in range(1, 6)),
        )
        yield found


# --- search, then bind ---------------------------------------------------------------------------------


def test_who_logs_in_is_named_for_ever_by_the_entry_uuid(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        found = await asked.login("alice", "alicepw")
        assert found.subject == server.read(dn_of("alice"), "entryUUID")["entryUUID"][0]
        assert (found.issuer, found.directory, found.name) == ("ldap:CORP", "corp", "alice")
        assert (found.kind, found.methods) == (Kind.PERSON, ("pwd",))
        assert found.groups == ("all (weird*) ops", "grid", "operators")
        assert found.attributes == {
            "mail": ("a.op@example.test", "alice@example.test"),
            "title": "operator",
        }
        assert found.authenticated_at

    run(story, settings(server.plain, attributes=("mail", "title", "employeeType")))


def test_a_group_filter_only_narrows(server: Slapd) -> None:
    async def all_of_hers(asked: Asked) -> None:
        found = await asked.login("alice", "alicepw")
        assert found.groups == ("all (weird*) ops", "grid", "operators")

    async def some(asked: Asked) -> None:
        assert (await asked.login("alice", "alicepw")).groups == ("operators",)

    run(all_of_hers, settings(server.plain, group_filter="(objectClass=*)"))
    run(some, settings(server.plain, group_filter="(cn=operators)"))


def test_a_look_up_without_a_password_tells_the_same_as_a_login(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        found = await asked.login("ALICE", "alicepw")
        again = await asked.lookup(found.subject)
        assert again == found.standing()
        assert again.digest() == found.digest()

    run(story, settings(server.plain, attributes=("mail",)))


def test_a_wrong_password_and_an_unknown_name_are_refused_alike(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        assert await asked.refusal("alice", "wrong") is Reason.CREDENTIALS_WRONG
        assert await asked.refusal("nobody", "wrong") is Reason.CREDENTIALS_WRONG

    run(story, settings(server.plain))


def test_a_name_that_finds_two_entries_is_refused(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        assert await asked.refusal("twins", "twinpw") is Reason.AMBIGUOUS

    run(story, settings(server.plain, user_filter="(mail={user}@example.test)"))


@pytest.mark.parametrize(
    "name",
    [
        "*)(uid=*",
        "*",
        "al*",
        "alice)(objectClass=*",
        "alice)(|(uid=*",
        "(uid=alice)",
        "alice\\2a",
        "ali\\63e",
    ],
)
def test_a_filter_cannot_be_injected_by_a_name(server: Slapd, name: str) -> None:
    async def story(asked: Asked) -> None:
        assert await asked.refusal(f"CORP\\{name}", "alicepw") is Reason.CREDENTIALS_WRONG

    run(story, settings(server.plain))


@pytest.mark.parametrize("password", ["", " ", "   ", "\t", "\u00a0", "\u200b", "\u00ad\u200d"])
def test_an_empty_password_is_refused_before_anything_is_sent(password: str) -> None:
    with Listener() as nobody:

        async def story(asked: Asked) -> None:
            assert await asked.refusal("alice", password) is Reason.CREDENTIALS_WRONG

        run(story, settings(nobody.plain))
        assert nobody.visitors == 0


def test_odd_passwords_are_refused_or_reach_the_server_as_they_are(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        # RFC 4013 allows no control characters: no directory can have stored one.
        assert await asked.refusal("alice", "alice\0pw") is Reason.CREDENTIALS_WRONG
        assert await asked.refusal("alice", "alicepw ") is Reason.CREDENTIALS_WRONG
        assert await asked.refusal("alice", "\ud800") is Reason.CREDENTIALS_WRONG
        assert await asked.refusal("alice", "x" * 2000) is Reason.CREDENTIALS_TOO_LARGE
        assert (await asked.login("carol", "pass word \u00fc")).name == "carol"

    run(story, settings(server.plain))


def test_the_rights_of_a_login_are_not_those_we_search_with(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        # Bob may read nobody but himself; after his bind the service account still finds Alice.
        await asked.login("bob", "bobpw")
        assert (await asked.login("alice", "alicepw")).name == "alice"

    run(story, settings(server.plain, connections=1, threads=1))


def test_many_at_once_are_each_told_apart(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        names = ["alice", "bob", "twin", "twin2"] * 25
        found = await asyncio.gather(*(asked.login(name, f"{name}pw") for name in names))
        assert [each.name for each in found] == names

    run(story, settings(server.plain), patience=30)


# --- one name, one person ------------------------------------------------------------------------------


def test_a_renamed_entry_stays_the_same_and_a_reused_name_does_not(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        server.add(person("mover"))
        before = await asked.login("mover", "moverpw")
        server.modify(f"dn: {dn_of('mover')}\nchangetype: modrdn\nnewrdn: uid=moved\ndeleteoldrdn: 1\n")
        assert (await asked.login("moved", "moverpw")).subject == before.subject
        assert (await asked.lookup(before.subject)).name == "moved"
        server.add(person("mover"))
        assert (await asked.login("mover", "moverpw")).subject != before.subject
        server.delete(dn_of("moved"), dn_of("mover"))
        assert await asked.lookup_refusal(before.subject) is Reason.GONE

    run(story, settings(server.plain))


@pytest.mark.parametrize(
    "subject", ["", "*", "alice", "00000000-0000-0000-0000-000000000000", "*)(uid=alice"]
)
def test_a_subject_that_is_nobodys_is_gone(server: Slapd, subject: str) -> None:
    async def story(asked: Asked) -> None:
        assert await asked.lookup_refusal(subject) is Reason.GONE

    run(story, settings(server.plain))


def test_whom_the_user_filter_leaves_out_is_gone(server: Slapd) -> None:
    subject = server.read(dn_of("bob"), "entryUUID")["entryUUID"][0]

    async def story(asked: Asked) -> None:
        assert await asked.refusal("bob", "bobpw") is Reason.CREDENTIALS_WRONG
        assert await asked.lookup_refusal(subject) is Reason.GONE
        assert (await asked.login("alice", "alicepw")).name == "alice"

    run(story, settings(server.plain, user_filter="(&(title=operator)(uid={user}))"))


# --- groups --------------------------------------------------------------------------------------------


def test_nested_groups_are_walked_where_the_rule_of_active_directory_finds_nothing(server: Slapd) -> None:
    # memberOf has the direct one alone, and the AD rule is answered with success and no entry.
    assert server.read(dn_of("alice"), "memberOf")["memberOf"] == [group_dn("operators")]
    rule = f"(member:1.2.840.113556.1.4.1941:={dn_of('alice')})"
    assert server.search(GROUPS, rule) == ""

    async def story(asked: Asked) -> None:
        assert (await asked.login("alice", "alicepw")).groups == ("all (weird*) ops", "grid", "operators")

    run(story, settings(server.plain))


def test_groups_in_a_circle_end(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        assert (await asked.login("bob", "bobpw")).groups == ("all (weird*) ops", "ring-a", "ring-b")

    run(story, settings(server.plain))


def test_groups_nested_deeper_than_the_limit_are_a_refusal_and_not_a_part_of_them(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        assert await asked.refusal("carol", "pass word \u00fc") is Reason.GROUPS_INCOMPLETE

    run(story, settings(server.plain, group_depth=5))


def test_groups_at_the_limit_are_all_there(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        assert len((await asked.login("carol", "pass word \u00fc")).groups) == 6

    run(story, settings(server.plain, group_depth=6, group_count=6, page_size=2))


def test_more_groups_than_the_limit_are_a_refusal(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        assert await asked.refusal("carol", "pass word \u00fc") is Reason.GROUPS_INCOMPLETE

    run(story, settings(server.plain, group_count=5))


def test_a_server_that_gives_only_a_part_of_the_groups_is_no_answer() -> None:
    with Slapd(before="sizelimit size.soft=4 size.hard=4 size.prtotal=4") as small:
        small.add(person("alice"), *(group(f"g{number}", dn_of("alice")) for number in range(6)))

        async def story(asked: Asked) -> None:
            assert await asked.refusal("alice", "alicepw") is Reason.GROUPS_INCOMPLETE

        run(story, settings(small.plain, page_size=2))


def test_a_group_with_two_names_is_no_answer(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        server.add(person("dora"), group("plain", dn_of("dora")))
        server.modify(f"dn: {group_dn('plain')}\nchangetype: modify\nadd: cn\ncn: admins\n")
        assert await asked.refusal("dora", "dorapw") is Reason.GROUPS_INCOMPLETE
        server.delete(group_dn("plain"), dn_of("dora"))

    run(story, settings(server.plain))


def test_groups_that_name_their_members_in_another_attribute(server: Slapd) -> None:
    server.add(
        f"dn: cn=unique,{GROUPS}\nobjectClass: groupOfUniqueNames\ncn: unique\nuniqueMember: {dn_of('bob')}\n"
    )

    async def story(asked: Asked) -> None:
        assert (await asked.login("bob", "bobpw")).groups == ("unique",)

    run(story, settings(server.plain, group_member="uniqueMember"))


def test_groups_by_their_full_names(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        found = await asked.login("alice", "alicepw")
        assert group_dn("operators") in found.groups

    run(story, settings(server.plain, group_name=""))


def test_no_group_base_means_no_groups(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        assert (await asked.login("alice", "alicepw")).groups == ()

    run(story, settings(server.plain, group_base=""))


def test_a_group_base_that_is_not_there_is_a_fault_and_not_an_absence_of_groups(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        assert "there is no 'ou=grups" in await asked.down("alice", "alicepw")

    run(story, settings(server.plain, group_base=f"ou=grups,{SUFFIX}"))


# --- bind at once --------------------------------------------------------------------------------------

DIRECT = f"uid={{user}},{PEOPLE}"


def test_a_bind_at_once_needs_no_service_account(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        found = await asked.login("alice", "alicepw")
        assert found.subject == server.read(dn_of("alice"), "entryUUID")["entryUUID"][0]
        assert found.groups == ("all (weird*) ops", "grid", "operators")
        assert await asked.refusal("alice", "wrong") is Reason.CREDENTIALS_WRONG
        assert await asked.refusal("nobody", "wrong") is Reason.CREDENTIALS_WRONG
        # But nobody can be looked up without one.
        with pytest.raises(DirectoryDownError, match="no service account"):
            await asked.lookup(found.subject)

    run(story, settings(server.plain, service=None, direct=DIRECT))


def test_a_name_in_a_dn_template_is_one_value(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        assert (await asked.login("two, names+1", "twopw")).name == "two, names+1"
        # Unescaped this would be Alice's own entry.
        assert await asked.refusal("alice+cn=x", "alicepw") is Reason.CREDENTIALS_WRONG
        assert await asked.refusal(f"alice,{PEOPLE}", "alicepw") is Reason.CREDENTIALS_WRONG

    run(story, settings(server.plain, service=None, direct=DIRECT))


def test_who_can_bind_and_is_not_among_those_who_may_is_refused(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        assert await asked.refusal("bob", "bobpw") is Reason.CREDENTIALS_WRONG

    run(story, settings(server.plain, service=None, direct=DIRECT, user_filter="(&(title=*)(uid={user}))"))


# --- the service account -------------------------------------------------------------------------------


def test_a_service_account_with_a_wrong_password_is_tried_once_and_not_by_every_login(server: Slapd) -> None:
    service = ServiceAccount(f"uid=svc-bind,{PEOPLE}", Secret("planted-5ecret"))
    given = settings(server.plain, service=service, lockout_threshold=3)

    async def story(asked: Asked) -> None:
        for _ in range(5):
            said = await asked.down("alice", "alicepw")
            assert "service account" in said
            assert "planted" not in said

    run(story, given)
    assert server.failures(dn_of("svc-bind")) == 1


def test_a_directory_starts_although_no_server_answers() -> None:
    async def story(asked: Asked) -> None:
        assert "no server answered" in await asked.down("alice", "alicepw")

    run(story, settings(f"ldap://127.0.0.1:{free_port()}"))


def test_no_password_shows_in_what_is_said_of_a_login(
    server: Slapd, caplog: pytest.LogCaptureFixture
) -> None:
    planted = "planted-5ecret"
    caplog.set_level("DEBUG")

    async def story(asked: Asked) -> None:
        for password in (planted, f"{planted}\0"):
            with pytest.raises(LoginRefusedError) as refused:
                await asked.login("alice", password)
            said = "".join(traceback.format_exception(refused.value))
            assert planted not in said + repr(refused.value) + repr(asked.directory)

    run(story, settings(server.plain))
    run(story, settings(server.plain, service=None, direct=DIRECT))
    assert planted not in caplog.text
