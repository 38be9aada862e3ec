"""The users of an account."""

from __future__ import annotations

import msgspec

from issuer.authority.plan.document import UserPart
from issuer.authority.plan.drafts import AccountDraft, Mint, OrgDraft, UserDraft
from issuer.authority.plan.present import Present, PresentUser
from issuer.authority.plan.settings import kept_tags, with_permissions, with_user_limits, with_validity
from issuer.authority.users import check_template_values
from issuer.claims.account import AccountClaims, Scope
from issuer.claims.user import UserBody, UserClaims, new_scoped_user, new_user
from issuer.errors import Refused


def identities(account: AccountDraft, present: Present, mint: Mint) -> None:
    """Who the users are, so that callout settings can name them; what they may comes later."""
    found = present.accounts.get(account.part.name)
    account.dropped_users = list(found.undeclared) if found else []
    for part in account.part.users or ():
        known = found.users.get(part.name) if found else None
        if known is None:
            public = mint.user(account.public, part.name, part.public_key)
            claims = new_user(public, part.name, account=account.public)
            user = UserDraft(part, account.part, None, public, None, claims, part.role or "")
        else:
            if part.public_key not in {None, known.row.public}:
                raise part.where.fault(f"exists with another key, {known.row.public}")
            scope = _present_scope(account.after, known)
            role = scope.role if scope else known.row.role
            user = UserDraft(
                part,
                account.part,
                known.row,
                known.row.public,
                known.claims,
                known.claims,
                role,
                role_before=role,
                scoped_before=scope is not None or bool(role),
            )
        account.users.append(user)


def users(account: AccountDraft, org: OrgDraft, *, now: int) -> None:
    """What each declared user shall be, under the account as it shall be."""
    for user in account.users:
        _draft(user, account, org, now)


def scope_of(account: AccountClaims, user: UserDraft) -> Scope | None:
    """The role a user shall have; an unnamed one is known by the key that signed the user."""
    if user.role:
        return account.role(user.role)
    if user.before is not None and user.part.role is None:
        return account.scope(user.before.iss)
    return None


def _present_scope(account: AccountClaims, known: PresentUser) -> Scope | None:
    named = account.role(known.row.role) if known.row.role else None
    return named or account.scope(known.claims.iss)


def _draft(user: UserDraft, account: AccountDraft, org: OrgDraft, now: int) -> None:
    part = user.part
    if part.role is not None:
        user.role = part.role
    scope = scope_of(account.after, user)
    if user.role and scope is None:
        raise part.where.fault(
            f"account {account.part.name!r} has no role {user.role!r}", hint="declare it under roles"
        )
    before = user.after.nats
    if scope is not None:
        body = _scoped(part, before, account, scope, new=user.before is None)
    else:
        body = _plain(user, before)
    body = msgspec.structs.replace(body, tags=kept_tags(before.tags, part.tags))
    claims: UserClaims = msgspec.structs.replace(user.after, nats=body)
    user.after = with_validity(claims, part.starts, part.expires, now)
    if scope is not None:
        try:
            check_template_values(part.name, body.tags, scope.template)
        except Refused as error:
            raise part.where.fault(error.message, hint=error.hint) from None
    _decide_signature(user, account, org, scope)


def _scoped(part: UserPart, before: UserBody, account: AccountDraft, scope: Scope, *, new: bool) -> UserBody:
    if part.permissions or part.limits:
        raise part.where.fault(
            f"has role {scope.role!r}: its permissions and limits are the role's",
            hint='role: "" takes it out of the role',
        )
    if not new and before.unrestricted_by_itself():
        return before
    return new_scoped_user(account.public, "", account=account.public, tags=before.tags).nats


def _plain(user: UserDraft, before: UserBody) -> UserBody:
    part = user.part
    if user.scoped_before:
        # Out of a role: a scoped body has no limits because its role has them (claims spec §3.6).
        fresh = new_user(user.public, "").nats
        before = msgspec.structs.replace(fresh, tags=before.tags, issuer_account=before.issuer_account)
    return with_user_limits(with_permissions(before, part.permissions), part.limits)


def _decide_signature(user: UserDraft, account: AccountDraft, org: OrgDraft, scope: Scope | None) -> None:
    plain = [entry for entry in account.after.nats.signing_keys if isinstance(entry, str)]
    strict = org.after.nats.strict_signing_key_usage
    if scope is None and strict and not plain:
        raise user.part.where.fault(
            f"the operator requires signing keys, and account {account.part.name!r} has none",
            hint="signing-keys: 1 in the account, or give the user a role",
        )
    if user.before is None:
        return
    signed_by = user.before.iss
    if scope is not None:
        user.resign = signed_by != scope.key
    else:
        user.resign = signed_by not in plain and (strict or signed_by != account.public)
