"""The `triggers` member of callout.yaml: who may tell us of people, and what is looked after by itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from callout.directories.opening import NAME, Configured
from callout.directories.secrets import Secret
from callout.refusals import Reason
from issuer.errors import PeerError

MIN_SECRET: Final = 16
"""Characters. What is told with it can keep everybody out."""
DAY: Final = 86_400
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_OKTA_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class TriggerSettingsError(PeerError):
    """A setting of a trigger that cannot be used; `at` names it."""

    code = "settings.triggers"


class OktaSubject(StrEnum):
    """Which member of a target is the subject of identities."""

    ID = "id"
    """`sub` of ID tokens, `uid` of access tokens."""
    LOGIN = "alternateId"
    """`sub` of access tokens of a custom authorization server."""


class AfterGroups(StrEnum):
    """What happens to whoever has lost permissions with a group."""

    PROVE_AGAIN = "prove-again"
    RECONNECT = "reconnect"
    """Kicked only. A token from before still tells the old groups, until it ends."""


class OktaHook(msgspec.Struct, frozen=True, kw_only=True):
    """An event hook of one Okta organisation."""

    name: str
    """In its address, `/api/v1/hooks/okta/NAME`."""
    directory: str
    """The configured directory (kind `oidc`) whose people it tells of."""
    secret: Secret
    header: str = "Authorization"
    previous_secret: Secret | None = None
    """Taken as well, while the secret is being changed."""
    subjects: tuple[OktaSubject, ...] = (OktaSubject.ID,)
    """Whoever is meant is kept out as each of them."""
    applications: tuple[str, ...] = ()
    """Ids of applications (`0oa…`): who loses one of them is kept out."""
    ignore: tuple[str, ...] = ()
    """Types of events that are passed over."""
    after_groups: AfterGroups = AfterGroups.PROVE_AGAIN
    proofs_last: int = 7 * DAY
    """Seconds after which nothing is left of any proof, so that it need not be kept out any more."""
    max_bytes: int = 1024 * 1024

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_secret(self.secret, "secret")
        if self.previous_secret is not None:
            _check_secret(self.previous_secret, "previous_secret")
        if not _HEADER.fullmatch(self.header):
            raise TriggerSettingsError("is no name of a header", at="header")
        if not self.subjects or len(set(self.subjects)) != len(self.subjects):
            raise TriggerSettingsError("names nothing, or something twice", at="subjects")
        if not all(_OKTA_ID.fullmatch(each) for each in self.applications):
            raise TriggerSettingsError("holds what is no id of Okta", at="applications")
        _check_span("proofs_last", 3600, self.proofs_last, 366 * DAY)
        _check_span("max_bytes", 1024, self.max_bytes, 16 * 1024 * 1024)

    @property
    def source(self) -> str:
        """In denials and events."""
        return f"okta:{self.name}"


class ScimSubject(StrEnum):
    """Which attribute of a SCIM user is the subject of identities."""

    EXTERNAL_ID = "externalId"
    USER_NAME = "userName"


class ScimClient(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who provisions people by SCIM 2.0, as Okta or Entra."""

    name: str
    """In its address, `/scim/v2/NAME`."""
    directory: str
    """The configured directory whose people it tells of."""
    token: Secret
    previous_token: Secret | None = None
    subject: ScimSubject = ScimSubject.EXTERNAL_ID
    max_bytes: int = 256 * 1024
    """Of a request."""
    page: int = 200
    """Users in one answer, at the most."""

    def __post_init__(self) -> None:
        _check_name(self.name)
        _check_secret(self.token, "token")
        if self.previous_token is not None:
            _check_secret(self.previous_token, "previous_token")
        _check_span("max_bytes", 1024, self.max_bytes, 16 * 1024 * 1024)
        _check_span("page", 1, self.page, 1000)

    @property
    def source(self) -> str:
        return f"scim:{self.name}"


ENDING: Final = (
    Reason.GONE,
    Reason.DISABLED,
    Reason.EXPIRED,
    Reason.LOCKED,
    Reason.PASSWORD_EXPIRED,
)
"""What a directory says of somebody that ends their sessions, unless it is to be kept."""


class LdapFollowed(msgspec.Struct, frozen=True, kw_only=True):
    """A directory of kind `ldap` that is asked for what has changed. Times are seconds."""

    directory: str
    every: int = 5
    look_again: int = 300
    """Whoever has sessions is looked up at least so often, whatever the directory tells of changes."""
    keep: tuple[Reason, ...] = (Reason.PASSWORD_EXPIRED,)
    """Reasons for which logins are refused and sessions go on."""
    patience: float = 10.0
    """For one question."""

    def __post_init__(self) -> None:
        _check_span("every", 1, self.every, 3600)
        _check_span("look_again", self.every, self.look_again, DAY)
        _check_span("patience", 1, self.patience, 60)
        strange = sorted(set(self.keep) - set(ENDING))
        if strange:
            raise TriggerSettingsError(
                f"cannot be kept: {', '.join(strange)}",
                at="keep",
                hint="choose among " + ", ".join(ENDING),
            )


class TriggerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All of them; without a member nothing of its kind is done."""

    okta: tuple[OktaHook, ...] = ()
    scim: tuple[ScimClient, ...] = ()
    ldap: tuple[LdapFollowed, ...] = ()
    reevaluate_on_policy_change: bool = False

    def __post_init__(self) -> None:
        for member, names in (
            ("okta", [each.name for each in self.okta]),
            ("scim", [each.name for each in self.scim]),
            ("ldap", [each.directory for each in self.ldap]),
        ):
            if len(set(names)) != len(names):
                raise TriggerSettingsError("names one twice", at=member)


def issuer_of(configured: Sequence[Configured], name: str, *, at: str) -> str:
    """What identities of a configured directory have for their issuer.

    Raises:
        TriggerSettingsError: there is no such directory, or it is of a kind nobody can tell us of.
    """
    directory = directory_of(configured, name, at=at)
    issuer, realm = directory.settings.get("issuer"), directory.settings.get("realm")
    if directory.kind == "oidc" and isinstance(issuer, str):
        return issuer
    if directory.kind == "ldap" and isinstance(realm, str):
        return f"ldap:{realm}"
    raise TriggerSettingsError(f"{name!r} is of kind {directory.kind}, not oidc or ldap", at=at)


def directory_of(configured: Sequence[Configured], name: str, *, at: str, kind: str = "") -> Configured:
    """A configured directory by its name.

    Raises:
        TriggerSettingsError: there is none, or it is of another kind.
    """
    found = next((each for each in configured if each.name == name), None)
    if found is None:
        names = ", ".join(sorted(each.name for each in configured)) or "none"
        raise TriggerSettingsError(f"there is no directory {name!r}", at=at, hint=f"known are {names}")
    if kind and found.kind != kind:
        raise TriggerSettingsError(f"{name!r} is of kind {found.kind}, not {kind}", at=at)
    return found


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise TriggerSettingsError("is no plain name", at="name", hint="use letters, digits and dashes")


def _check_secret(secret: Secret, at: str) -> None:
    if len(secret.reveal()) < MIN_SECRET:
        raise TriggerSettingsError(f"has fewer than {MIN_SECRET} characters", at=at)


def _check_span(name: str, low: float, value: float, high: float) -> None:
    if not low <= value <= high:
        raise TriggerSettingsError(f"is {value:g}, not between {low:g} and {high:g}", at=name)
