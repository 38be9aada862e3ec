"""Somebody is shut where they belong, and their connection here is gone: real servers, from end to end."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import nats
import nats.errors
import pytest

from tests import components
from tests.system.callout.crowd import Caller, inside, open_sessions
from tests.system.callout.front import Front, front
from tests.system.callout.oidc_provider import AUDIENCE, OidcProvider, new_key
from tests.system.callout.slapd import (
    GROUPS,
    PEOPLE,
    SERVICE,
    SERVICE_PASSWORD,
    Slapd,
    dn_of,
    group,
    group_dn,
    person,
)

pytestmark = pytest.mark.component("nats-server")
SECONDS = 60
SECRET = "a-secret-of-some-length"
POLICY = {
    "version": 1,
    "bindings": [
        {"name": "writers", "match": {"groups": {"any-of": ["writers"]}}, "account": "APP", "role": "writer"},
        {"name": "rest", "match": {"kind": {"one-of": ["person", "service"]}}, "account": "APP", "role": "reader"},
    ],
}  # fmt: skip


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LDAP_PASSWORD", SERVICE_PASSWORD)
    monkeypatch.setenv("TRIGGER_SECRET", SECRET)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Front]:
    with front("real", tmp_path) as found:
        found.run(
            "edit", "signing-key", "-a", "APP", "--sk", "generate", "--role", "writer",
            "--allow-pubsub", "grid.>,_INBOX.>",
        )  # fmt: skip
        found.run("callout", "enable", "--into", "APP")
        found.let_guests_in()
        found.run("callout", "policy", "set", found.write("policy.yaml", POLICY))
        yield found


@pytest.fixture
def corp() -> Iterator[Slapd]:
    components.require("slapd")
    with Slapd() as found:
        found.add(person("ann"), person("bob"))
        found.add(group("writers", dn_of("ann"), dn_of("bob")))
        yield found


def ldap(server: Slapd) -> dict[str, Any]:
    return {
        "name": "corp", "kind": "ldap", "realm": "CORP", "servers": [server.plain],
        "service": {"name": SERVICE, "password": "env:LDAP_PASSWORD"},
        "user_base": PEOPLE, "group_base": GROUPS, "default_realm": True,
        "plain_on_loopback": True, "lockout_threshold": 0,
    }  # fmt: skip


def caller(said: Mapping[str, Any]) -> httpx.AsyncClient:
    """Whoever calls the service that says this of itself."""
    return httpx.AsyncClient(base_url=said["http"], trust_env=False)


async def may_come(made: Front, **who: str) -> bool:
    try:
        client = await nats.connect(made.url, allow_reconnect=False, error_cb=_quiet, **who)
    except nats.errors.Error:
        return False
    await client.close()
    return True


async def _quiet(_: Exception) -> None: ...


async def until(seen: Callable[[], bool], what: str, seconds: float = 25) -> None:
    end = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.1)


def told(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, SECONDS))


def heard(made: Front) -> list[dict[str, Any]]:
    return [each["detail"] for each in made.document("audit", "list", "--code", "trigger.heard")]


def roles(made: Front, name: str) -> list[str]:
    with inside(made) as (wiring, _):
        found = open_sessions(wiring.authority, wiring.operator.id)
        return sorted(each.role for each in found if each.name == name)


FOLLOWED = {"ldap": [{"directory": "corp", "every": 1, "look_again": 5}]}


@pytest.mark.component("slapd")
@pytest.mark.parametrize("shut", ["locked", "deleted"])
def test_who_is_shut_in_the_directory_is_gone_from_the_server(made: Front, corp: Slapd, shut: str) -> None:
    async def story() -> None:
        ann = Caller(made.url, user="ann", password="annpw")
        bob = Caller(made.url, user="bob", password="bobpw")
        async with ann, bob:
            await asyncio.sleep(2.5)  # the follower has begun, and nobody is thrown out
            assert (ann.lost, bob.lost) == (0, 0)
            if shut == "locked":
                await asyncio.to_thread(corp.set, dn_of("ann"), "pwdAccountLockedTime", "000001010000Z")
            else:
                # OpenLDAP tells nobody who was deleted: it is found by looking her up.
                await asyncio.to_thread(corp.delete, dn_of("ann"))
            await until(lambda: bool(ann.lost), "ann to be cut off")
            assert not await may_come(made, user="ann", password="annpw")
            assert (ann.again, bob.lost) == (0, 0)
            if shut == "locked":
                # Nothing of ours stands in the way when the directory lets her in again.
                await asyncio.to_thread(corp.set, dn_of("ann"), "pwdAccountLockedTime")
                await until(lambda: bool(ann.again), "ann to come back by herself")

    with made.serving({"directories": [ldap(corp)], "triggers": FOLLOWED}):
        told(story())
    assert made.document("denials") == []
    reason = "identity.locked" if shut == "locked" else "identity.gone"
    assert {"what": reason, "followed": "ended", "ended": 1}.items() <= heard(made)[0].items()


@pytest.mark.component("slapd")
def test_who_leaves_a_group_comes_back_with_less_and_the_others_stay(made: Front, corp: Slapd) -> None:
    async def story() -> None:
        ann = Caller(made.url, user="ann", password="annpw")
        bob = Caller(made.url, user="bob", password="bobpw")
        async with ann, bob:
            await asyncio.sleep(2.5)
            assert roles(made, "ann") == roles(made, "bob") == ["writer"]
            await asyncio.to_thread(corp.set, group_dn("writers"), "member", dn_of("bob"))
            await until(lambda: bool(ann.again), "ann to come back")
            await until(lambda: roles(made, "ann") == ["reader"], "ann to have less")
            assert bob.lost == 0
            # Who gains stays with what they have, until they come again.
            await asyncio.to_thread(corp.set, group_dn("writers"), "member", dn_of("bob"), dn_of("ann"))
            await asyncio.sleep(3)
            assert (ann.lost, bob.lost) == (1, 0)

    with made.serving({"directories": [ldap(corp)], "triggers": FOLLOWED}):
        told(story())
    assert {"what": "groups changed", "followed": "kicked", "ended": 1}.items() <= heard(made)[0].items()


@pytest.mark.component("node")
def test_who_is_deactivated_in_okta_is_gone_and_kept_out_until_reactivated(made: Front) -> None:
    with OidcProvider(components.require("node"), keys=[new_key("one")]) as provider:
        directory = {
            "name": "okta", "kind": "oidc", "issuer": provider.issuer, "audiences": [AUDIENCE],
            "fetch": {"insecure_loopback": True},
        }  # fmt: skip
        hook = {"okta": [{"name": "corp", "directory": "okta", "secret": "env:TRIGGER_SECRET"}]}
        token = provider.service_token()

        async def story(said: Mapping[str, Any]) -> None:
            async with caller(said) as okta, Caller(made.url, token=token) as guest:
                assert await deliver(okta, "user.lifecycle.deactivate", "somebody-else") == 200
                assert await deliver(okta, "user.lifecycle.deactivate", "svc-app") == 200
                # From the answer on, before any connection is ended.
                assert {each["value"] for each in await asyncio.to_thread(made.document, "denials")} == {
                    "somebody-else", "svc-app",
                }  # fmt: skip
                await until(lambda: bool(guest.lost), "the guest to be cut off")
                await asyncio.sleep(1.0)
                assert not await may_come(made, token=token)
                assert guest.again == 0
                assert await deliver(okta, "user.lifecycle.activate", "svc-app") == 200
                await until(lambda: bool(guest.again), "the guest to come back")

        with made.serving({"directories": [directory], "triggers": hook}) as said:
            told(story(said))
    assert {each["value"] for each in made.document("denials")} == {"somebody-else"}
    assert [each["followed"] for each in heard(made)] == ["lifted", "denied", "denied"]  # newest first


@pytest.mark.component("slapd")
def test_who_is_made_inactive_by_scim_is_gone_and_kept_out_until_active_again(
    made: Front, corp: Slapd
) -> None:
    client = {"name": "corp", "directory": "corp", "token": "env:TRIGGER_SECRET"}
    ann_id = corp.read(dn_of("ann"), "entryUUID")["entryUUID"][0]

    async def story(said: Mapping[str, Any]) -> None:
        ann = Caller(made.url, user="ann", password="annpw")
        async with caller(said) as provider, ann:
            provider.headers["Authorization"] = f"Bearer {SECRET}"
            user = {"userName": "ann", "externalId": ann_id, "active": True}
            answer = await provider.post("/scim/v2/corp/Users", json=user)
            path = f"/scim/v2/corp/Users/{answer.json()['id']}"
            assert (await provider.patch(path, json=active("False"))).status_code == 200
            await until(lambda: bool(ann.lost), "ann to be cut off")
            await asyncio.sleep(1.0)
            assert not await may_come(made, user="ann", password="annpw")
            assert (await provider.patch(path, json=active("True"))).status_code == 200
            await until(lambda: bool(ann.again), "ann to come back")

    with made.serving({"directories": [ldap(corp)], "triggers": {"scim": [client]}}) as said:
        told(story(said))


def test_triggers_do_what_an_earlier_process_left_undone(made: Front, corp: Slapd) -> None:
    """As after a crash between the answer and the cutting: only what is in the store is left."""
    from issuer.authority.hearing import Effect, Hear, Told, hear
    from web.wiring import SERVICE

    ann_id = corp.read(dn_of("ann"), "entryUUID")["entryUUID"][0]

    async def story() -> None:
        async with Caller(made.url, user="ann", password="annpw") as ann:
            with inside(made) as (wiring, _):
                one = Told(
                    notice="n", what="x", effect=Effect.DENY, issuer="ldap:CORP", subjects=(ann_id,), at_ms=1
                )
                wiring.authority.perform(hear, Hear(source="okta:corp", told=(one,)), SERVICE)
            await asyncio.sleep(1)
            assert ann.lost == 0
            with made.serving({"directories": [ldap(corp)], "triggers": {}}):
                await until(lambda: bool(ann.lost), "ann to be cut off")

    with made.serving({"directories": [ldap(corp)]}):
        told(story())


def active(value: str) -> dict[str, Any]:
    return {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "Replace", "path": "active", "value": value}],
    }


async def deliver(okta: httpx.AsyncClient, kind: str, subject: str) -> int:
    published = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    event = {
        "uuid": f"{kind}-{subject}",
        "published": published,
        "eventType": kind,
        "outcome": {"result": "SUCCESS"},
        "actor": {"id": "00uadmin", "type": "User"},
        "target": [{"id": subject, "type": "User", "alternateId": f"{subject}@example.com"}],
    }
    body = {"eventId": f"{kind}-{subject}", "data": {"events": [event]}}
    answer = await okta.post("/api/v1/hooks/okta/corp", json=body, headers={"Authorization": SECRET})
    return answer.status_code
