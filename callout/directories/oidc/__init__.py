"""OpenID Connect: who holds a token of an issuer we trust. One directory for each issuer."""

from callout.directories.oidc.directory import OidcDirectory
from callout.directories.oidc.groups import GroupsApi, OktaGroups, OktaGroupsSettings
from callout.directories.oidc.settings import KeyTimes, OidcSettings, OidcSettingsError, TokenKind

__all__ = [
    "GroupsApi",
    "KeyTimes",
    "OidcDirectory",
    "OidcSettings",
    "OidcSettingsError",
    "OktaGroups",
    "OktaGroupsSettings",
    "TokenKind",
]
