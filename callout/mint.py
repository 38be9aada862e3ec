"""From what a login is given to a user's token for this one connection.

One role is signed by its scoped key, so that the account's own claims keep the say over what it
may do. Several roles have no key of their own: their templates are filled in, joined, and signed
by a plain key of the account; what one of them denies stays denied, and of limits the least holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from callout.policy.decision import Grant
from callout.policy.values import token_name
from callout.refusals import LoginRefusedError, Reason
from issuer.claims.account import AccountClaims, Scope
from issuer.claims.fields import UNLIMITED, Permission, ResponsePermission, with_body
from issuer.claims.templates import TemplateError, expand_template
from issuer.claims.user import UserClaims, UserTemplate, new_scoped_user, new_user
from issuer.grants import Identity
from issuer.keys.nkeys import PublicKey
from issuer.subjects import Subject
from issuer.tokens.envelope import Signed, encode
from issuer.tokens.signer import Signer

DEFAULT_RESPONSES: Final = 1
DEFAULT_RESPONSE_TTL_NS: Final = 120_000_000_000
"""What a server takes where a response permission says nothing (enforcement spec §3.4)."""
_LIMITS: Final = ("subs", "data", "payload")
_ONE_FOR_ALL: Final = ("src", "times", "times_location", "allowed_connection_types", "proxy_required")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """An account that logins can be placed in, and who signs for it."""

    claims: AccountClaims
    roles: Mapping[str, Signer]
    """Scoped keys, by the names of their roles."""
    plain: Signer | None = None
    """A key of the account without a scope, where there is one: for several roles at once."""

    @property
    def public(self) -> PublicKey:
        return self.claims.sub

    def templates(self) -> dict[str, UserTemplate]:
        """The roles that can be given here."""
        keys = {signer.public: role for role, signer in self.roles.items()}
        scopes = [entry for entry in self.claims.nats.signing_keys if isinstance(entry, Scope)]
        return {scope.role: scope.template for scope in scopes if keys.get(scope.key) == scope.role}

    def __repr__(self) -> str:
        return f"Place({self.claims.name}, {sorted(self.roles)})"


def mint(grant: Grant, identity: Identity, user: PublicKey, place: Place, *, now: int) -> Signed[UserClaims]:
    """The token of a connection whose key the server made; good for no other one.

    Raises:
        LoginRefusedError: the account has not, or no longer, what the policy gives.
    """
    templates = place.templates()
    missing = [role for role in grant.roles if role not in templates]
    if missing:
        raise LoginRefusedError(
            Reason.NO_ROLE,
            f"account {place.claims.name} has no role {missing[0]!r} that could be signed for",
            at=", ".join(grant.bindings),
            hint=f"accredit edit signing-key -a {place.claims.name} --role {missing[0]} --sk generate",
        )
    name = token_name(grant, identity, templates)
    scoped = new_scoped_user(user, name, account=place.public, tags=grant.tags)
    if len(grant.roles) == 1:
        (role,) = grant.roles
        return encode(msgspec.structs.replace(scoped, exp=grant.expires_at), place.roles[role], now=now)
    if place.plain is None:
        raise LoginRefusedError(
            Reason.NO_ROLE,
            f"several roles need a plain signing key of account {place.claims.name}, which has none",
            at=", ".join(grant.bindings),
            hint=f"add one: accredit edit account {place.claims.name} --sk generate",
        )
    body = joined(filled_in(grant, scoped, place.claims, templates), at=", ".join(grant.bindings))
    plain = new_user(user, name, account=None if place.plain.public == place.public else place.public)
    claims = with_body(plain, tags=grant.tags, **msgspec.structs.asdict(body))
    return encode(msgspec.structs.replace(claims, exp=grant.expires_at), place.plain, now=now)


def permitted(
    grant: Grant,
    identity: Identity,
    user: PublicKey,
    claims: AccountClaims,
    templates: Mapping[str, UserTemplate],
) -> UserTemplate:
    """What the token of a grant comes to: what a server makes of one role, or what we make of several.

    Raises:
        LoginRefusedError: a role is not among `templates`, or cannot be filled in.
    """
    missing = [role for role in grant.roles if role not in templates]
    if missing:
        raise LoginRefusedError(Reason.NO_ROLE, f"account {claims.name} has no role {missing[0]!r}")
    name = token_name(grant, identity, templates)
    scoped = new_scoped_user(user, name, account=claims.sub, tags=grant.tags)
    filled = filled_in(grant, scoped, claims, templates)
    return filled[0] if len(filled) == 1 else joined(filled, at=", ".join(grant.bindings))


def filled_in(
    grant: Grant, scoped: UserClaims, claims: AccountClaims, templates: Mapping[str, UserTemplate]
) -> list[UserTemplate]:
    """The grant's roles with this user's values in their subjects.

    Raises:
        LoginRefusedError: one cannot be filled in.
    """
    try:
        return [expand_template(templates[role], scoped, claims) for role in grant.roles]
    except TemplateError as error:
        raise LoginRefusedError(Reason.UNSAFE_VALUE, f"{error.at}: {error.message}") from None


def joined(templates: Iterable[UserTemplate], *, at: str = "") -> UserTemplate:
    """What several roles, filled in, allow together.

    Raises:
        LoginRefusedError: they differ in where or when they hold, which one token cannot say.
    """
    roles = list(templates)
    first = roles[0]
    for name in _ONE_FOR_ALL:
        if any(getattr(role, name) != getattr(first, name) for role in roles):
            raise LoginRefusedError(
                Reason.CONFLICT, f"the roles differ in {name}, and one token has one", at=at or None
            )
    return msgspec.structs.replace(
        first,
        pub=_joined([role.pub for role in roles], replies=[role.resp is not None for role in roles]),
        sub=_joined([role.sub for role in roles], replies=[False] * len(roles)),
        resp=_replies([role.resp for role in roles]),
        bearer_token=False,
        **{name: _least(getattr(role, name) for role in roles) for name in _LIMITS},
    )


def _joined(permissions: list[Permission], *, replies: list[bool]) -> Permission:
    # An empty list allows everything, but beside a response permission nothing.
    everything = any(
        not permission.allow and not answers for permission, answers in zip(permissions, replies, strict=True)
    )
    allow = () if everything else _each(permission.allow for permission in permissions)
    if everything and any(replies):
        allow = (Subject(">"),)
    return Permission(allow=allow, deny=_each(permission.deny for permission in permissions))


def _each(lists: Iterable[tuple[Subject, ...]]) -> tuple[Subject, ...]:
    return tuple(dict.fromkeys(entry for entries in lists for entry in entries))


def _replies(given: list[ResponsePermission | None]) -> ResponsePermission | None:
    rules = [rule for rule in given if rule is not None]
    if not rules:
        return None
    # Nothing said is the server's default, which is not the same as no limit.
    most = _least(rule.max or DEFAULT_RESPONSES for rule in rules)
    ttl = _least(rule.ttl or DEFAULT_RESPONSE_TTL_NS for rule in rules)
    return ResponsePermission(max=most, ttl=ttl)


def _least(limits: Iterable[object]) -> int:
    # An absent limit of a role is none.
    numbers = [limit for limit in limits if isinstance(limit, int) and limit >= 0]
    return min(numbers, default=UNLIMITED)
