"""Roles: scoped signing keys and their templates (claims spec §3.6)."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from issuer.authority.accounts import resign
from issuer.authority.changes import (
    NO_LIMITS,
    NO_PERMISSIONS,
    LimitChange,
    PermissionChange,
    with_limits,
    with_permissions,
)
from issuer.authority.desk import Outcome, Turn
from issuer.authority.finding import the_account, the_operator
from issuer.authority.keeping import GENERATE, keep_signing_key
from issuer.authority.signing import head
from issuer.claims.account import AccountClaims, Scope, signing_key
from issuer.claims.fields import with_body
from issuer.claims.user import UserTemplate, new_template
from issuer.errors import AlreadyExists, NotFound, Refused
from issuer.keys.nkeys import PublicKey, Role, Seed, parse_public
from issuer.store import hierarchy


@dataclass(frozen=True, slots=True)
class EditRole:
    """Make or change a role. `key` is a signing key, "generate", or None for the role's own."""

    account: str
    role: str | None = None
    key: str | None = None
    operator: str | None = None
    description: str | None = None
    permissions: PermissionChange = NO_PERMISSIONS
    limits: LimitChange = NO_LIMITS


@dataclass(frozen=True, slots=True)
class RemoveRole:
    """Take a role's key off the account; every connection of its users is closed at once."""

    account: str
    role: str
    operator: str | None = None
    even_if_used: bool = False


def edit_role(turn: Turn, act: EditRole) -> Outcome:
    operator = the_operator(turn.unit, act.operator)
    account = the_account(turn.unit, operator, act.account)
    claims: AccountClaims = head(turn, "account", account.id).claims
    scope = _present(claims, act)
    if scope is None:
        scope = Scope(
            key=_new_key(turn, claims, act, account.id), role=act.role or "", template=new_template()
        )
    else:
        turn.notes.append(
            "servers close the connections of this role's users, who come back with the new one"
        )
    claims_without = _without(claims, scope.key)
    template = with_limits(with_permissions(scope.template, act.permissions), act.limits)
    _refuse_zero(template)
    changed_scope = msgspec.structs.replace(
        scope,
        role=scope.role if act.role is None else act.role,
        template=template,
        description=scope.description if act.description is None else act.description,
    )
    other = claims_without.role(changed_scope.role) if changed_scope.role else None
    if other is not None:
        raise AlreadyExists(f"account {account.name!r} has a role {other.role!r} with another key", at="role")
    after = with_body(claims, signing_keys=(*claims_without.nats.signing_keys, changed_scope))
    return resign(turn, account, claims, after, f"role {changed_scope.role}")


def remove_role(turn: Turn, act: RemoveRole) -> Outcome:
    operator = the_operator(turn.unit, act.operator)
    account = the_account(turn.unit, operator, act.account)
    claims: AccountClaims = head(turn, "account", account.id).claims
    scope = claims.role(act.role) or claims.scope(act.role)
    if scope is None:
        raise NotFound(f"account {account.name!r} has no role {act.role!r}", at="role")
    used = hierarchy.count_users(turn.unit, account.id, issuer=scope.key)
    if used and not act.even_if_used:
        raise Refused(
            f"{used} users have role {scope.role!r}: they would be shut out",
            at="role",
            hint="delete or move them first, or say so with --force",
        )
    changed = _without(claims, scope.key)
    return resign(turn, account, claims, changed, f"role {scope.role} removed")


def _present(claims: AccountClaims, act: EditRole) -> Scope | None:
    if act.key and act.key != GENERATE:
        return claims.scope(act.key)
    if act.role and act.key != GENERATE:
        return claims.role(act.role)
    return None


def _new_key(turn: Turn, claims: AccountClaims, act: EditRole, account_id: int) -> PublicKey:
    if act.key and act.key != GENERATE:
        # A plain signing key of the account may become a role; a key from elsewhere too.
        return parse_public(act.key, Role.ACCOUNT, at="--sk")
    if not act.role:
        raise Refused("a new role needs a name", at="--role")
    if claims.role(act.role) is not None:
        raise AlreadyExists(f"there is a role {act.role!r} already", at="--role")
    return keep_signing_key(turn, Seed.generate(Role.ACCOUNT), owner_id=account_id)


def _without(claims: AccountClaims, key: PublicKey) -> AccountClaims:
    keys = tuple(entry for entry in claims.nats.signing_keys if signing_key(entry) != key)
    return with_body(claims, signing_keys=keys)


def _refuse_zero(template: UserTemplate) -> None:
    for name in ("subs", "data", "payload"):
        if getattr(template, name) == 0:
            raise Refused(
                f"a role's limit {name} of 0 would mean unlimited: Go drops the zero when it writes it",
                at=name,
                hint="forbid by denying subjects instead",
            )
