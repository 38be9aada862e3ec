"""Servers that are not who they should be, hang, refer to others or come back; real ones, and a listener."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from callout.directories.ldap.directory import LdapDirectory
from callout.directories.ldap.settings import LdapSettings, LdapSettingsError
from callout.refusals import Reason
from tests.processes import HOST, free_port, wait_until
from tests.system.callout.ldap_asking import Asked, run, settings
from tests.system.callout.listener import Listener
from tests.system.callout.slapd import (
    GROUPS,
    PEOPLE,
    SERVICE_PASSWORD,
    Slapd,
    dn_of,
    group,
    person,
)

pytestmark = pytest.mark.component("slapd")

SLACK = 0.5
"""Seconds by which a busy machine may be late."""


@pytest.fixture(scope="module")
def server() -> Iterator[Slapd]:
    with Slapd() as found:
        found.lock_nobody()
        found.add(person("alice"), group("operators", dn_of("alice")))
        yield found


@pytest.fixture(scope="module")
def replica(server: Slapd) -> Iterator[Slapd]:
    with Slapd(of=server) as found:
        wait_until(lambda: found.has(dn_of("alice")), what="the replica to have the entries")
        yield found


def safe(*servers: str, **changes: Any) -> LdapSettings:
    return settings(*servers, plain_on_loopback=False, **changes)


async def let_in(asked: Asked) -> None:
    assert (await asked.login("alice", "alicepw")).groups == ("operators",)


# --- TLS -----------------------------------------------------------------------------------------------


def test_ldaps_and_starttls_with_the_right_authority(server: Slapd) -> None:
    run(let_in, safe(server.tls, ca_file=server.ca_file))
    run(let_in, safe(server.plain, ca_file=server.ca_file))


@pytest.mark.parametrize("ca", ["other-ca.crt", None])
@pytest.mark.parametrize("tls", [True, False], ids=["ldaps", "starttls"])
def test_a_server_of_another_authority_is_not_spoken_to(server: Slapd, tls: bool, ca: str | None) -> None:
    async def story(asked: Asked) -> None:
        assert "certificate is not good" in await asked.down("alice", "alicepw")

    address = server.tls if tls else server.plain
    run(story, safe(address, ca_file=server.directory / ca if ca else None))


@pytest.mark.parametrize("scheme", ["ldaps", "ldap"])
def test_a_certificate_of_another_name_is_not_taken(server: Slapd, scheme: str) -> None:
    async def story(asked: Asked) -> None:
        assert "certificate is not good: hostname mismatch" in (await asked.down("alice", "alicepw")).lower()

    port = server.tls_port if scheme == "ldaps" else server.port
    # It is for the address 127.0.0.1, and not for this name of it.
    run(story, safe(f"{scheme}://localhost:{port}", ca_file=server.ca_file))


def test_no_password_is_sent_where_starttls_does_not_succeed() -> None:
    # The answer to the first request: "protocol error", as of a server that knows no StartTLS.
    refusal = bytes.fromhex("300c02010178070a010204000400")
    with Listener(drip=refusal, pause=0.001) as impostor:

        async def story(asked: Asked) -> None:
            await asked.down("alice", "alicepw")

        run(story, safe(impostor.plain), patience=1)
        run(story, safe(impostor.plain, service=None, direct=f"uid={{user}},{PEOPLE}"), patience=1)
        assert impostor.visitors >= 2
        assert b"1.3.6.1.4.1.1466.20037" in impostor.heard
        assert SERVICE_PASSWORD.encode() not in impostor.heard
        assert b"alicepw" not in impostor.heard


def test_a_server_that_wants_a_client_certificate_gets_one(server: Slapd) -> None:
    with Slapd(before=f"TLSVerifyClient demand\nTLSCACertificateFile {server.ca_file}") as strict:
        strict.add(person("alice"), group("operators", dn_of("alice")))

        async def story(asked: Asked) -> None:
            await asked.down("alice", "alicepw")

        run(story, safe(strict.tls, ca_file=strict.ca_file))
        own = {
            "client_certificate": server.directory / "server.crt",
            "client_key": server.directory / "server.key",
        }
        run(let_in, safe(strict.tls, ca_file=strict.ca_file, **own))


def test_a_ca_file_that_is_none_disables_the_directory(server: Slapd) -> None:
    for ca_file in (server.directory / "none.crt", server.directory / "server.key"):
        with pytest.raises(LdapSettingsError) as refused:
            asyncio.run(LdapDirectory(safe(server.tls, ca_file=ca_file)).start())
        assert refused.value.at == "ca_file"


# --- referrals -----------------------------------------------------------------------------------------


def test_referrals_are_never_followed_and_no_password_goes_where_they_point() -> None:
    with Listener() as trap, Slapd(before=f"referral {trap.plain}") as server:
        server.add(
            person("alice"),
            group("operators", dn_of("alice")),
            *(
                f"dn: ou=elsewhere,{base}\nobjectClass: referral\nobjectClass: extensibleObject\n"
                f"ou: elsewhere\nref: {trap.plain}/ou=elsewhere,{base}\n"
                for base in (PEOPLE, GROUPS)
            ),
        )

        async def inside(asked: Asked) -> None:
            # References among the entries of an answer are passed over.
            await let_in(asked)
            assert await asked.refusal("nobody", "nobodypw") is Reason.CREDENTIALS_WRONG
            _, changes = await asked.changes("")
            assert changes == []

        async def outside(asked: Asked) -> None:
            assert "refers us to another server" in await asked.down("alice", "alicepw")

        async def direct(asked: Asked) -> None:
            assert await asked.refusal("alice", "alicepw") is Reason.CREDENTIALS_WRONG

        run(inside, settings(server.plain))
        run(outside, settings(server.plain, user_base="dc=elsewhere,dc=test"))
        run(direct, settings(server.plain, service=None, direct="uid={user},dc=elsewhere,dc=test"))
        assert trap.visitors == 0


# --- servers that hang ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how", ["silent", "drip", "silent tls", "drip tls", "silent starttls", "drip starttls"]
)
def test_the_deadline_holds_whatever_hangs(how: str) -> None:
    # The beginning of a long answer, and then of another one, too slow to ever end.
    drip = bytes.fromhex("30840fffffff") if "drip" in how else b""
    with Listener(drip=drip) as hung:
        address = hung.tls if how.endswith(" tls") else hung.plain
        given = safe(address) if "tls" in how else settings(address)

        async def story(asked: Asked) -> None:
            deadline = asked.deadline()
            ticks = 0

            async def tick() -> None:
                nonlocal ticks
                while True:
                    await asyncio.sleep(0.01)
                    ticks += 1

            ticking = asyncio.create_task(tick())
            await asked.down("alice", "alicepw")
            ticking.cancel()
            assert asyncio.get_running_loop().time() < deadline + SLACK
            assert ticks > 10, "the loop was held"

        run(story, given, patience=1)


def test_a_server_that_stops_answering_on_a_connection_that_was_kept(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        await let_in(asked)
        server.pause()
        try:
            deadline = asked.deadline()
            await asked.down("alice", "alicepw")
            assert asyncio.get_running_loop().time() < deadline + SLACK
        finally:
            server.resume()
        await let_in(asked)

    run(story, settings(server.plain), patience=2)


def test_questions_that_nobody_waits_for_any_more_do_not_fill_the_threads() -> None:
    with Listener() as hung:

        async def story(asked: Asked) -> None:
            for _ in range(2):
                deadline = asked.deadline()
                said = await asyncio.gather(*(asked.down("alice", "alicepw") for _ in range(12)))
                assert asyncio.get_running_loop().time() < deadline + SLACK
                assert sum("under way already" in words for words in said) == 4
                await asyncio.sleep(0.2)

        run(story, settings(hung.plain, threads=2, waiting=6), patience=0.5)


# --- failover ------------------------------------------------------------------------------------------


def test_the_next_server_is_asked_when_the_first_refuses(server: Slapd) -> None:
    async def story(asked: Asked) -> None:
        assert not asked.directory.servers_aside
        await let_in(asked)
        assert list(asked.directory.servers_aside) == [f"ldap://{HOST}:{first}"]

    first = free_port()
    run(story, settings(f"ldap://{HOST}:{first}", server.plain))


def test_a_server_that_accepts_and_hangs_is_left_for_the_next_and_then_asked_last(server: Slapd) -> None:
    with Listener() as hung:

        async def story(asked: Asked) -> None:
            await let_in(asked)
            assert asked.directory.servers_aside == (hung.plain,)
            before = hung.visitors
            for _ in range(5):
                await let_in(asked)
            assert hung.visitors == before

        run(story, settings(hung.plain, server.plain, retry_after=60), patience=3)


def test_a_server_with_a_bad_certificate_is_left_for_the_next(server: Slapd) -> None:
    with Slapd() as foreign:
        run(let_in, safe(foreign.tls, server.tls, ca_file=server.ca_file))


def test_a_server_that_hangs_in_the_middle_of_the_day_is_left_for_its_replica(
    server: Slapd, replica: Slapd
) -> None:
    async def story(asked: Asked) -> None:
        first = await asked.login("alice", "alicepw")
        server.pause()
        try:
            again = await asked.login("alice", "alicepw")
            assert again.subject == first.subject
            assert list(asked.directory.servers_aside) == [server.plain]
        finally:
            server.resume()
        # And it is taken back when its time aside is over.
        await asyncio.sleep(0.3)
        await let_in(asked)
        assert not asked.directory.servers_aside

    run(story, settings(server.plain, replica.plain, retry_after=0.2), patience=4)


def test_all_servers_dead_is_told_in_time() -> None:
    async def story(asked: Asked) -> None:
        deadline = asked.deadline()
        assert "no server answered" in await asked.down("alice", "alicepw")
        assert asyncio.get_running_loop().time() < deadline + SLACK

    run(story, settings(*(f"ldap://{HOST}:{free_port()}" for _ in range(3))), patience=2)


def test_a_server_that_was_restarted_has_dropped_the_connections_kept_and_is_asked_anew(
    server: Slapd,
) -> None:
    async def story(asked: Asked) -> None:
        await asyncio.gather(*(let_in(asked) for _ in range(6)))
        server.stop()
        server.start()
        await let_in(asked)
        assert not asked.directory.servers_aside

    run(story, settings(server.plain))


# --- what is held --------------------------------------------------------------------------------------


def test_nothing_is_left_open(server: Slapd) -> None:
    def descriptors() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    async def story(asked: Asked) -> None:
        await asyncio.gather(*(let_in(asked) for _ in range(20)))
        for _ in range(5):
            await asked.refusal("alice", "wrong")

    async def bad(asked: Asked) -> None:
        for _ in range(5):
            await asked.down("alice", "alicepw")

    run(story, settings(server.plain))
    before = descriptors()
    run(story, settings(server.plain))
    run(story, safe(server.plain, ca_file=server.ca_file))
    run(bad, safe(server.tls, ca_file=server.directory / "other-ca.crt"))
    run(bad, safe(server.plain, ca_file=server.directory / "other-ca.crt"))
    run(bad, settings(f"ldap://{HOST}:{free_port()}"))
    wait_until(lambda: descriptors() <= before, what="the sockets to be closed")


def test_what_it_is_made_of_says_nothing_of_deprecated_names() -> None:
    """The library and its own one use names that are going away: not our users' trouble."""
    program = "import callout.directories.ldap.directory"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
