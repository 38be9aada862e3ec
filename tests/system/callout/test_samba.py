"""A real Active Directory domain controller: its names, its groups, its reasons, its changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest

from callout.directories.ldap.changes import Change, What
from callout.directories.ldap.settings import LdapSettings, ServiceAccount
from callout.directories.secrets import Secret
from callout.refusals import Reason
from tests.system.callout.ldap_asking import Asked, run, settings
from tests.system.callout.samba import ADMIN_PASSWORD, BASE, DOMAIN, REALM, USERS, BusyError, Samba

pytestmark = pytest.mark.component("samba-ad")

SUFFIX: Final = REALM.lower()
PASSWORD: Final = "Passw0rd!y"
EVERY_ACCOUNT: Final = ("alice", "bob", "carol", "dora", "guessed")
DISABLED: Final = "(userAccountControl:1.2.840.113556.1.4.803:=2)"


@pytest.fixture(scope="module")
def controller() -> Iterator[Samba]:
    running = Samba()
    try:
        running.__enter__()
    except BusyError as reason:
        pytest.skip(f"samba-ad: {reason}")
    try:
        # Locks at the third failure.
        running.tool(
            "domain",
            "passwordsettings",
            "set",
            "--account-lockout-threshold=3",
            "--account-lockout-duration=30",
            "--reset-account-lockout-after=30",
            "--complexity=off",
            "--min-pwd-age=0",
            "--history-length=0",
        )
        for name in ("svc", *EVERY_ACCOUNT):
            running.tool("user", "create", name, PASSWORD)
        for name, member in (("operators", "alice"), ("grid", "operators"), ("all (weird) ops", "grid")):
            running.tool("group", "add", name)
            running.tool("group", "addmembers", name, member)
        # Of the primary group, which names its members nowhere.
        running.tool("group", "add", "everybody")
        running.tool("group", "addmembers", "everybody", "Domain Users")
        yield running
    finally:
        running.close()


def active(controller: Samba, *servers: str, **changes: Any) -> LdapSettings:
    known: dict[str, Any] = {
        "realm": DOMAIN,
        "service": ServiceAccount(f"svc@{SUFFIX}", Secret(PASSWORD)),
        "user_base": BASE,
        "user_filter": "(&(objectClass=user)(sAMAccountName={user}))",
        "suffixes": (SUFFIX,),
        "group_base": USERS,
        "plain_on_loopback": False,
        "ca_file": controller.ca_file,
    }
    return settings(*(servers or (controller.tls,)), **{**known, **changes})


def direct(controller: Samba, form: str = f"{{user}}@{SUFFIX}", **changes: Any) -> LdapSettings:
    return active(controller, service=None, direct=form, **changes)


def named(user: str) -> str:
    return f"{DOMAIN}\\{user}"


def fresh(controller: Samba, name: str) -> str:
    """A new account; its DN."""
    controller.tool("user", "create", name, PASSWORD)
    return f"CN={name},{USERS}"


def change(controller: Samba, dn: str, attribute: str, value: str) -> None:
    controller.modify(f"dn: {dn}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n")


# --- who it is -----------------------------------------------------------------------------------------


def test_a_login_by_domain_and_by_principal_name_is_one_person_named_by_its_object_guid(
    controller: Samba,
) -> None:
    async def story(asked: Asked) -> None:
        found = await asked.login(named("alice"), PASSWORD)
        assert f"objectGUID: {found.subject}" in controller.tool("user", "show", "alice")
        assert (found.issuer, found.name) == ("ldap:ADX", "alice")
        for name in (f"alice@{SUFFIX}", f"Alice@{REALM}", "adx\\ALICE"):
            assert (await asked.login(name, PASSWORD)).standing() == found.standing()
        assert await asked.lookup(found.subject) == found.standing()

    run(story, active(controller))
    run(
        story,
        active(controller, user_filter=f"(|(userPrincipalName={{user}}@{SUFFIX})(sAMAccountName={{user}}))"),
    )


@pytest.mark.parametrize("form", [f"{{user}}@{SUFFIX}", f"{DOMAIN}\\{{user}}"])
def test_a_bind_at_once_by_principal_name_or_domain_is_the_same_person(controller: Samba, form: str) -> None:
    async def by_search(asked: Asked) -> None:
        first.append((await asked.login(named("alice"), PASSWORD)).standing())

    async def at_once(asked: Asked) -> None:
        assert (await asked.login(named("alice"), PASSWORD)).standing() == first[0]
        assert await asked.refusal(named("alice"), "wrong") is Reason.CREDENTIALS_WRONG
        assert await asked.refusal(named("nobody"), "wrong") is Reason.CREDENTIALS_WRONG

    first: list[object] = []
    run(by_search, active(controller))
    run(at_once, direct(controller, form))


@pytest.mark.parametrize("name", ["alice@other.test", "OTHER\\alice", "alice/x", "a*"])
def test_a_name_that_leads_to_another_domain_is_not_bound_with(controller: Samba, name: str) -> None:
    async def story(asked: Asked) -> None:
        assert await asked.refusal(named(name), PASSWORD) is Reason.CREDENTIALS_MALFORMED

    run(story, direct(controller))


def test_who_binds_at_once_must_be_the_one_whom_the_filter_finds(controller: Samba) -> None:
    # Carol's password; what is told would be of Dora, and Dora's groups.
    change(controller, f"CN=dora,{USERS}", "description", "carol")

    async def story(asked: Asked) -> None:
        assert await asked.refusal(named("carol"), PASSWORD) is Reason.AMBIGUOUS

    run(story, direct(controller, user_filter="(description={user})"))


@pytest.mark.parametrize("password", [" ", "\t", "\u200b"])
def test_an_empty_password_that_would_be_an_anonymous_bind_is_refused(
    controller: Samba, password: str
) -> None:
    async def story(asked: Asked) -> None:
        assert await asked.refusal(named("alice"), password) is Reason.CREDENTIALS_WRONG

    run(story, active(controller))
    run(story, direct(controller))


@pytest.mark.parametrize("name", ["*", "al*", "*)(sAMAccountName=*", "alice)(objectClass=*", "ali\\63e"])
def test_a_filter_cannot_be_injected_by_a_name(controller: Samba, name: str) -> None:
    async def story(asked: Asked) -> None:
        assert await asked.refusal(named(name), PASSWORD) is Reason.CREDENTIALS_WRONG

    run(story, active(controller))


def test_a_name_given_again_is_another_person(controller: Samba) -> None:
    fresh(controller, "again")

    async def story(asked: Asked) -> None:
        before = await asked.login(named("again"), PASSWORD)
        controller.tool("user", "delete", "again")
        fresh(controller, "again")
        assert (await asked.login(named("again"), PASSWORD)).subject != before.subject
        assert await asked.lookup_refusal(before.subject) is Reason.GONE

    run(story, active(controller))


# --- groups --------------------------------------------------------------------------------------------

GROUPS: Final = ("Domain Users", "all (weird) ops", "everybody", "grid", "operators")


def test_nested_groups_and_the_primary_one_are_all_told(controller: Samba) -> None:
    # memberOf has the direct one alone, and the primary one nowhere.
    shown = controller.tool("user", "show", "alice")
    assert [line for line in shown.splitlines() if line.startswith("memberOf")] == [
        f"memberOf: CN=operators,{USERS}"
    ]

    async def story(asked: Asked) -> None:
        assert (await asked.login(named("alice"), PASSWORD)).groups == GROUPS
        assert (await asked.login(named("bob"), PASSWORD)).groups == ("Domain Users", "everybody")

    run(story, active(controller))
    run(story, direct(controller))
    run(story, active(controller, page_size=2))


def test_references_to_other_partitions_are_not_taken_for_entries(controller: Samba) -> None:
    async def story(asked: Asked) -> None:
        assert set((await asked.login(named("alice"), PASSWORD)).groups) >= set(GROUPS)
        assert await asked.refusal(named("nobody"), PASSWORD) is Reason.CREDENTIALS_WRONG

    run(story, active(controller, group_base=BASE))


def test_more_groups_than_the_limit_are_a_refusal(controller: Samba) -> None:
    async def story(asked: Asked) -> None:
        assert await asked.refusal(named("alice"), PASSWORD) is Reason.GROUPS_INCOMPLETE

    run(story, active(controller, group_count=4, page_size=3))


# --- accounts that are shut: the code in the controller's answer, and the entry ------------------------


def shut(controller: Samba, name: str, reason: Reason, *, by_entry: Reason | None = None) -> None:
    """As the controller tells the one who binds at once, and as we read it before any bind."""

    async def at_once(asked: Asked) -> None:
        assert await asked.refusal(named(name), PASSWORD) is reason

    async def by_search(asked: Asked) -> None:
        assert await asked.refusal(named(name), PASSWORD) is (by_entry or reason)

    run(at_once, direct(controller))
    run(by_search, active(controller))


def test_a_disabled_account_533(controller: Samba) -> None:
    fresh(controller, "disabled")
    controller.tool("user", "disable", "disabled")
    shut(controller, "disabled", Reason.DISABLED)


def test_a_disabled_account_is_not_found_at_all_by_a_filter_of_bits(controller: Samba) -> None:
    fresh(controller, "left-out")
    controller.tool("user", "disable", "left-out")

    async def story(asked: Asked) -> None:
        assert await asked.refusal(named("left-out"), PASSWORD) is Reason.CREDENTIALS_WRONG
        assert (await asked.login(named("bob"), PASSWORD)).name == "bob"

    run(story, active(controller, user_filter=f"(&(sAMAccountName={{user}})(!{DISABLED}))"))


def test_a_locked_account_775(controller: Samba) -> None:
    fresh(controller, "locked")

    async def lock(asked: Asked) -> None:
        for number in range(3):
            await asked.refusal(named("locked"), f"wrong{number}")

    run(lock, direct(controller))
    shut(controller, "locked", Reason.LOCKED)


def test_an_expired_account_701(controller: Samba) -> None:
    dn = fresh(controller, "expired")
    change(controller, dn, "accountExpires", str(ticks(time.time() - 60)))
    shut(controller, "expired", Reason.EXPIRED)


def test_a_password_that_must_be_changed_773(controller: Samba) -> None:
    dn = fresh(controller, "must-change")
    change(controller, dn, "pwdLastSet", "0")
    shut(controller, "must-change", Reason.PASSWORD_EXPIRED)


def test_an_account_that_will_end_is_let_in_until_then(controller: Samba) -> None:
    dn = fresh(controller, "ending")
    ends = int(time.time()) + 7200
    change(controller, dn, "accountExpires", str(ticks(ends)))

    async def story(asked: Asked) -> None:
        assert (await asked.login(named("ending"), PASSWORD)).expires_at == ends

    run(story, active(controller))


def ticks(seconds: float) -> int:
    return (int(seconds) + 11_644_473_600) * 10_000_000


def test_guessing_is_stopped_before_the_controller_locks_the_account(controller: Samba) -> None:
    async def story(asked: Asked) -> None:
        reasons = await asyncio.gather(
            *(asked.refusal(named("guessed"), f"no{number}") for number in range(12))
        )
        assert sorted(set(reasons)) == [Reason.CREDENTIALS_WRONG, Reason.GUARDED]
        assert await asked.refusal(named("guessed"), "no0") in {Reason.CREDENTIALS_WRONG, Reason.GUARDED}

    async def anew(asked: Asked) -> None:
        # Another process of ours: it reads the controller's own count.
        assert await asked.refusal(named("guessed"), "other") is Reason.GUARDED

    run(story, active(controller, lockout_threshold=3))
    run(anew, active(controller, lockout_threshold=3))
    assert "badPwdCount: 2" in controller.tool("user", "show", "guessed")


# --- TLS -----------------------------------------------------------------------------------------------


def test_ldaps_and_starttls_satisfy_a_controller_that_wants_signing(controller: Samba) -> None:
    async def story(asked: Asked) -> None:
        assert (await asked.login(named("alice"), PASSWORD)).name == "alice"

    async def plain(asked: Asked) -> None:
        # As it comes it takes no password in the clear (result 8, strongerAuthRequired).
        assert "result 8" in await asked.down(named("alice"), PASSWORD)

    run(story, active(controller, controller.tls))
    run(story, active(controller, controller.plain))
    run(plain, active(controller, controller.plain, plain_on_loopback=True))


@pytest.mark.parametrize("tls", [True, False], ids=["ldaps", "starttls"])
def test_a_controller_of_another_authority_is_not_spoken_to(controller: Samba, tls: bool) -> None:
    async def story(asked: Asked) -> None:
        assert "certificate is not good" in await asked.down(named("alice"), PASSWORD)

    address = controller.tls if tls else controller.plain
    run(story, active(controller, address, ca_file=controller.directory / "other-ca.crt"))


# --- changes -------------------------------------------------------------------------------------------


def test_the_changes_of_a_controller_are_followed_by_their_numbers(controller: Samba) -> None:
    dn = fresh(controller, "followed")

    async def story(asked: Asked) -> None:
        subject = (await asked.login(named("followed"), PASSWORD)).subject
        cursor, changes = await asked.changes("")
        assert changes == []
        assert await asked.changes(cursor) == (cursor, [])

        controller.tool("group", "addmembers", "grid", "followed")
        cursor, changes = await asked.changes(cursor)
        assert Change(What.GROUP, name=f"CN=grid,{USERS}") in changes
        assert "grid" in (await asked.lookup(subject)).groups

        controller.tool("user", "disable", "followed")
        cursor, changes = await asked.changes(cursor)
        assert Change(What.PERSON, subject, dn, Reason.DISABLED) in changes
        assert await asked.lookup_refusal(subject) is Reason.DISABLED
        assert (await asked.changes(cursor))[1] == []

        controller.tool("user", "delete", "followed")
        assert await asked.lookup_refusal(subject) is Reason.GONE

    run(story, active(controller))


def test_a_lock_is_told(controller: Samba) -> None:
    fresh(controller, "to-lock")

    async def story(asked: Asked) -> None:
        subject = (await asked.login(named("to-lock"), PASSWORD)).subject
        cursor, _ = await asked.changes("")
        for number in range(3):
            await asked.refusal(named("to-lock"), f"wrong{number}")
        _, changes = await asked.changes(cursor)
        assert (subject, Reason.LOCKED) in {(change.subject, change.reason) for change in changes}

    run(story, active(controller))


def test_who_was_moved_out_of_the_base_is_told_and_gone(controller: Samba) -> None:
    fresh(controller, "moved")
    controller.tool("ou", "create", f"OU=Retired,{BASE}")

    async def story(asked: Asked) -> None:
        subject = (await asked.login(named("moved"), PASSWORD)).subject
        cursor, _ = await asked.changes("")
        controller.tool("user", "move", "moved", f"OU=Retired,{BASE}")
        _, changes = await asked.changes(cursor)
        assert subject in {change.subject for change in changes}
        assert await asked.lookup_refusal(subject) is Reason.GONE

    run(story, active(controller, user_base=USERS))


def test_who_may_read_deleted_objects_is_told_who_was_deleted(controller: Samba) -> None:
    fresh(controller, "deleted")
    controller.tool("group", "add", "short-lived")
    administrator = ServiceAccount(f"administrator@{SUFFIX}", Secret(ADMIN_PASSWORD))

    async def story(asked: Asked) -> None:
        subject = (await asked.login(named("deleted"), PASSWORD)).subject
        cursor, _ = await asked.changes("")
        controller.tool("user", "delete", "deleted")
        controller.tool("group", "delete", "short-lived")
        _, changes = await asked.changes(cursor)
        assert (What.GONE, subject) in {(change.what, change.subject) for change in changes}
        assert What.GROUP in {change.what for change in changes}

    run(story, active(controller, service=administrator))


def test_the_numbers_of_another_controller_say_nothing_here(controller: Samba) -> None:
    async def story(asked: Asked) -> None:
        foreign = '{"numbers":{"00000000-0000-0000-0000-000000000001":5}}'
        cursor, changes = await asked.changes(foreign)
        assert changes == [Change(What.EVERYTHING)]
        # A controller restored from a backup counts from an earlier number.
        ahead = cursor.replace(cursor.split(":")[-3].split("}")[0], "99999999")
        assert (await asked.changes(ahead))[1] == [Change(What.EVERYTHING)]
        assert (await asked.changes(cursor))[1] == []

    run(story, active(controller))
