"""The pages' own configurations, on real directories; and clients that log in with them at both servers."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError
from ruamel.yaml import YAML

from callout.directories.directory import Credentials, Directory
from callout.directories.ldap.settings import LdapSettings
from callout.directories.opening import Directories, read_directories
from callout.refusals import LoginRefusedError, Reason
from issuer.grants import Identity
from tests import components
from tests.callout.counter import Counter
from tests.processes import HOST
from tests.system.broker.callout.scene import Server, Which
from tests.system.callout.door import Door, door, let_go, place, quietly
from tests.system.callout.house import House, login, serving
from tests.system.callout.samba import BusyError, Samba
from tests.system.callout.slapd import SERVICE_PASSWORD, Slapd, dn_of, group, group_dn, person

GUIDE = components.ROOT / "docs" / "callout" / "ldap.md"
STORY = 60.0
PASSWORD = "Passw0rd!y"
BOTH = pytest.mark.parametrize("which", get_args(Which))


def written(heading: str, **instead: str) -> list[dict[str, Any]]:
    """The directories that the guide shows below a heading, with what is different here."""
    text = GUIDE.read_text(encoding="utf-8").split(f"## {heading}\n")[1]
    found = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert found is not None
    block = found[1]
    for shown, here in instead.items():
        assert shown in block, f"the guide does not say {shown}"
        block = block.replace(shown, here)
    documents: list[dict[str, Any]] = YAML(typ="safe").load(block)["directories"]
    return documents


def secret(folder: Path, text: str) -> str:
    file = folder / "password"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    return str(file)


@pytest.fixture(scope="module")
def server() -> Iterator[Slapd]:
    components.require("slapd")
    with Slapd() as found:
        found.add(
            person("ann", more="mail: ann@example.test\n"),
            person("eve"),
            group("operators", dn_of("ann")),
            group("grid", group_dn("operators")),
        )
        yield found


@pytest.fixture(scope="module")
def documents(server: Slapd, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return written(
        "OpenLDAP",
        **{
            "ldaps://ldap1.example.test": server.tls,
            "ldaps://ldap2.example.test": server.plain,
            "/etc/accredit/ldap-ca.pem": str(server.ca_file),
            "/etc/accredit/ldap-password": secret(tmp_path_factory.mktemp("ldap"), SERVICE_PASSWORD),
        },
    )


async def identified(directories: Directories, user: str, password: str) -> Identity:
    shown = Credentials(user=user, password=password)
    deadline = asyncio.get_running_loop().time() + 5
    return await directories.choose(shown).identify(shown, now=time.time(), deadline=deadline)


def test_openldap_as_the_guide_has_it(documents: list[dict[str, Any]]) -> None:
    async def story() -> None:
        directories = Directories(read_directories(documents))
        await directories.start()
        try:
            assert all(each.ready for each in directories.state()), directories.state()
            found = await identified(directories, "ann", "annpw")
            assert (found.issuer, found.groups) == ("ldap:CORP", ("grid", "operators"))
            assert found.attributes == {"mail": "ann@example.test"}
            with pytest.raises(LoginRefusedError):
                await identified(directories, "ann", "wrong")
        finally:
            await directories.close()

    asyncio.run(story())


@pytest.mark.component("samba-ad")
def test_active_directory_as_the_guide_has_it(tmp_path: Path) -> None:
    running = Samba()
    try:
        running.__enter__()
    except BusyError as reason:
        pytest.skip(f"samba-ad: {reason}")
    try:
        for name in ("svc", "ann"):
            running.tool("user", "create", name, PASSWORD)
        running.tool("group", "add", "operators")
        running.tool("group", "addmembers", "operators", "ann")
        shown = written(
            "Active Directory",
            **{
                "ldaps://dc1.ad.example.test": running.tls,
                "ldaps://dc2.ad.example.test": running.plain,
                "/etc/accredit/ad-ca.pem": str(running.ca_file),
                "/etc/accredit/ad-password": secret(tmp_path, PASSWORD),
            },
        )

        async def story() -> None:
            directories = Directories(read_directories(shown))
            await directories.start()
            try:
                assert all(each.ready for each in directories.state()), directories.state()
                for user in ("ADX\\ann", "ann@ad.example.test"):
                    found = await identified(directories, user, PASSWORD)
                    assert found.groups == ("Domain Users", "operators")
            finally:
                await directories.close()

        asyncio.run(story())
    finally:
        running.close()


def test_the_guide_has_every_setting_and_no_other() -> None:
    text = GUIDE.read_text(encoding="utf-8").split("## Every setting\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    shown = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert shown - {"kind: ldap"} == set(LdapSettings.__struct_fields__)


def test_the_guide_has_the_defaults() -> None:
    text = GUIDE.read_text(encoding="utf-8").split("## Every setting\n")[1].split("\n## ")[0]
    defaults = dict(
        zip(LdapSettings.__struct_fields__[::-1], LdapSettings.__struct_defaults__[::-1], strict=False)
    )
    for line in text.splitlines():
        if not line.startswith("| `"):
            continue
        _, names, values = line.split("|")[:3]
        told = [value.strip() for value in values.split(",")]
        for name, value in zip(re.findall(r"`([^`]+)`", names), told, strict=False):
            if re.fullmatch(r"[\d.]+", value):
                assert float(value) == defaults[name], name


# --- from the client to the directory, at both servers -------------------------------------------------

POLICY = {
    "version": 1,
    "bindings": [
        {
            "name": "operators",
            "match": {"directory": "corp", "groups": "grid"},
            "account": "GRID",
            "roles": ["reader"],
        }
    ],
}


async def turned_away(server: Server, user: str, password: str) -> None:
    client = Client()
    with pytest.raises(NatsError, match="Authorization Violation"):
        await client.connect(
            f"nats://{HOST}:{server.port}",
            user=user,
            password=password,
            allow_reconnect=False,
            error_cb=quietly,
        )
    await client.close()
    await let_go(client)


@dataclass
class LdapCounter(Counter):
    """Asks the directories that the guide configures; the policy wants a nested group."""

    directories: Directories = field(default_factory=lambda: Directories(()))
    policy_data: dict[str, Any] = field(default_factory=lambda: dict(POLICY))

    def choose(self, credentials: Credentials) -> Directory:
        return self.directories.choose(credentials)


@BOTH
@pytest.mark.component("nats-server")
def test_a_client_logs_in_by_ldap_under_the_role_of_its_group(
    which: Which, documents: list[dict[str, Any]], server: Slapd
) -> None:
    counter = LdapCounter(time.time(), directories=Directories(read_directories(documents)))
    house = House(counter=counter)

    async def story() -> None:
        async with asyncio.timeout(STORY), serving(house, which) as (place, _):
            await counter.directories.start()
            try:
                for user in ("ann", "CORP\\ann"):
                    client = await login(place, user=user, password="annpw")
                    await client.publish("grid.north", b"x")
                    await client.flush()
                    await client.close()
                for user, password in (("ann", "wrong"), ("eve", "evepw"), ("ann", " "), ("*", "annpw")):
                    await turned_away(place, user, password)
            finally:
                await counter.directories.close()

    asyncio.run(story())
    assert [each.session.name for each in counter.written] == ["ann", "ann"]
    assert {each.session.account for each in counter.written} == {counter.account.public}
    assert {each.session.subject for each in counter.written} == {
        server.read(dn_of("ann"), "entryUUID")["entryUUID"][0]
    }
    assert [outcome.reason for _, outcome in counter.told if outcome.reason is not None] == [
        Reason.CREDENTIALS_WRONG,
        Reason.NO_BINDING,
        Reason.CREDENTIALS_WRONG,
        Reason.CREDENTIALS_WRONG,
    ]


@BOTH
@pytest.mark.component("nats-server")
def test_an_mqtt_client_logs_in_by_ldap(
    which: Which, documents: list[dict[str, Any]], tmp_path: Path
) -> None:
    found = place(which, tmp_path)

    async def story() -> None:
        async with asyncio.timeout(STORY), door(found, documents) as at:
            await mqtt(at)

    async def mqtt(at: Door) -> None:
        good = await at.come_by_mqtt(user="CORP\\ann", password="annpw")
        assert good.identity is not None
        assert good.identity.groups == ("grid", "operators")
        bad = await at.come_by_mqtt(user="ann", password="wrong")
        assert (bad.directory, bad.reason) == ("corp", Reason.CREDENTIALS_WRONG)

    with found.scene, found.server:
        asyncio.run(story())


@BOTH
@pytest.mark.component("nats-server")
def test_a_directory_that_is_down_refuses_in_time(which: Which, documents: list[dict[str, Any]]) -> None:
    with Slapd() as own:
        down = [{**documents[0], "servers": [own.tls], "ca_file": str(own.ca_file)}]
        counter = LdapCounter(time.time(), directories=Directories(read_directories(down)))
        house = House(counter=counter)
        own.pause()

        async def story() -> None:
            async with asyncio.timeout(STORY), serving(house, which) as (at, _):
                await counter.directories.start()
                try:
                    await turned_away(at, "ann", "annpw")
                finally:
                    await counter.directories.close()

        asyncio.run(story())
    assert [outcome.reason for _, outcome in counter.told] == [Reason.DIRECTORY_DOWN]
