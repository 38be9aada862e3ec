"""Logins with tokens of a real identity provider, the npm package oidc-provider."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from callout.directories import Credentials, Directory
from callout.directories.fetching import FetchSettings
from callout.directories.oidc import KeyTimes, OidcDirectory, OidcSettings, TokenKind
from callout.directories.oidc.provider import IssuerMismatchError
from callout.refusals import DirectoryDownError, LoginRefusedError, Reason
from issuer.grants import Identity, Kind
from tests import components
from tests.system.callout.oidc_provider import AUDIENCE, OidcProvider, new_key

if TYPE_CHECKING:
    from collections.abc import Iterator

ONE, TWO = new_key("one"), new_key("two")


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    with OidcProvider(components.require("node"), keys=[ONE], groups_in_access_tokens=True) as started:
        yield started


def settings_of(provider: OidcProvider, **more: Any) -> OidcSettings:
    return OidcSettings(
        name="idp",
        issuer=provider.issuer,
        audiences=(AUDIENCE, "console"),
        fetch=FetchSettings(insecure_loopback=True),
        **more,
    )


async def ask(directory: OidcDirectory, token: str, *, later: float = 0.0, patience: float = 5.0) -> Identity:
    loop = asyncio.get_running_loop()
    credentials = Credentials(token=token)
    assert directory.claims(credentials)
    return await directory.identify(credentials, now=time.time() + later, deadline=loop.time() + patience)


def identity_for(token: str, settings: OidcSettings) -> Identity:
    async def story() -> Identity:
        directory: Directory = OidcDirectory(settings)
        assert isinstance(directory, OidcDirectory)
        await directory.start()
        try:
            return await ask(directory, token)
        finally:
            await directory.close()

    return asyncio.run(story())


def test_a_service_is_known_by_its_access_token(provider: OidcProvider) -> None:
    found = identity_for(provider.service_token(), settings_of(provider, attributes=("scope", "client_id")))
    assert (found.issuer, found.subject, found.kind) == (provider.issuer, "svc-app", Kind.SERVICE)
    assert found.attributes == {"scope": ("nats.connect",), "client_id": "svc-app"}
    assert found.expires_at is not None
    assert 200 < found.expires_at - time.time() <= 300


def test_a_person_is_known_by_her_id_token(provider: OidcProvider) -> None:
    answer = provider.log_in("alice")
    found = identity_for(answer["id_token"], settings_of(provider, attributes=("email",)))
    assert (found.subject, found.kind, found.name) == ("alice", Kind.PERSON, "Alice A.")
    assert found.groups == ("Everyone", "grid-operators")
    assert found.attributes == {"email": "alice@example.test"}
    assert found.authenticated_at is not None
    assert abs(found.authenticated_at - time.time()) < 60


def test_a_person_is_known_by_her_access_token(provider: OidcProvider) -> None:
    answer = provider.log_in("alice")
    found = identity_for(answer["access_token"], settings_of(provider, clients=("console",)))
    assert (found.subject, found.kind, found.groups) == ("alice", Kind.PERSON, ("Everyone", "grid-operators"))


def test_of_a_token_endpoints_answer_the_kind_that_is_taken_is_chosen(provider: OidcProvider) -> None:
    import json

    answer = json.dumps(provider.log_in("alice"))
    by_id = identity_for(answer, settings_of(provider, kinds=(TokenKind.ID, TokenKind.ACCESS)))
    by_access = identity_for(answer, settings_of(provider, kinds=(TokenKind.ACCESS,)))
    assert by_id.name == "Alice A."
    assert by_access.name == "alice"
    assert by_id.credential != by_access.credential


def test_our_own_login_is_bound_to_its_nonce(provider: OidcProvider) -> None:
    async def story() -> None:
        token = provider.log_in("alice", nonce="of-this-login")["id_token"]
        directory = OidcDirectory(settings_of(provider))
        await directory.start()
        end = asyncio.get_running_loop().time() + 5
        found = await directory.verify(token, now=time.time(), deadline=end, nonce="of-this-login")
        assert found.subject == "alice"
        with pytest.raises(LoginRefusedError) as refused:
            await directory.verify(token, now=time.time(), deadline=end, nonce="of-another")
        assert refused.value.reason is Reason.CREDENTIALS_WRONG
        await directory.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("user", "client", "field", "more", "reason"),
    [
        ("alice", "other", "id_token", {}, Reason.AUDIENCE),
        ("alice", "other", "access_token", {"clients": ("console",)}, Reason.PARTY),
        ("alice", "console", "access_token", {"kinds": (TokenKind.ID,)}, Reason.TOKEN_KIND),
        ("alice", "console", "id_token", {"kinds": (TokenKind.ACCESS,)}, Reason.TOKEN_KIND),
        ("alice", "console", "id_token", {"algorithms": ("ES256",)}, Reason.ALGORITHM),
        ("alice", "console", "access_token", {"max_lifetime": 299}, Reason.CREDENTIALS_TOO_LONG_LIVED),
        ("omar", "console", "id_token", {}, Reason.GROUPS_INCOMPLETE),
    ],
)
def test_a_good_token_that_is_not_for_here(
    provider: OidcProvider, user: str, client: str, field: str, more: dict[str, Any], reason: Reason
) -> None:
    token = provider.log_in(user, client=client)[field]
    with pytest.raises(LoginRefusedError) as refused:
        identity_for(token, settings_of(provider, **more))
    assert refused.value.reason is reason


def test_an_expired_token_of_a_real_issuer(provider: OidcProvider) -> None:
    async def story() -> None:
        directory = OidcDirectory(settings_of(provider))
        await directory.start()
        token = provider.service_token()
        await ask(directory, token)
        # The second time its signature is remembered, and its time judged all the same.
        with pytest.raises(LoginRefusedError) as refused:
            await ask(directory, token, later=300.5)
        assert refused.value.reason is Reason.CREDENTIALS_EXPIRED
        await directory.close()

    asyncio.run(story())


@pytest.mark.parametrize("algorithm", ["ES256", "PS256"])
def test_other_algorithms_of_a_real_issuer(algorithm: str) -> None:
    from joserfc.jwk import ECKey

    key = ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"}) if algorithm == "ES256" else ONE
    with OidcProvider(components.require("node"), keys=[key], algorithm=algorithm) as provider:
        assert identity_for(provider.service_token(), settings_of(provider)).subject == "svc-app"
        assert identity_for(provider.log_in("alice")["id_token"], settings_of(provider)).subject == "alice"


def test_an_issuer_changes_its_keys() -> None:
    """Announced first, then used, then the old one withdrawn: nobody is locked out, nothing outlives it."""

    async def story(provider: OidcProvider) -> None:
        pause = KeyTimes(fresh=60, least_fresh=60, pause_unknown=30)
        directory = OidcDirectory(settings_of(provider, keys=pause))
        await directory.start()
        old = provider.service_token()
        assert (await ask(directory, old)).subject == "svc-app"

        provider.restart(keys=[TWO, ONE])  # signs with the first, publishes both
        new = provider.service_token()
        with pytest.raises(LoginRefusedError) as refused:
            await ask(directory, new, later=10)
        assert refused.value.reason is Reason.UNKNOWN_KEY  # asked less than a pause ago
        assert (await ask(directory, new, later=31)).subject == "svc-app"
        assert (await ask(directory, old, later=31)).subject == "svc-app"

        provider.restart(keys=[TWO])
        assert (await ask(directory, old, later=32)).subject == "svc-app"  # not heard of yet
        with pytest.raises(LoginRefusedError) as refused:
            await ask(directory, old, later=100)
        assert refused.value.reason is Reason.UNKNOWN_KEY
        assert (await ask(directory, new, later=100)).subject == "svc-app"
        await directory.close()

    with OidcProvider(components.require("node"), keys=[ONE]) as provider:
        asyncio.run(story(provider))


def test_an_issuer_that_is_down() -> None:
    async def story(provider: OidcProvider) -> None:
        short = KeyTimes(fresh=60, least_fresh=60, most_fresh=60, stale=200)
        known, unknown = (OidcDirectory(settings_of(provider, keys=short)) for _ in range(2))
        await known.start()
        token = provider.service_token()
        provider.stop()
        await unknown.start()  # disabled for nobody
        assert unknown.fault is not None
        with pytest.raises(DirectoryDownError):
            await ask(unknown, token)
        assert (await ask(known, token, later=100)).subject == "svc-app"
        assert known.fault is not None
        with pytest.raises(DirectoryDownError):
            await ask(known, token, later=201)
        provider.start()
        assert (await ask(known, token, later=210)).subject == "svc-app"
        assert (await ask(unknown, token, later=210)).subject == "svc-app"
        assert [directory.fault for directory in (known, unknown)] == [None, None]
        await known.close()
        await unknown.close()

    with OidcProvider(components.require("node"), keys=[ONE]) as provider:
        asyncio.run(story(provider))


def test_an_issuer_that_calls_itself_otherwise() -> None:
    async def story(provider: OidcProvider) -> None:
        directory = OidcDirectory(settings_of(provider))
        with pytest.raises(IssuerMismatchError, match=r"http://elsewhere\.test"):
            await directory.start()

    with OidcProvider(
        components.require("node"), keys=[ONE], calls_itself="http://elsewhere.test"
    ) as provider:
        asyncio.run(story(provider))
