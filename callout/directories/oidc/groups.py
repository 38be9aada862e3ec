"""The groups a token did not tell of, asked for where they are kept (callout spec §3.1).

Okta puts at most 100 groups into a token and does not say that there were more. Its groups API tells
all of them, page by page, to whoever has an API token (SSWS) that may read users.
"""

from __future__ import annotations

import re
from typing import Final, Literal, Protocol
from urllib.parse import urlsplit

import msgspec

from callout.directories.fetching import Fetch
from callout.directories.oidc.claims import Claims
from callout.directories.oidc.settings import OidcSettingsError
from callout.refusals import DirectoryDownError, LoginRefusedError, Reason

_USER_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SSWS: Final = re.compile(r"[A-Za-z0-9_-]{20,200}")
_NOT_FOUND: Final = 404
_LIMIT: Final = 200


class GroupsApi(Protocol):
    """Where the complete list of somebody's groups can be had."""

    async def groups(self, claims: Claims, *, fetch: Fetch, deadline: float) -> tuple[str, ...]:
        """All groups of whom these verified claims are about, sorted, in the words the token has for them.

        Raises:
            LoginRefusedError: nobody is known there by that id.
            DirectoryDownError: it could not be found out, or not in full.
        """


class OktaGroupsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Okta organisation's groups API."""

    url: str
    """The organisation, as "https://example.okta.com"."""
    told_as: Literal["name", "id"] = "name"
    """Which of the two the groups claim holds."""
    max_pages: int = 50
    """Of 200 groups."""

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            usable = bool(parts.scheme in {"https", "http"} and parts.hostname)
        except ValueError:
            usable = False
        if not usable or parts.path not in {"", "/"} or parts.query or parts.fragment:
            raise OidcSettingsError("is not the URL of an organisation", at="url")
        if not 1 <= self.max_pages <= 200:
            raise OidcSettingsError("is not between 1 and 200", at="max_pages")


class _Profile(msgspec.Struct):
    name: str


class _Group(msgspec.Struct):
    id: str
    profile: _Profile


_page: Final = msgspec.json.Decoder(list[_Group])


class OktaGroups:
    """A `GroupsApi` over `GET /api/v1/users/{id}/groups`."""

    def __init__(self, settings: OktaGroupsSettings, *, token: str) -> None:
        """`token` is the API token itself, from a file or a sealed secret.

        Raises:
            OidcSettingsError: it has not the form of one.
        """
        if not _SSWS.fullmatch(token):
            # Before it gets into a header: a fault there would quote it.
            raise OidcSettingsError("is no API token of Okta", at="token")
        self._settings = settings
        self._headers = {"Authorization": f"SSWS {token}"}

    def __repr__(self) -> str:
        return f"OktaGroups({self._settings.url!r})"

    async def groups(self, claims: Claims, *, fetch: Fetch, deadline: float) -> tuple[str, ...]:
        # An access token's `sub` is the login, which may be given to somebody else; `uid` is the id.
        user = claims.get("uid", claims.get("sub"))
        if not isinstance(user, str) or not _USER_ID.fullmatch(user):
            raise LoginRefusedError(
                Reason.GROUPS_INCOMPLETE, "the token has no id that Okta could be asked for"
            )
        base = self._settings.url.rstrip("/")
        url = f"{base}/api/v1/users/{user}/groups?limit={_LIMIT}"
        found: set[str] = set()
        for _ in range(self._settings.max_pages):
            answer = await fetch(url, deadline=deadline, headers=self._headers)
            if answer.status == _NOT_FOUND:
                raise LoginRefusedError(Reason.GROUPS_INCOMPLETE, f"Okta knows no user {user}")
            if not answer.ok:
                raise DirectoryDownError(
                    f"Okta's groups API answered {answer.status}",
                    hint="give the API token the right to read users and groups"
                    if answer.status in {401, 403}
                    else None,
                )
            found.update(self._names(answer.body))
            if not answer.next:
                return tuple(sorted(found))
            url = answer.next
            if not url.startswith(f"{base}/api/"):
                # The token would go with the request.
                raise DirectoryDownError("Okta's groups API continues at another host")
        raise DirectoryDownError(f"more than {self._settings.max_pages} pages of groups")

    def _names(self, body: bytes) -> list[str]:
        try:
            page = _page.decode(body)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise DirectoryDownError("Okta's groups API answered something else than groups") from None
        by_id = self._settings.told_as == "id"
        return [group.id if by_id else group.profile.name for group in page]
