"""What a change means for connections that are in, as effects to carry out (enforcement spec §3.6).

For each connection, oldest first: room in the account, limits, default permissions, bearer
tokens and revocation; after all of them the signing keys, and those at their limit of
subscriptions, whom the server gives another 20 ms. A close is a connection's last effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from broker.enforcement.limits import HasLimits, Limits, full, limits_of
from broker.enforcement.permissions import EVERYTHING, Permissions, defaults_of
from broker.protocol import texts
from broker.protocol.texts import Closed
from issuer.claims.account import AccountClaims, Scope, cut_off
from issuer.claims.user import UserClaims
from issuer.keys.nkeys import PublicKey
from issuer.tokens.chain import may_sign_users, role_of_signer


class HasSubject(Protocol):
    """A subscription."""

    @property
    def subject(self) -> str: ...
    @property
    def queue(self) -> str: ...


class Session(Protocol):
    """A connection that is in."""

    @property
    def cid(self) -> int: ...
    @property
    def user(self) -> UserClaims | None:
        """As issued: by its own token, or by the callout that placed it."""

    @property
    def effective(self) -> UserClaims | None:
        """With its role's template applied."""

    @property
    def issuer(self) -> PublicKey:
        """The key that signed the user."""

    @property
    def permissions(self) -> Any: ...
    @property
    def limits(self) -> HasLimits: ...
    @property
    def subscriptions(self) -> Mapping[str, HasSubject]:
        """By their sid."""


S = TypeVar("S", bound=Session)


class Close(msgspec.Struct, Generic[S], frozen=True):
    """End it, with a last word or without one."""

    session: S
    closed: Closed
    text: str | None = None


class Unsubscribe(msgspec.Struct, Generic[S], frozen=True):
    """Take a subscription away, and say so."""

    session: S
    sid: str
    text: str


class Rebind(msgspec.Struct, Generic[S], frozen=True):
    """Other limits hold from now on, and, unless None, other permissions."""

    session: S
    limits: Limits
    permissions: Permissions | None = None


Effect = Close[S] | Unsubscribe[S] | Rebind[S]
Shown = Callable[[S], UserClaims | None]
_EXPIRED: Final = Closed.AUTHENTICATION_EXPIRED


def _own(session: Session) -> UserClaims | None:
    return session.user


def _never(_: AccountClaims) -> bool:
    return False


def account_changed(
    old: AccountClaims | None,
    new: AccountClaims,
    sessions: Sequence[S],
    *,
    server_limits: HasLimits,
    strict: Callable[[AccountClaims], bool] = _never,
    shown: Shown[S] = _own,
) -> list[Effect[S]]:
    """What another token of their account means for connections, oldest first.

    `strict` says of an account whether its operator forbids identity keys; `shown` is the token a
    connection came with: not its own user's if a callout placed it.
    """
    change = _Change(old, new, server_limits, strict)
    effects: list[Effect[S]] = []
    left: list[S] = []
    room = new.nats.limits.conn
    for session in sessions:
        if full(len(left), room):
            words = texts.TOO_MANY_ACCOUNT_CONNECTIONS
            effects.append(Close(session, Closed.MAX_ACCOUNT_CONNECTIONS, words))
            continue
        left.append(session)
    staying: list[S] = []
    crowded: set[int] = set()
    for session in left:
        # Before subscriptions are taken away: that comes too late to stay below the limit.
        limits = change.limits_of(shown(session))
        if full(len(session.subscriptions), limits.subscriptions):
            crowded.add(session.cid)
        change.rebind(session, limits, effects)
        close = change.refusal(session, shown(session))
        if close is None:
            staying.append(session)
        else:
            effects.append(close)
    for session in staying:
        if change.evicts(session):
            effects.append(Close(session, Closed.AUTHENTICATION_FAILURE))
        elif session.cid in crowded:
            effects.append(Close(session, Closed.MAX_SUBSCRIPTIONS, texts.TOO_MANY_SUBSCRIPTIONS))
    return effects


