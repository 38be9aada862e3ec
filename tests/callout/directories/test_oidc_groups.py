"""The complete list of groups, from a local server that answers as Okta's groups API does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from callout.directories.fetching import Fetched
from callout.directories.oidc import (
    GroupsApi,
    OidcDirectory,
    OidcSettingsError,
    OktaGroups,
    OktaGroupsSettings,
)
from callout.refusals import DirectoryDownError, LoginRefusedError, Reason
from tests.callout.directories.oidc_world import NOW, Issuer, identified, sign, tell

TOKEN = "00-example-of-an-api-token"
MANY = [f"g{number}" for number in range(100)]


def page(names: list[str], *links: str, status: str = "200 OK", body: bytes | None = None) -> bytes:
    if body is None:
        body = json.dumps(
            [{"id": f"id-{name}", "profile": {"name": name, "x": 1}} for name in names]
        ).encode()
    lines = "".join(f"Link: {link}\r\n" for link in links)
    return f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Okta:
    """Puts the groups API beside an issuer whose address is known only when it is served."""

    def __init__(self, *, told_as: Any = "name", max_pages: int = 50) -> None:
        self.told_as, self.max_pages = told_as, max_pages
        self.url = ""

    async def groups(self, claims: Mapping[str, Any], *, fetch: Any, deadline: float) -> tuple[str, ...]:
        settings = OktaGroupsSettings(url=self.url, told_as=self.told_as, max_pages=self.max_pages)
        api: GroupsApi = OktaGroups(settings, token=TOKEN)
        return await api.groups(claims, fetch=fetch, deadline=deadline)


def groups_told(answers: Any, okta: Okta | None = None, **claims: Any) -> tuple[tuple[str, ...], Issuer]:
    """The groups of an identity, where `answers(url)` gives the answers by path."""
    api = okta or Okta()
    found: list[tuple[str, ...]] = []
    asked: list[Issuer] = []

    async def story(issuer: Issuer, directory: OidcDirectory) -> None:
        api.url = issuer.url
        issuer.answers = answers(issuer.url)
        asked.append(issuer)
        found.append((await identified(directory, sign(issuer.claims(groups=MANY, **claims)))).groups)

    tell(story, groups_api=api)
    return found[0], asked[0]


FIRST = "/api/v1/users/alice/groups?limit=200"


def test_a_cut_list_is_completed_page_by_page() -> None:
    def answers(url: str) -> dict[str, bytes]:
        return {
            FIRST: page(
                ["b", "a"],
                f'<{url}{FIRST}>; rel="self"',
                f'<{url}/api/v1/more?after=x&limit=200>; rel="next"',
            ),
            "/api/v1/more?after=x&limit=200": page(["c", "a"], f'<{url}/api/v1/more?after=x>; rel="self"'),
        }

    found, issuer = groups_told(answers)
    assert found == ("a", "b", "c")
    assert all(f"Authorization: SSWS {TOKEN}".encode() in request for request in issuer.requests[-2:])
    assert all(b"SSWS" not in request for request in issuer.requests[:-2])


def test_groups_can_be_told_by_id() -> None:
    found, _ = groups_told(lambda url: {FIRST: page(["b", "a"])}, Okta(told_as="id"))
    assert found == ("id-a", "id-b")


def test_of_an_access_token_the_id_is_asked_for_and_not_the_login() -> None:
    found, _ = groups_told(
        lambda url: {"/api/v1/users/00u1/groups?limit=200": page(["a"])}, uid="00u1", sub="alice@example.test"
    )
    assert found == ("a",)


def test_a_complete_list_is_not_asked_for() -> None:
    async def story(issuer: Issuer, directory: OidcDirectory) -> None:
        asked = len(issuer.asked)
        assert (await identified(directory, sign(issuer.claims(groups=MANY[1:])))).groups == tuple(
            sorted(MANY[1:])
        )
        assert len(issuer.asked) == asked

    tell(story, groups_api=Okta())


def test_groups_that_entra_keeps_elsewhere_are_asked_for_too() -> None:
    async def story(issuer: Issuer, directory: OidcDirectory) -> None:
        with pytest.raises(LoginRefusedError) as refused:
            await identified(directory, sign(issuer.claims(_claim_names={"groups": "src1"})))
        assert refused.value.reason is Reason.GROUPS_INCOMPLETE

    tell(story)


@pytest.mark.parametrize("status", ["401 No", "403 No", "429 Slow", "500 Oh", "503 Busy"])
def test_a_groups_api_that_does_not_answer_is_a_directory_that_is_down(status: str) -> None:
    with pytest.raises(DirectoryDownError) as down:
        groups_told(lambda url: {FIRST: page([], status=status)})
    assert TOKEN not in str(down.value)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'[{"id": 1}]', b'["a"]', b"[" * 1000, b"\xff", b'[{"id": "x"}]']
)
def test_an_answer_that_is_no_groups(body: bytes) -> None:
    with pytest.raises(DirectoryDownError):
        groups_told(lambda url: {FIRST: page([], body=body)})


def test_somebody_okta_does_not_know_is_refused() -> None:
    with pytest.raises(LoginRefusedError) as refused:
        groups_told(lambda url: {FIRST: page([], status="404 Not Found")})
    assert refused.value.reason is Reason.GROUPS_INCOMPLETE


@pytest.mark.parametrize(
    "there", ["https://evil.test/api/v1/x", "http://127.0.0.1.evil.test/api/", "/api/v1/x", "x"]
)
def test_the_api_token_goes_to_no_other_host(there: str) -> None:
    with pytest.raises(DirectoryDownError, match="another host"):
        groups_told(lambda url: {FIRST: page(["a"], f'<{there}>; rel="next"')})


def test_pages_that_do_not_end_are_not_followed_for_ever() -> None:
    with pytest.raises(DirectoryDownError, match="3 pages"):
        groups_told(lambda url: {FIRST: page(["a"], f'<{url}{FIRST}>; rel="next"')}, Okta(max_pages=3))


@pytest.mark.parametrize("user", ["../../x", "a/b", "a?b", "alice@example.test", "a b", "%2e", "x" * 65])
def test_an_id_that_would_lead_elsewhere_is_not_asked_for(user: str) -> None:
    with pytest.raises(LoginRefusedError) as refused:
        groups_told(lambda url: {}, sub=user)
    assert refused.value.reason is Reason.GROUPS_INCOMPLETE


def test_a_groups_api_that_hangs_ends_with_the_login() -> None:
    import asyncio

    api = Okta()

    async def story(issuer: Issuer, directory: OidcDirectory) -> None:
        api.url = issuer.url
        token = sign(issuer.claims(groups=MANY))
        await identified(directory, sign(issuer.claims()))
        issuer.hang = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 0.3
        with pytest.raises(DirectoryDownError):
            await directory.verify(token, now=NOW, deadline=deadline)
        assert loop.time() < deadline + 1  # it does not hang; a loaded machine may be late

    tell(story, groups_api=api)


@pytest.mark.parametrize(
    "token", ["", "short", "with space in between them", "x" * 30 + "\r\nX: y", "é" * 30]
)
def test_what_is_no_api_token(token: str) -> None:
    with pytest.raises(OidcSettingsError) as refused:
        OktaGroups(OktaGroupsSettings(url="https://example.okta.com"), token=token)
    assert not token or token not in str(refused.value)


def test_an_api_token_does_not_show_itself() -> None:
    assert TOKEN not in repr(OktaGroups(OktaGroupsSettings(url="https://example.okta.com"), token=TOKEN))


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": ""},
        {"url": "example.okta.com"},
        {"url": "https://example.okta.com/oauth2"},
        {"url": "https://[x"},
        {"url": "https://example.okta.com", "max_pages": 0},
        {"url": "ftp://example.okta.com"},
    ],
)
def test_settings_that_cannot_be_meant(wrong: dict[str, Any]) -> None:
    with pytest.raises(OidcSettingsError):
        OktaGroupsSettings(**wrong)


def test_what_is_fetched_is_a_value() -> None:
    assert Fetched(status=200).ok
    assert not Fetched(status=204).ok
