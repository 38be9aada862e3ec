"""What is configured of one issuer; refused at once where it could not be meant."""

from __future__ import annotations

from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

import msgspec

from callout.directories.fetching import FetchSettings
from callout.directories.jwks import ALGORITHMS
from issuer.errors import PeerError

DAY: Final = 86_400
MAX_LEEWAY: Final = 60
"""Seconds; more would be a policy, not a clock's error (callout spec §3.3)."""
MAX_LIFETIME: Final = 31 * DAY
MAX_TOKEN_BYTES: Final = 1024 * 1024


class OidcSettingsError(PeerError):
    """A setting of an issuer that cannot be used; `at` names it."""

    code = "settings.oidc"


class TokenKind(StrEnum):
    """What a token is for: it tells a client who logged in, or an API what its bearer may do."""

    ID = "id"
    ACCESS = "access"


class KeyTimes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long published keys are believed, and how often they are asked for. All in seconds."""

    fresh: int = 900
    """Where the issuer does not say."""
    least_fresh: int = 60
    """Although the issuer says less: Okta says `no-cache` shortly before a change of keys."""
    most_fresh: int = 3600
    """Although the issuer says more: so long a key withdrawn in an emergency may go on."""
    stale: int = DAY
    """Since the last answer, while the issuer does not answer; then nothing is believed."""
    pause_unknown: int = 30
    """Between two questions because of a `kid` nobody knows; whoever sends such must not be an engine
    that empties our allowance at the issuer (Okta counts requests for keys, too)."""
    pause_failure: int = 5
    """After a question that failed."""
    patience: float = 1.0
    """How long a login waits for fresh keys while stale ones would do."""

    def __post_init__(self) -> None:
        if not 1 <= self.least_fresh <= self.fresh <= self.most_fresh <= self.stale <= 7 * DAY:
            raise OidcSettingsError(
                "must be ordered: 1 <= least_fresh <= fresh <= most_fresh <= stale <= 7 days", at="keys"
            )
        if self.pause_unknown < 1 or self.pause_failure < 1 or not 0 < self.patience <= 60:
            raise OidcSettingsError("pauses are at least 1 s, patience between 0 and 60 s", at="keys")


class OidcSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One issuer."""

    name: str
    """Of the directory."""
    issuer: str
    """Exactly as in the tokens, down to a slash at its end."""
    audiences: tuple[str, ...]
    """Ours: a token must be for one of them."""
    clients: tuple[str, ...] = ()
    """The parties (`azp`, `cid`, `client_id`, `appid`) that may bring a token; empty is any, but then no
    token that is for others, too."""
    kinds: tuple[TokenKind, ...] = (TokenKind.ID, TokenKind.ACCESS)
    algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256", "EdDSA")
    leeway: int = 30
    """Seconds by which the issuer's clock may be ahead of ours; never added to an expiry."""
    max_lifetime: int = DAY
    """Seconds from `iat` to `exp`, and from now to `exp`."""

    subject_claim: str = "sub"
    """Entra: `oid`, which is the same for all applications."""
    name_claim: str = "preferred_username"
    """For people to read; the subject where there is none."""
    groups_claim: str = "groups"
    """A claim, or a JSON pointer to one inside another, as "/realm_access/roles"; empty: none is read."""
    groups_required: bool = False
    """Whether a token without that claim is refused; else it has no groups."""
    groups_cut_at: int = 100
    """A list of so many groups is taken for one that was cut there, as Okta does without telling; 0 for
    an issuer that never cuts."""
    attributes: tuple[str, ...] = ()
    """The claims that policies may look at."""

    max_token_bytes: int = 64 * 1024
    max_header_bytes: int = 16 * 1024
    """Of the encoded header, which may hold a certificate chain."""
    remembered: int = 4096
    """Tokens whose signature need not be checked again while the keys are the same; 0 is none."""
    hosts: tuple[str, ...] = ()
    """Hosts besides the issuer's own where its keys may lie, as "www.googleapis.com"."""
    keys: KeyTimes = KeyTimes()
    fetch: FetchSettings = FetchSettings()

    def __post_init__(self) -> None:
        for fault, field in (
            (not self.name, "name"),
            (not self.audiences or not all(self.audiences), "audiences"),
            (not all(self.clients), "clients"),
            (not self.kinds, "kinds"),
            (not self.subject_claim, "subject_claim"),
            (not all(self.attributes), "attributes"),
        ):
            if fault:
                # Nothing to check means no: an empty list must never read as "anything".
                raise OidcSettingsError("is empty, or holds something empty", at=field)
        strange = sorted(set(self.algorithms) - ALGORITHMS)
        if strange or not self.algorithms:
            raise OidcSettingsError(
                f"cannot be used: {', '.join(strange) or 'none named'}",
                at="algorithms",
                hint="choose among " + ", ".join(sorted(ALGORITHMS)),
            )
        for low, value, high, field in (
            (0, self.leeway, MAX_LEEWAY, "leeway"),
            (1, self.max_lifetime, MAX_LIFETIME, "max_lifetime"),
            (0, self.groups_cut_at, 1_000_000, "groups_cut_at"),
            (256, self.max_token_bytes, MAX_TOKEN_BYTES, "max_token_bytes"),
            (64, self.max_header_bytes, self.max_token_bytes, "max_header_bytes"),
            (0, self.remembered, 1_000_000, "remembered"),
        ):
            if not low <= value <= high:
                raise OidcSettingsError(f"is {value}, not between {low} and {high}", at=field)
        self._check_issuer()

    def _check_issuer(self) -> None:
        try:
            parts = urlsplit(self.issuer)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise OidcSettingsError("is no URL", at="issuer") from None
        secure = parts.scheme == "https" or (parts.scheme == "http" and self.fetch.insecure_loopback)
        if not secure or not host or parts.username is not None:
            raise OidcSettingsError("is not an https URL with a host", at="issuer")
        if "?" in self.issuer or "#" in self.issuer:
            # OpenID Connect Discovery §3
            raise OidcSettingsError("has a query or fragment, which an issuer cannot have", at="issuer")
