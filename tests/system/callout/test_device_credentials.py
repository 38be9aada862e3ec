"""Each form of credential, as real clients show it and both servers pass it on, is told apart and proved."""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from callout.directories.certificate_fields import pin_of
from callout.directories.keys import generate
from callout.directories.scrypt import Cost, hash_password
from callout.refusals import Reason
from issuer.grants import Kind
from issuer.keys.nkeys import Role, Seed
from tests.callout.directories.authorities import (
    SERVER,
    Authority,
    key_pem,
    loopback,
    name_of,
    new_key,
    uri,
    written,
)
from tests.system.broker.callout.scene import Which
from tests.system.callout.door import Door, Place, door, place

pytestmark = pytest.mark.component("nats-server")

NOW = int(time.time())
STORY = 30.0
"""Seconds after which whatever hangs is said to hang."""
KEY, STORED = generate("services", now=NOW, subject="scada")
DEVICE, STRANGER = Seed.generate(Role.USER), Seed.generate(Role.USER)
PASSWORD = "short"
HASH = hash_password(PASSWORD, cost=Cost(ln=10, r=1, p=1))
DOCUMENTS: list[dict[str, Any]] = [
    {"name": "services", "kind": "keys", "entries": [{"id": STORED.id, "hash": STORED.hash, "subject": "scada"}]},
    {"name": "mqtt", "kind": "passwords", "default": True, "entries": [{"user": "meter7", "hash": HASH}]},
    {"name": "meters", "kind": "nkeys", "entries": [{"public": DEVICE.public, "name": "meter 9"}]},
]  # fmt: skip


@pytest.fixture(scope="module", params=["real", "ours"])
def which(request: pytest.FixtureRequest) -> Which:
    found: Which = request.param
    return found


@pytest.fixture(scope="module")
def plain(which: Which, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    found = place(which, tmp_path_factory.mktemp("plain"))
    with found.scene, found.server:
        yield found


def at_the(where: Place, story: Callable[[Door], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(STORY), door(where, DOCUMENTS) as found:
            await story(found)

    asyncio.run(run())


# --- keys and passwords ------------------------------------------------------------------------------


def test_an_api_key_as_a_token(plain: Place) -> None:
    async def story(found: Door) -> None:
        login = await found.come(token=KEY)
        assert login.identity is not None
        assert (login.directory, login.identity.subject) == ("services", "scada")
        assert login.request.credentials.address == "127.0.0.1"

    at_the(plain, story)


def test_an_api_key_as_a_password(plain: Place) -> None:
    async def story(found: Door) -> None:
        login = await found.come(user="whatever", password=KEY)
        assert login.identity is not None
        assert (login.directory, login.identity.subject) == ("services", "scada")

    at_the(plain, story)


def test_a_user_and_a_password(plain: Place) -> None:
    async def story(found: Door) -> None:
        for user in ("meter7", "mqtt:meter7"):
            login = await found.come(user=user, password=PASSWORD)
            assert login.identity is not None
            assert (login.directory, login.identity.subject) == ("mqtt", "meter7")

    at_the(plain, story)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"token": KEY[:-1] + ("0" if KEY[-1] != "0" else "1")}, Reason.CREDENTIALS_MALFORMED),
        ({"token": generate("services", now=1)[0]}, Reason.CREDENTIALS_WRONG),
        ({"token": generate("others", now=1)[0]}, Reason.NO_DIRECTORY),
        ({"user": "meter7", "password": "wrong"}, Reason.CREDENTIALS_WRONG),
        ({"user": "nobody", "password": "wrong"}, Reason.CREDENTIALS_WRONG),
        ({"user": "corp:ann", "password": "wrong"}, Reason.NO_DIRECTORY),
        ({}, Reason.NO_CREDENTIALS),
    ],
)
def test_who_is_not_let_in(plain: Place, options: dict[str, str], reason: Reason) -> None:
    async def story(found: Door) -> None:
        assert (await found.come(**options)).reason is reason

    at_the(plain, story)


# --- device keys -------------------------------------------------------------------------------------


def test_a_device_key_and_its_signature_over_the_nonce(plain: Place) -> None:
    async def story(found: Door) -> None:
        login = await found.come(nkeys_seed_str=DEVICE.reveal())
        shown = login.request.credentials
        assert shown.nkey == DEVICE.public
        assert shown.nonce
        assert login.identity is not None
        assert (login.directory, login.identity.name) == ("meters", "meter 9")

    at_the(plain, story)


def test_a_device_key_that_was_never_enrolled(plain: Place) -> None:
    async def story(found: Door) -> None:
        assert (await found.come(nkeys_seed_str=STRANGER.reveal())).reason is Reason.NO_DIRECTORY

    at_the(plain, story)


def test_a_signature_of_another_connection(plain: Place) -> None:
    async def story(found: Door) -> None:
        wire = found.scene
        wire.port = found.port

        def attempt() -> list[str]:
            # Signed for a nonce that this connection was not given.
            stale = base64.urlsafe_b64encode(DEVICE.sign(b"an-earlier-nonc")).rstrip(b"=").decode()
            line = wire.wire(jwt=wire.sentinel_token, nkey=DEVICE.public, sig=stale)
            line.connect()
            return line.until_pong()

        assert "closed" in await asyncio.to_thread(attempt)
        assert found.logins[-1].directory == "meters"
        assert found.logins[-1].reason is Reason.CREDENTIALS_WRONG

    at_the(plain, story)


# --- MQTT --------------------------------------------------------------------------------------------


