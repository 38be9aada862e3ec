"""User claims, and the template that a scoped signing key imposes (claims spec §3.5, §3.6)."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from issuer.claims.fields import (
    UNLIMITED,
    VERSION,
    Envelope,
    Permission,
    ResponsePermission,
    TimeRange,
    split_networks,
)
from issuer.claims.wire import Claim, Int64
from issuer.keys.nkeys import PublicKey, Role
from issuer.subjects import Subject


class UserBody(Claim, frozen=True, kw_only=True):
    """The `nats` object of a user token. An absent limit is 0, which means none, not unlimited."""

    __wire_reform__ = staticmethod(split_networks)

    pub: Permission = msgspec.field(default_factory=Permission)
    sub: Permission = msgspec.field(default_factory=Permission)
    resp: ResponsePermission | None = None
    src: tuple[str, ...] = ()
    times: tuple[TimeRange, ...] = ()
    times_location: str = ""
    subs: Int64 = 0
    data: Int64 = 0
    payload: Int64 = 0
    bearer_token: bool = False
    proxy_required: bool = False
    allowed_connection_types: tuple[str, ...] = ()
    issuer_account: str = ""
    tags: tuple[str, ...] = ()
    type: str = ""
    version: Int64 = 0

    def unrestricted_by_itself(self) -> bool:
        """Whether it carries nothing of its own, as a user of a scoped key must (§3.6)."""
        return (
            self.pub.empty()
            and self.sub.empty()
            and self.resp is None
            and not (self.src or self.times or self.times_location)
            and not (self.subs or self.data or self.payload)
            and not (self.bearer_token or self.proxy_required or self.allowed_connection_types)
        )


class UserClaims(Envelope, frozen=True, kw_only=True):
    """Who may connect, and what they may do there."""

    kind: ClassVar[str] = "user"
    issuers: ClassVar[tuple[Role, ...]] = (Role.ACCOUNT,)
    subjects: ClassVar[tuple[Role, ...]] = (Role.USER,)

    nats: UserBody = msgspec.field(default_factory=UserBody)

    @property
    def account(self) -> str:
        """The account it claims to belong to; a claim only, to be proven by the chain."""
        return self.nats.issuer_account or self.iss


class UserTemplate(Claim, frozen=True, kw_only=True):
    """Permissions and limits of a role. An absent limit is unlimited, contrary to `UserBody`.

    NOTE: Go drops an explicit 0 on its next write, so a role cannot forbid by a limit of zero
    (claims spec §3.6); absent and zero are therefore told apart here, and only here.
    """

    __wire_reform__ = staticmethod(split_networks)

    pub: Permission = msgspec.field(default_factory=Permission)
    sub: Permission = msgspec.field(default_factory=Permission)
    resp: ResponsePermission | None = None
    src: tuple[str, ...] = ()
    times: tuple[TimeRange, ...] = ()
    times_location: str = ""
    subs: Int64 | UnsetType = UNSET
    data: Int64 | UnsetType = UNSET
    payload: Int64 | UnsetType = UNSET
    bearer_token: bool = False
    proxy_required: bool = False
    allowed_connection_types: tuple[str, ...] = ()


def new_user(subject: PublicKey, name: str, *, account: PublicKey | None = None) -> UserClaims:
    """A user without limits; `account` is needed when a signing key, not the identity, will sign."""
    body = UserBody(
        subs=UNLIMITED,
        data=UNLIMITED,
        payload=UNLIMITED,
        issuer_account=account or "",
        type=UserClaims.kind,
        version=VERSION,
    )
    return UserClaims(sub=subject, name=name, nats=body)


def new_scoped_user(
    subject: PublicKey, name: str, *, account: PublicKey, tags: tuple[str, ...] = ()
) -> UserClaims:
    """A user of a role: its permissions are the role's, so its own body must be empty."""
    body = UserBody(issuer_account=account, tags=tags, type=UserClaims.kind, version=VERSION)
    return UserClaims(sub=subject, name=name, nats=body)


def new_template(*, allow_pub: tuple[Subject, ...] = (), allow_sub: tuple[Subject, ...] = ()) -> UserTemplate:
    """A role's template without limits, written out as Go's constructor writes it."""
    return UserTemplate(
        pub=Permission(allow=allow_pub),
        sub=Permission(allow=allow_sub),
        subs=UNLIMITED,
        data=UNLIMITED,
        payload=UNLIMITED,
    )