class _Change:
    """Two versions of an account, compared once for all its connections."""

    def __init__(
        self,
        old: AccountClaims | None,
        new: AccountClaims,
        server: HasLimits,
        strict: Callable[[AccountClaims], bool],
    ) -> None:
        self._new = new
        self._server = server
        self._strict = strict(new)
        body = new.nats
        self._bearers_out = body.limits.disallow_bearer
        self._asks_tokens = bool(body.revocations) or self._bearers_out
        self._defaults: Permissions | None = None
        before = EVERYTHING if old is None else defaults_of(old)
        if before.plain() != defaults_of(new).plain():
            self._defaults = defaults_of(new)
        self._signers_before = {} if old is None else _signers(old, strict=strict(old))
        self._signers = _signers(new, strict=self._strict)
        self._signers_changed = self._signers != self._signers_before
        self._limits: dict[tuple[int, int, str, str], Limits] = {}

    def limits_of(self, shown: UserClaims | None) -> Limits:
        if shown is None:
            return limits_of(None, self._new, self._server)
        body = shown.nats
        # Thousands of users of one role have the same.
        key = (body.subs, body.payload, body.issuer_account, shown.iss)
        found = self._limits.get(key)
        if found is None:
            found = limits_of(shown, self._new, self._server, strict=self._strict)
            self._limits[key] = found
        return found

    def rebind(self, session: S, limits: Limits, effects: list[Effect[S]]) -> None:
        """Put down what else holds for a connection from now on."""
        permissions = self._defaults if _by_default(session) else None
        if permissions is not None or not _same(limits, session.limits):
            effects.append(Rebind(session, limits, permissions))
        if permissions is not None:
            effects.extend(_refused(session, permissions))

    def refusal(self, session: S, shown: UserClaims | None) -> Close[S] | None:
        """How a connection must go whose token is not wanted any more."""
        if self._asks_tokens and shown is not None:
            if shown.nats.bearer_token and self._bearers_out:
                return Close(session, Closed.AUTHENTICATION_FAILURE, texts.AUTHORIZATION_VIOLATION)
            # Without a time of issue it counts as revoked, whatever the list says (spec §2.1).
            if shown.iat == 0 or self._new.revoked(shown.sub, shown.iat):
                return Close(session, Closed.CREDENTIALS_REVOKED, texts.USER_REVOKED)
        user = session.user
        if user is not None and user.iat > 0 and cut_off(self._new.nats.revocations, user.sub, user.iat):
            return Close(session, Closed.CREDENTIALS_REVOKED, texts.USER_REVOKED)
        return None

    def evicts(self, session: Session) -> bool:
        """Whether its signer is gone, or stands for something else now. Of users of signing keys only."""
        user = session.user
        if not self._signers_changed or user is None or not user.nats.issuer_account:
            return False
        key = session.issuer
        if not may_sign_users(self._new, key, strict=self._strict):
            return True
        return key in self._signers_before and self._signers[key] != self._signers_before[key]


def account_expired(sessions: Iterable[S]) -> list[Effect[S]]:
    """The account's time is over."""
    return [Close(session, _EXPIRED, texts.ACCOUNT_EXPIRED) for session in sessions]


def account_deleted(sessions: Iterable[S]) -> list[Effect[S]]:
    """The account was taken away; connections hear the same as when its time is over."""
    return account_expired(sessions)


def user_expired(session: S) -> list[Effect[S]]:
    """The user's time, or the window it came in, is over."""
    return [Close(session, _EXPIRED, texts.USER_EXPIRED)]


def _signers(account: AccountClaims, *, strict: bool) -> dict[str, Scope | None]:
    signers: dict[str, Scope | None] = {
        key: role_of_signer(account, key, strict=strict) for key in account.signing_keys()
    }
    if not strict:
        signers[account.sub] = None
    return signers


def _by_default(session: Session) -> bool:
    user = session.effective
    if user is None:
        return False
    body = user.nats
    return body.resp is None and body.pub.empty() and body.sub.empty()


def _refused(session: S, permissions: Permissions) -> list[Effect[S]]:
    if not permissions.restricts_subscribe:
        return []
    return [
        Unsubscribe(session, sid, texts.subscription_violation(each.subject, each.queue, sid=sid))
        for sid, each in session.subscriptions.items()
        if not permissions.can_subscribe(each.subject, each.queue)
    ]


def _same(one: HasLimits, other: HasLimits) -> bool:
    return one.subscriptions == other.subscriptions and one.payload == other.payload