def test_an_mqtt_user_and_password(plain: Place) -> None:
    async def story(found: Door) -> None:
        login = await found.come_by_mqtt(user="meter7", password=PASSWORD)
        shown = login.request.credentials
        assert (shown.user, shown.password, shown.token) == ("meter7", PASSWORD, PASSWORD)
        assert (shown.connection_type, shown.mqtt_id) == ("mqtt", "meter-client")
        assert login.identity is not None
        assert (login.directory, login.identity.subject) == ("mqtt", "meter7")

    at_the(plain, story)


def test_an_mqtt_device_with_an_api_key_as_its_password(plain: Place) -> None:
    async def story(found: Door) -> None:
        login = await found.come_by_mqtt(user="whatever", password=KEY)
        assert login.identity is not None
        assert (login.directory, login.identity.subject) == ("services", "scada")

    at_the(plain, story)


def test_an_mqtt_device_with_a_wrong_password(plain: Place) -> None:
    async def story(found: Door) -> None:
        login = await found.come_by_mqtt(user="meter7", password="wrong")
        assert (login.directory, login.reason) == ("mqtt", Reason.CREDENTIALS_WRONG)

    at_the(plain, story)


# --- certificates ------------------------------------------------------------------------------------


class Ring:
    """Authorities, the server's certificate, and clients' ones, as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(NOW)
        self.middle = self.authority.intermediate()
        self.other = self.authority.intermediate("another intermediate")
        key = new_key()
        certificate = self.authority.issue(
            subject=name_of("server"), names=(loopback(),), key=key, usages=(SERVER,)
        )
        self.ca = written(folder, "ca.pem", self.authority.certificate)
        self.certificate = written(folder, "server.pem", certificate)
        self.key = folder / "server.key"
        self.key.write_bytes(key_pem(key))

    @property
    def configuration(self) -> str:
        return (
            f'tls {{ cert_file: "{self.certificate}", key_file: "{self.key}", ca_file: "{self.ca}", '
            "verify: true, timeout: 5 }"
        )

    def context(self, by: Authority | None = None, **how: Any) -> ssl.SSLContext:
        """What a client with a new certificate connects with; it shows its intermediate, too."""
        by = by or self.middle
        key = new_key()
        leaf = by.issue(key=key, **how)
        chain = written(self.folder, f"{leaf.serial_number}.pem", leaf, by.certificate)
        keyfile = chain.with_suffix(".key")
        keyfile.write_bytes(key_pem(key))
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_cert_chain(chain, keyfile)
        return context


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Ring:
    return Ring(tmp_path_factory.mktemp("ring"))


@pytest.fixture(scope="module")
def guarded(which: Which, ring: Ring, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    found = place(which, tmp_path_factory.mktemp("guarded"), tls=ring.configuration)
    with found.scene, found.server:
        yield found


def at_the_guarded(
    where: Place, ring: Ring, story: Callable[[Door], Awaitable[None]], **settings: Any
) -> None:
    tls = {"name": "tls", "kind": "certificates", "identity": "spiffe", "trust_domain": "grid.example"}

    async def run() -> None:
        documents = [*DOCUMENTS, {**tls, **settings}]
        async with asyncio.timeout(STORY), door(where, documents, tls=ring.context(ring.other)) as found:
            await story(found)

    asyncio.run(run())


SPIFFE = "spiffe://grid.example/meter/7"


def test_a_client_certificate_by_the_file_of_its_authority(guarded: Place, ring: Ring) -> None:
    async def story(found: Door) -> None:
        login = await found.come(tls=ring.context(names=(uri(SPIFFE),)))
        assert login.identity is not None, login.reason
        assert (login.directory, login.identity.subject) == ("tls", SPIFFE)
        assert (login.identity.kind, login.identity.methods) == (Kind.DEVICE, ("pop",))

    ca_file = written(ring.folder, "middle.pem", ring.middle.certificate)
    at_the_guarded(guarded, ring, story, ca_file=str(ca_file), subject="spiffe")


def test_a_client_certificate_by_the_pin_of_its_authority(guarded: Place, ring: Ring) -> None:
    async def story(found: Door) -> None:
        login = await found.come(tls=ring.context(names=(uri(SPIFFE),)))
        assert len(login.request.credentials.certificates) == 3
        assert login.identity is not None, login.reason
        assert (login.directory, login.identity.name) == ("tls", SPIFFE)

    at_the_guarded(guarded, ring, story, issuers=[pin_of(ring.middle.certificate)])


def test_a_certificate_the_server_trusts_and_nobody_pinned(guarded: Place, ring: Ring) -> None:
    async def story(found: Door) -> None:
        login = await found.come(tls=ring.context(ring.other, names=(uri(SPIFFE),)))
        assert login.request.credentials.certificates
        assert login.reason is Reason.NO_DIRECTORY

    ca_file = written(ring.folder, "middle.pem", ring.middle.certificate)
    at_the_guarded(guarded, ring, story, ca_file=str(ca_file))


def test_a_withdrawn_certificate(guarded: Place, ring: Ring) -> None:
    async def story(found: Door) -> None:
        login = await found.come(tls=ring.context(names=(uri(SPIFFE),), serial=0xBEEF))
        assert (login.directory, login.reason) == ("tls", Reason.WITHDRAWN)

    ca_file = written(ring.folder, "middle.pem", ring.middle.certificate)
    at_the_guarded(guarded, ring, story, ca_file=str(ca_file), withdrawn=["beef"])


def test_what_is_shown_on_purpose_counts_where_certificates_are_asked_of_everybody(
    guarded: Place, ring: Ring
) -> None:
    async def story(found: Door) -> None:
        login = await found.come(tls=ring.context(names=(uri(SPIFFE),)), token=KEY)
        assert login.request.credentials.certificates
        assert login.directory == "services"

    ca_file = written(ring.folder, "middle.pem", ring.middle.certificate)
    at_the_guarded(guarded, ring, story, ca_file=str(ca_file))
