"""Nobody is locked out of their directory by our doing, and what is shut stays shut: by OpenLDAP's policy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from callout.directories.ldap.settings import LdapSettings
from callout.refusals import DirectoryDownError, LoginRefusedError, Reason
from tests.processes import wait_until
from tests.system.callout.ldap_asking import Asked, run, settings
from tests.system.callout.listener import Listener
from tests.system.callout.slapd import PEOPLE, POLICY, Slapd, dn_of, person

pytestmark = pytest.mark.component("slapd")

DIRECT = f"uid={{user}},{PEOPLE}"
"""The policy of these servers locks at the third failure."""


@pytest.fixture(scope="module")
def server() -> Iterator[Slapd]:
    with Slapd(after="ppolicy_use_lockout") as found:
        yield found


@pytest.fixture(scope="module")
def silent() -> Iterator[Slapd]:
    """As slapd comes: it does not say that an account is locked."""
    with Slapd() as found:
        yield found


_NUMBERS = iter(range(1000))


def newcomer(*servers: Slapd) -> str:
    uid = f"user{next(_NUMBERS)}"
    for server in servers:
        server.add(person(uid, password="right"))
    return uid


def guarded(*servers: Slapd, **changes: Any) -> LdapSettings:
    return settings(*(server.plain for server in servers), lockout_threshold=3, **changes)


def locked(server: Slapd, uid: str) -> bool:
    return "pwdAccountLockedTime" in server.read(dn_of(uid), "pwdAccountLockedTime")


def lock(server: Slapd, uid: str) -> None:
    """By failures that are none of ours."""
    for _ in range(3):
        assert not server.binds(dn_of(uid), "elsewhere")
    assert locked(server, uid)


# --- the guard -----------------------------------------------------------------------------------------


def test_a_device_that_reconnects_with_an_old_password_locks_nobody_out(server: Slapd) -> None:
    uid = newcomer(server)

    async def story(asked: Asked) -> None:
        for _ in range(10):
            assert await asked.refusal(uid, "old") is Reason.CREDENTIALS_WRONG
        assert server.failures(dn_of(uid)) == 1
        assert (await asked.login(uid, "right")).name == uid

    run(story, guarded(server))


def test_guessing_is_stopped_before_the_directory_locks_the_account(server: Slapd) -> None:
    uid = newcomer(server)

    async def story(asked: Asked) -> None:
        reasons = [await asked.refusal(uid, f"guess{number}") for number in range(6)]
        assert reasons == [Reason.CREDENTIALS_WRONG] * 2 + [Reason.GUARDED] * 4

    run(story, guarded(server))
    assert server.failures(dn_of(uid)) == 2
    assert not locked(server, uid)


def test_many_guesses_at_once_do_not_pass_the_threshold_together(server: Slapd) -> None:
    uid = newcomer(server)

    async def story(asked: Asked) -> None:
        reasons = await asyncio.gather(*(asked.refusal(uid, f"guess{number}") for number in range(40)))
        assert sorted(set(reasons)) == [Reason.CREDENTIALS_WRONG, Reason.GUARDED]

    run(story, guarded(server))
    assert server.failures(dn_of(uid)) == 2


def test_many_devices_of_one_account_with_the_same_old_password_cost_one_failure(server: Slapd) -> None:
    uid = newcomer(server)

    async def story(asked: Asked) -> None:
        reasons = await asyncio.gather(*(asked.refusal(uid, "old") for _ in range(40)))
        assert set(reasons) == {Reason.CREDENTIALS_WRONG}

    run(story, guarded(server))
    assert server.failures(dn_of(uid)) == 1


@pytest.mark.parametrize("how", [{}, {"service": None, "direct": DIRECT}], ids=["search", "direct"])
def test_another_spelling_of_the_name_is_the_same_account(server: Slapd, how: dict[str, Any]) -> None:
    uid = newcomer(server)

    async def story(asked: Asked) -> None:
        for number, name in enumerate([uid, uid.upper(), uid.title(), uid]):
            await asked.refusal(name, f"guess{number}")

    run(story, guarded(server, **how))
    assert server.failures(dn_of(uid)) == 2
    assert not locked(server, uid)


def test_failures_made_elsewhere_are_counted_with_ours(server: Slapd) -> None:
    uid = newcomer(server)
    for _ in range(2):
        assert not server.binds(dn_of(uid), "elsewhere")

    async def story(asked: Asked) -> None:
        assert await asked.refusal(uid, "guess") is Reason.GUARDED

    run(story, guarded(server))
    assert not locked(server, uid)


def test_who_has_logged_in_is_not_shut_out_by_the_guesses_of_others(server: Slapd) -> None:
    uid = newcomer(server)

    async def story(asked: Asked) -> None:
        await asked.login(uid, "right")
        for number in range(4):
            await asked.refusal(uid, f"guess{number}")
        assert await asked.refusal(uid, "guess9") is Reason.GUARDED
        assert (await asked.login(uid, "right")).name == uid

    # It knows that the password is still the same by when it was last changed.
    server.set(dn_of(uid), "userPassword", "right")
    run(story, guarded(server))


def test_a_password_that_was_wrong_is_asked_about_again_once_it_was_changed(server: Slapd) -> None:
    uid = newcomer(server)
    server.set(dn_of(uid), "userPassword", "first")

    async def story(asked: Asked) -> None:
        for password in ("second", "second", "third"):
            assert await asked.refusal(uid, password) is Reason.CREDENTIALS_WRONG
        # The stamp has whole seconds.
        await asyncio.sleep(1.1)
        server.set(dn_of(uid), "userPassword", "second")
        assert (await asked.login(uid, "second")).name == uid

    run(story, guarded(server))


def test_a_wrong_password_is_never_tried_at_another_server() -> None:
    with Slapd() as one, Slapd(of=one) as other:
        uid = newcomer(one)
        wait_until(lambda: other.has(dn_of(uid)), what="the replica to have the entry")

        async def story(asked: Asked) -> None:
            assert await asked.refusal(uid, "wrong") is Reason.CREDENTIALS_WRONG

        run(story, guarded(other, one))
        run(story, guarded(other, one, service=None, direct=DIRECT))
        assert (one.failures(dn_of(uid)), other.failures(dn_of(uid))) == (0, 2)


async def reason_at_last(asked: Asked, uid: str) -> Reason:
    while True:
        try:
            await asked.login(uid, "guess4")
        except DirectoryDownError:
            continue
        except LoginRefusedError as refused:
            return refused.reason


def test_a_bind_that_was_not_answered_may_have_been_counted_and_is_not_sent_elsewhere(server: Slapd) -> None:
    uid = newcomer(server)
    with Listener() as hung:

        async def story(asked: Asked) -> None:
            for number in range(2):
                await asked.down(uid, f"guess{number}")
            # Both are still waited for, by nobody but us.
            assert "not answered in time" in await asked.down(uid, "guess3")
            assert await reason_at_last(asked, uid) is Reason.GUARDED

        given = settings(
            hung.plain,
            server.plain,
            lockout_threshold=3,
            service=None,
            direct=DIRECT,
            bind_patience=1.5,
            retry_after=0.01,
        )
        run(story, given, patience=0.4)
    assert server.failures(dn_of(uid)) == 0


def test_an_answer_that_comes_when_nobody_waits_for_it_is_still_counted(server: Slapd) -> None:
    uid = newcomer(server)

    async def story(asked: Asked) -> None:
        server.pause()
        try:
            await asked.down(uid, "wrong")
        finally:
            server.resume()
        assert await asked.refusal(uid, "wrong") is Reason.CREDENTIALS_WRONG

    run(story, guarded(server, service=None, direct=DIRECT), patience=1)
    assert server.failures(dn_of(uid)) == 1


# --- what the directory has shut -----------------------------------------------------------------------


def test_a_locked_account_is_told_from_a_wrong_password_although_openldap_answers_alike(
    silent: Slapd,
) -> None:
    uid = newcomer(silent)
    lock(silent, uid)

    async def story(asked: Asked) -> None:
        assert await asked.refusal(uid, "right") is Reason.LOCKED
        assert await asked.refusal(uid, "wrong") is Reason.LOCKED

    run(story, guarded(silent))
    run(story, guarded(silent, lockout_window=0.001))
    assert silent.failures(dn_of(uid)) == 3


def test_the_right_password_of_a_locked_account_is_not_remembered_as_wrong() -> None:
    # We are not told how many failures there were, so we ask.
    with Slapd(after="access to attrs=pwdFailureTime by * none") as server:
        uid = newcomer(server)
        lock(server, uid)

        async def story(asked: Asked) -> None:
            assert await asked.refusal(uid, "right") is Reason.LOCKED
            server.set(dn_of(uid), "pwdAccountLockedTime")
            assert (await asked.login(uid, "right")).name == uid

        run(story, guarded(server))


def test_who_was_unlocked_with_a_new_password_is_let_in_at_once(server: Slapd) -> None:
    uid = newcomer(server)
    lock(server, uid)

    async def story(asked: Asked) -> None:
        assert await asked.refusal(uid, "right") is Reason.LOCKED
        server.set(dn_of(uid), "userPassword", "renewed")
        assert (await asked.login(uid, "renewed")).name == uid

    run(story, guarded(server))


def test_who_was_only_unlocked_is_not_locked_again_by_us(server: Slapd) -> None:
    # OpenLDAP keeps the failures then: the next one would lock the account again.
    uid = newcomer(server)
    lock(server, uid)

    async def story(asked: Asked) -> None:
        server.set(dn_of(uid), "pwdAccountLockedTime")
        assert server.failures(dn_of(uid)) == 3
        assert await asked.refusal(uid, "right") is Reason.GUARDED
        # A login elsewhere clears them.
        assert server.binds(dn_of(uid), "right")
        assert (await asked.login(uid, "right")).name == uid

    run(story, guarded(server))


def test_a_locked_account_as_the_password_policy_tells_it(server: Slapd) -> None:
    uid = newcomer(server)
    lock(server, uid)

    async def story(asked: Asked) -> None:
        assert await asked.refusal(uid, "right") is Reason.LOCKED

    run(story, guarded(server, service=None, direct=DIRECT))


def test_an_account_that_an_administrator_has_locked_is_not_even_asked_for(server: Slapd) -> None:
    uid = newcomer(server)
    subject = server.read(dn_of(uid), "entryUUID")["entryUUID"][0]
    server.set(dn_of(uid), "pwdAccountLockedTime", "000001010000Z")

    async def story(asked: Asked) -> None:
        assert await asked.refusal(uid, "wrong") is Reason.LOCKED
        assert await asked.lookup_refusal(subject) is Reason.LOCKED

    run(story, guarded(server))
    assert server.failures(dn_of(uid)) == 0


def test_a_lock_by_failures_is_seen_by_a_look_up_as_long_as_failures_count(server: Slapd) -> None:
    uid = newcomer(server)
    subject = server.read(dn_of(uid), "entryUUID")["entryUUID"][0]
    lock(server, uid)

    async def while_it_holds(asked: Asked) -> None:
        assert await asked.lookup_refusal(subject) is Reason.LOCKED

    async def later(asked: Asked) -> None:
        assert (await asked.lookup(subject)).name == uid

    run(while_it_holds, guarded(server))
    run(later, guarded(server, lockout_window=0.001))


def test_a_password_that_must_be_changed_first(server: Slapd) -> None:
    uid = newcomer(server)
    server.set(POLICY, "pwdMustChange", "TRUE")
    server.set(dn_of(uid), "userPassword", "given")
    server.set(dn_of(uid), "pwdReset", "TRUE")

    async def story(asked: Asked) -> None:
        assert await asked.refusal(uid, "given") is Reason.PASSWORD_EXPIRED

    run(story, guarded(server))
    run(story, guarded(server, service=None, direct=DIRECT))


def test_a_password_that_has_expired_and_one_whose_last_logins_are_counted(server: Slapd) -> None:
    policy = POLICY.replace("cn=default", "cn=short")
    server.add(
        f"dn: {policy}\nobjectClass: person\nobjectClass: pwdPolicy\ncn: short\nsn: short\n"
        "pwdAttribute: userPassword\npwdMaxAge: 1\n"
    )
    uid = newcomer(server)
    server.set(dn_of(uid), "pwdPolicySubentry", policy)
    server.set(dn_of(uid), "userPassword", "aged")

    def lets_in() -> bool:
        return server.binds(dn_of(uid), "aged")

    wait_until(lambda: not lets_in(), what="the password to expire")

    async def story(asked: Asked) -> None:
        assert await asked.refusal(uid, "aged") is Reason.PASSWORD_EXPIRED

    run(story, guarded(server))
    server.set(policy, "pwdGraceAuthNLimit", "5")
    run(story, guarded(server))
    assert lets_in()
