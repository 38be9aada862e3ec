"""The settings of an account: limits, keys and roles, callout, and who was cut off by leaving the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from issuer.authority.plan.document import CalloutPart, RolePart
from issuer.authority.plan.drafts import AccountDraft, Mint, OrgDraft
from issuer.authority.plan.present import Present
from issuer.authority.plan.settings import (
    kept,
    kept_tags,
    spoken,
    with_account_limits,
    with_permissions,
    with_trace,
    with_user_limits,
    with_validity,
)
from issuer.authority.plan.source import Where
from issuer.claims.account import (
    ExternalAuthorization,
    Scope,
    compacted,
    signing_key,
    with_revocation,
)
from issuer.claims.fields import EVERYONE, with_body
from issuer.claims.user import new_template
from issuer.keys.nkeys import PublicKey, Role, is_public


def settings(
    account: AccountDraft,
    org: OrgDraft,
    present: Present,
    mint: Mint,
    *,
    resolve: Callable[[str, Where], PublicKey],
    prune: frozenset[str],
    now: int,
) -> None:
    """Everything of an account but what it shares and who its users are."""
    part, body = account.part, account.after.nats
    revocations = dict(body.revocations)
    for row in account.dropped_users:
        # Up to its newest token, which may be dated ahead of the clock.
        revocations = with_revocation(revocations, row.public, max(now, row.issued_at))
    body = msgspec.structs.replace(
        body,
        limits=with_account_limits(body.limits, part.limits, part.jetstream, prune="tiers" in prune),
        signing_keys=_signing_keys(account, mint),
        default_permissions=with_permissions(body.default_permissions, part.default_permissions),
        trace=with_trace(body.trace, part.trace),
        authorization=_callout(account, org, present, mint, resolve),
        revocations=compacted(revocations) if account.dropped_users else body.revocations,
        tags=kept_tags(body.tags, part.tags),
        **spoken(
            {
                "description": part.description,
                "info_url": part.info_url,
                "cluster_traffic": part.cluster_traffic,
            }
        ),
    )
    claims = msgspec.structs.replace(account.after, nats=body)
    account.after = with_validity(claims, part.starts, part.expires, now)


def drop_roles(account: AccountDraft, present: Present, *, prune: frozenset[str]) -> None:
    """Take undeclared roles away, once it is clear that nobody is left in them."""
    part = account.part
    if "roles" not in prune or part.roles is None or account.before is None:
        return
    declared = {role.name for role in part.roles}
    body = account.after.nats
    going = [
        entry
        for entry in body.signing_keys
        if isinstance(entry, Scope) and entry.role and entry.role not in declared
    ]
    leaving = [user.before.iss for user in account.users if user.before and user.resign]
    leaving += [row.issuer for row in account.dropped_users]
    for scope in going:
        used = present.accounts[part.name].role_use.get(scope.key, 0) - leaving.count(scope.key)
        if used > 0:
            raise part.where.fault(
                f"role {scope.role!r} is not declared, but {used} users have it: they would be shut out",
                hint="move or delete them first, or declare it",
            )
    keys = tuple(entry for entry in body.signing_keys if entry not in going)
    account.after = with_body(account.after, signing_keys=keys)


def _signing_keys(account: AccountDraft, mint: Mint) -> tuple[str | Scope, ...]:
    part = account.part
    entries = list(account.after.nats.signing_keys)
    for role in part.roles or ():
        entries = _with_role(entries, role, account, mint)
    plain = sum(isinstance(entry, str) for entry in entries)
    while plain < (part.signing_keys or 0):
        entries.append(mint.signing_key(account.public, Role.ACCOUNT, f"signing {plain}"))
        plain += 1
    return tuple(entries)


def _with_role(
    entries: list[str | Scope], part: RolePart, account: AccountDraft, mint: Mint
) -> list[str | Scope]:
    scope = next((e for e in entries if isinstance(e, Scope) and e.role == part.name), None)
    if scope is None:
        key = part.public_key or mint.signing_key(account.public, Role.ACCOUNT, f"role {part.name}")
        if any(isinstance(entry, Scope) and entry.key == key for entry in entries):
            raise part.where.fault(f"key {key} is another role's")
        # A plain signing key may become a role's.
        entries = [entry for entry in entries if signing_key(entry) != key]
        scope = Scope(key=key, role=part.name, template=new_template())
    elif part.public_key not in {None, scope.key}:
        raise part.where.fault(f"has another key, {scope.key}")
    template = with_user_limits(with_permissions(scope.template, part.permissions), part.limits)
    changed = msgspec.structs.replace(scope, template=template, **spoken({"description": part.description}))
    at = next((i for i, entry in enumerate(entries) if signing_key(entry) == scope.key), len(entries))
    return [*entries[:at], changed, *entries[at + 1 :]]


def _callout(
    account: AccountDraft,
    org: OrgDraft,
    present: Present,
    mint: Mint,
    resolve: Callable[[str, Where], PublicKey],
) -> ExternalAuthorization:
    part, setting = account.part.callout, account.after.nats.authorization
    if part is None:
        return setting
    if not isinstance(part, CalloutPart):
        return ExternalAuthorization()
    declared = {user.part.name: user.public for user in account.users}

    def user_key(ref: str) -> str:
        if is_public(ref, Role.USER):
            return ref
        public = declared.get(ref) or present.callout_users.get((account.part.name, ref))
        if public is None:
            raise part.where.fault(f"account {account.part.name!r} has no user {ref!r}")
        org.names[public] = ref
        return public

    def account_key(ref: str) -> str:
        return ref if ref == EVERYONE else resolve(ref, part.where)

    return msgspec.structs.replace(
        setting,
        auth_users=kept(setting.auth_users, _keys(part.users, user_key)),
        allowed_accounts=kept(setting.allowed_accounts, _keys(part.accounts, account_key)),
        xkey=_xkey(setting.xkey, part, lambda: mint.signing_key(account.public, Role.CURVE, "callout")),
    )


def _keys(refs: Iterable[str] | None, key_of: Callable[[str], str]) -> tuple[str, ...] | None:
    return None if refs is None else tuple(dict.fromkeys(map(key_of, refs)))


def _xkey(current: str, part: CalloutPart, make: Callable[[], PublicKey]) -> str:
    if part.xkey is None:
        return current
    if part.xkey is True:
        return current or make()
    return part.xkey or ""
