"""What one connection may have at once: the least of server, account and user (enforcement spec §3.5)."""

from __future__ import annotations

from typing import Final, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from issuer.claims.account import AccountClaims
from issuer.claims.fields import UNLIMITED as NO_LIMIT
from issuer.claims.user import UserClaims, UserTemplate
from issuer.tokens.chain import role_of_signer

_LARGEST: Final = 2**31 - 1  # servers keep them in 32 bits
_SMALLEST: Final = -(2**31)


class HasLimits(Protocol):
    @property
    def subscriptions(self) -> int: ...
    @property
    def payload(self) -> int: ...


class Limits(msgspec.Struct, frozen=True):
    """Subscriptions and the size of a message; -1 is no limit, 0 is none. A size below -1 bars all."""

    subscriptions: int = NO_LIMIT
    payload: int = NO_LIMIT


UNLIMITED: Final = Limits()


def limits_of(
    user: UserClaims | None, account: AccountClaims, server: HasLimits, *, strict: bool = False
) -> Limits:
    """The limits in force for who showed `user`, as issued; None for who showed no token.

    For a connection that a callout placed that is what it came with, not what the callout gave.
    """
    subs = payload = NO_LIMIT
    if user is not None:
        subs, payload = user.nats.subs, user.nats.payload
        if user.nats.issuer_account not in {"", user.iss}:
            scope = role_of_signer(account, user.iss, strict=strict)
            if scope is not None:
                subs, payload = (
                    template_limit(scope.template, "subs"),
                    template_limit(scope.template, "payload"),
                )
    limits = account.nats.limits
    return Limits(
        least(subs, limits.subs, server.subscriptions),
        # Below -1 not even an empty message fits.
        least(payload, limits.payload, server.payload, floor=_SMALLEST),
    )


def template_limit(template: UserTemplate, name: str) -> int:
    """A limit of a role; unlike a user's an absent one is unlimited."""
    value: int | UnsetType = getattr(template, name)
    return NO_LIMIT if value is UNSET else value


def least(*limits: int, floor: int = 0) -> int:
    """The smallest of those that limit anything, but none below `floor`."""
    found = NO_LIMIT
    for limit in limits:
        if limit != NO_LIMIT:
            limit = max(floor, min(limit, _LARGEST))
            found = limit if found == NO_LIMIT else min(found, limit)
    return found


def full(count: int, limit: int) -> bool:
    """Whether a limit is reached; at the limit is already full."""
    return limit != NO_LIMIT and count >= limit
