"""From a document and what there is to what there shall be. Pure, given where keys come from.

Identities come first, because everything may refer to everything; then the operator, the
accounts, their users, and last the activations, which need the exporters' new claims.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from issuer.authority.names import checked_name
from issuer.authority.plan import draft_accounts, draft_sharing, draft_users
from issuer.authority.plan.document import AccountPart, Document
from issuer.authority.plan.drafts import AccountDraft, Mint, OrgDraft, PolicyDraft
from issuer.authority.plan.present import Present
from issuer.authority.plan.settings import kept, kept_tags, spoken, with_validity
from issuer.authority.plan.source import Where
from issuer.authority.signing import checked
from issuer.claims.account import new_account
from issuer.claims.operator import OperatorClaims, new_operator
from issuer.errors import InvalidClaims
from issuer.keys.nkeys import PublicKey, Role, is_public

Resolve = Callable[[str, Where], PublicKey]


def draft(
    document: Document,
    present: Present,
    mint: Mint,
    *,
    operator: str | None,
    prune: frozenset[str],
    now: int,
) -> OrgDraft:
    """What a document asks for.

    Raises:
        BadDocument: it names what there is not, or what cannot be; with its place in the file.
        InvalidClaims: what it asks for would be refused by every server.
    """
    org = _operator_identity(document, present, mint, operator)
    org.accounts = [_identity(part, present, mint) for part in document.accounts or ()]
    org.dropped_accounts = list(present.undeclared)
    resolve = _resolver(org, present)
    _operator(org, document, mint, resolve, now)
    _keep_system_account(org)
    for account in org.accounts:
        draft_users.identities(account, present, mint)
    for account in org.accounts:
        draft_accounts.settings(account, org, present, mint, resolve=resolve, prune=prune, now=now)
        draft_sharing.exports(account, prune=prune)
        draft_sharing.imports(account, resolve, prune=prune)
        draft_sharing.mappings(account, prune=prune)
    for account in org.accounts:
        draft_users.users(account, org, now=now)
        draft_accounts.drop_roles(account, present, prune=prune)
        if account.before and not org.after.trusts(account.before.iss, account.public):
            account.resign = True
    for account in org.accounts:
        draft_sharing.activations(account, org, present, now)
    if document.policy is not None:
        org.policy = PolicyDraft(document.policy, present.policy)
    _check(org, now)
    return org


def _operator_identity(document: Document, present: Present, mint: Mint, override: str | None) -> OrgDraft:
    part = document.operator
    if present.operator is not None and present.operator_claims is not None:
        row, claims = present.operator, present.operator_claims
        return OrgDraft(row.name, row, row.public, claims, claims, part.where, names=dict(present.names))
    name = checked_name(override or part.name or "", "operator")
    public = mint.operator(name)
    return OrgDraft(name, None, public, None, new_operator(public, name), part.where)


def _identity(part: AccountPart, present: Present, mint: Mint) -> AccountDraft:
    found = present.accounts.get(part.name)
    if found is None:
        public = mint.account(part.name, part.public_key)
        return AccountDraft(part, None, public, None, new_account(public, part.name))
    if part.public_key not in {None, found.row.public}:
        raise part.where.fault(f"exists with another key, {found.row.public}")
    return AccountDraft(part, found.row, found.row.public, found.claims, found.claims)


def _resolver(org: OrgDraft, present: Present) -> Resolve:
    gone = {row.public for row in org.dropped_accounts}
    keys = {name: PublicKey(public) for public, name in present.names.items() if public[:1] == "A"}
    keys |= {account.part.name: account.public for account in org.accounts}
    org.names |= {account.public: account.part.name for account in org.accounts}

    def resolve(ref: str, where: Where) -> PublicKey:
        if is_public(ref, Role.ACCOUNT):
            return PublicKey(ref)
        public = keys.get(ref)
        if public is None or public in gone:
            raise where.fault(
                f"there is no account {ref!r}", hint="declare it under accounts, or name it by its public key"
            )
        return public

    return resolve


def _operator(org: OrgDraft, document: Document, mint: Mint, resolve: Resolve, now: int) -> None:
    part, body = document.operator, org.after.nats
    keys = list(body.signing_keys)
    while len(keys) < (part.signing_keys or 0):
        keys.append(mint.signing_key(org.public, Role.OPERATOR, f"operator {len(keys)}"))
    fields = spoken(
        {
            "account_server_url": part.account_server_url,
            "assert_server_version": part.server_version,
            "strict_signing_key_usage": part.require_signing_keys,
        }
    )
    if part.system_account is not None:
        where = Where(f"{part.where.path}.system-account", part.where.at)
        fields["system_account"] = resolve(part.system_account, where) if part.system_account else ""
    body = msgspec.structs.replace(
        body,
        signing_keys=tuple(keys),
        operator_service_urls=kept(body.operator_service_urls, part.service_urls),
        tags=kept_tags(body.tags, part.tags),
        **fields,
    )
    if body.strict_signing_key_usage and not keys:
        raise part.where.fault("requiring signing keys needs at least one", hint="signing-keys: 1")
    claims: OperatorClaims = msgspec.structs.replace(org.after, nats=body)
    org.after = with_validity(claims, part.starts, part.expires, now)
    if org.before is not None and org.operator_changed:
        org.notes.append("servers read the operator token from their configuration: generate it anew")


def _keep_system_account(org: OrgDraft) -> None:
    """Without it no server can be managed, so leaving it out of a file does not delete it."""
    for row in list(org.dropped_accounts):
        if row.public == org.after.nats.system_account:
            org.dropped_accounts.remove(row)
            org.notes.append(f"account {row.name} is the system account: it stays, although not declared")


def _check(org: OrgDraft, now: int) -> None:
    """Refuse at planning what would be refused at signing, and say where it is written."""
    _refuse(org.where, "operator", org.after, now, wanted=org.operator_changed)
    for account in org.accounts:
        _refuse(account.part.where, "account", account.after, now, wanted=account.changed)
        for user in account.users:
            _refuse(user.part.where, "user", user.after, now, wanted=user.changed)


def _refuse(where: Where, what: str, claims: object, now: int, *, wanted: bool) -> None:
    if not wanted:
        return
    try:
        checked(claims, now)
    except InvalidClaims as error:
        words = f"{where.path or what}: {error.message}" + (f" ({error.at})" if error.at else "")
        raise InvalidClaims(words, at=where.at or None) from None
