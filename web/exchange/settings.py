"""The `exchange` member of callout.yaml, and the logins it tells clients of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from callout.directories.opening import Configured
from issuer.errors import PeerError

DAY: Final = 86_400
OIDC: Final = "oidc"
OPENID: Final = "openid"


class ExchangeSettingsError(PeerError):
    """A setting of token exchange that cannot be used; `at` names it."""

    code = "settings.exchange"


class DeviceFlow(msgspec.Struct, frozen=True, kw_only=True):
    """A login by device flow (RFC 8628) that `accredit login` may use."""

    directory: str
    """A configured directory of kind `oidc`: its issuer is where people log in."""
    client_id: str
    """Of a public client at that issuer; it has no secret."""
    scopes: tuple[str, ...] = (OPENID,)

    def __post_init__(self) -> None:
        for name, empty in (("directory", not self.directory), ("client_id", not self.client_id)):
            if empty:
                raise ExchangeSettingsError("is empty", at=name)
        if not self.scopes or not all(
            scope and scope.isascii() and scope.isprintable() and not set(scope) & set(' "\\')
            for scope in self.scopes
        ):
            # RFC 6749 §3.3
            raise ExchangeSettingsError("holds what is no scope, or nothing", at="scopes")


class ExchangeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How tokens are exchanged. Times are seconds."""

    enabled: bool = True
    max_lifetime: int = DAY
    """A token that is carried about lives no longer, whatever the policy gives."""
    accounts: tuple[str, ...] | None = None
    """The accounts, by name or key, that a portable token may be for; without it, any the policy gives."""
    challenge: int = 60
    """For how long a challenge is good."""
    patience: float = 10.0
    """For the directory's answer."""
    address_rate: float = 2.0
    """Exchanges a second from one address (of IPv6: one /64), and as many challenges, in the long run."""
    address_burst: int = 40
    token_rate: float = 0.2
    """Exchanges a second of one token, in the long run."""
    token_burst: int = 10
    max_bytes: int = 128 * 1024
    """Of a request."""
    device_flow: tuple[DeviceFlow, ...] = ()

    def __post_init__(self) -> None:
        for name, low, value, high in (
            ("max_lifetime", 5, self.max_lifetime, 366 * DAY),
            ("challenge", 5, self.challenge, 600),
            ("patience", 0.1, self.patience, 60.0),
            ("address_rate", 0.001, self.address_rate, 1e6),
            ("address_burst", 1, self.address_burst, 1_000_000),
            ("token_rate", 0.001, self.token_rate, 1e6),
            ("token_burst", 1, self.token_burst, 1_000_000),
            ("max_bytes", 1024, self.max_bytes, 2 * 1024 * 1024),
        ):
            if not low <= value <= high:
                raise ExchangeSettingsError(f"is {value:g}, not between {low:g} and {high:g}", at=name)
        if self.accounts is not None and not (self.accounts and all(self.accounts)):
            # An empty list must never read as "any".
            raise ExchangeSettingsError("names none", at="accounts", hint="leave it out, or enabled: false")
        names = [flow.directory for flow in self.device_flow]
        if len(set(names)) != len(names):
            raise ExchangeSettingsError("names a directory twice", at="device_flow")


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What a client needs to begin a login by device flow; nothing of it is secret."""

    name: str
    issuer: str
    client_id: str
    scopes: tuple[str, ...]


def sources(
    settings: ExchangeSettings, configured: Sequence[Configured], *, at: str = "/exchange"
) -> tuple[Source, ...]:
    """The logins offered, by the names of their directories.

    Raises:
        ExchangeSettingsError: one is for a directory that is not there, or is no OIDC issuer.
    """
    known = {each.name: each for each in configured}
    found = []
    for number, flow in enumerate(settings.device_flow):
        place = f"{at}/device_flow/{number}/directory"
        directory = known.get(flow.directory)
        if directory is None:
            raise ExchangeSettingsError(
                f"there is no directory {flow.directory!r}",
                at=place,
                hint="known are " + (", ".join(sorted(known)) or "none"),
            )
        issuer = directory.settings.get("issuer")
        if directory.kind != OIDC or not isinstance(issuer, str):
            raise ExchangeSettingsError(f"{flow.directory!r} is no OIDC issuer", at=place)
        found.append(Source(name=flow.directory, issuer=issuer, client_id=flow.client_id, scopes=flow.scopes))
    return tuple(found)
