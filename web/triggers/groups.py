"""The groups somebody is in now, asked of Okta itself, where its directory has a token for that."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from callout.directories.fetching import Fetcher
from callout.directories.oidc import OidcSettings, OktaGroups, OktaGroupsSettings
from callout.directories.opening import Configured
from callout.directories.reading import child, read_settings
from callout.directories.secrets import Secret
from callout.refusals import DirectoryDownError

PATIENCE: Final = 10.0


class GroupsNow(Protocol):
    """Whom groups can be asked of."""

    async def groups_of(self, subject: str) -> frozenset[str]:
        """In the words that the groups claim has for them.

        Raises:
            LoginRefusedError: nobody is known there by that id.
            DirectoryDownError: it could not be found out.
        """


class OktaGroupsNow:
    """Okta's groups API, with the settings of a configured directory."""

    def __init__(self, groups: OktaGroups, settings: OidcSettings) -> None:
        self._groups = groups
        self._settings = settings

    async def groups_of(self, subject: str) -> frozenset[str]:
        # Made for each question: they are rare, and an address is looked up anew.
        fetcher = Fetcher(self._settings.fetch, source=self._settings.name)
        try:
            deadline = asyncio.get_running_loop().time() + PATIENCE
            async with asyncio.timeout_at(deadline):
                found = await self._groups.groups({"uid": subject}, fetch=fetcher.get, deadline=deadline)
        except TimeoutError:
            raise DirectoryDownError("Okta did not tell the groups in time") from None
        finally:
            await fetcher.close()
        return frozenset(found)


class _WithToken(OktaGroupsSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    token: Secret


def okta_groups_now(configured: Configured) -> OktaGroupsNow | None:
    """Of a directory of kind `oidc`; None where it has no `okta_groups`.

    Raises:
        AccreditError: its settings cannot be used.
    """
    document = configured.settings.get("okta_groups")
    if document is None:
        return None
    own = {name: value for name, value in configured.settings.items() if name != "okta_groups"}
    settings = read_settings(own, OidcSettings, at=configured.at)
    found = read_settings(document, _WithToken, at=child(configured.at, "okta_groups"))
    return OktaGroupsNow(OktaGroups(found, token=found.token.reveal()), settings)
