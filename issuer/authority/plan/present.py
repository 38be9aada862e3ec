"""What there is now, as far as a document speaks of it: read once, in the caller's transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from issuer.authority.finding import the_operator
from issuer.authority.plan.document import AccountPart, CalloutPart, Document
from issuer.claims.account import AccountClaims, Scope
from issuer.claims.operator import OperatorClaims
from issuer.claims.user import UserClaims
from issuer.keys.nkeys import PublicKey, Role, is_public
from issuer.store import grants, hierarchy
from issuer.store.grants import PolicyVersion
from issuer.store.hierarchy import Account, Operator, User
from issuer.store.unit import Unit
from issuer.tokens.envelope import decode

ABSENT: Final = "-"


@dataclass(frozen=True, slots=True)
class PresentUser:
    row: User
    claims: UserClaims


@dataclass(slots=True)
class PresentAccount:
    """An account that exists, and of its users those the document names or would drop."""

    row: Account
    claims: AccountClaims
    users: dict[str, PresentUser] = field(default_factory=dict)
    undeclared: list[User] = field(default_factory=list)
    # How many live users each role's key has signed.
    role_use: dict[PublicKey, int] = field(default_factory=dict)


@dataclass(slots=True)
class Present:
    """The state a plan starts from. `names` are those of every live account, and of callout users."""

    operator: Operator | None = None
    operator_claims: OperatorClaims | None = None
    accounts: dict[str, PresentAccount] = field(default_factory=dict)
    exporters: dict[PublicKey, AccountClaims] = field(default_factory=dict)
    exporter_rows: dict[PublicKey, Account] = field(default_factory=dict)
    undeclared: list[Account] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    callout_users: dict[tuple[str, str], PublicKey] = field(default_factory=dict)
    policy: PolicyVersion | None = None
    versions: list[str] = field(default_factory=list)

    def digest(self) -> str:
        """Changes whenever anything the plan stands on has another version, is gone, or has come."""
        return hashlib.sha256("\n".join(self.versions).encode()).hexdigest()


def load(unit: Unit, document: Document, operator: str | None, prune: frozenset[str]) -> Present:
    """Read what a document is about.

    Raises:
        NotFound: neither caller nor file says which operator, and there is not just one.
    """
    present = Present()
    ref = operator or document.operator.name
    row = hierarchy.find_operator(unit, ref) if ref else the_operator(unit, None)
    if row is None:
        present.versions.append(f"operator {ref} {ABSENT}")
    else:
        present.operator = row
        version = hierarchy.head_token(unit, "operator", row.id)
        present.operator_claims = decode(version.token, OperatorClaims).claims
        present.versions.append(f"operator {row.public} {version.sha256}")
        rows = list(hierarchy.accounts(unit, row.id))
        present.names = {account.public: account.name for account in rows}
        _load_accounts(unit, document, present, rows, prune)
        if document.policy is not None:
            present.policy = grants.policy_at(unit, row.id)
            present.versions.append(f"policy {present.policy.version if present.policy else ABSENT}")
    return present


def _load_accounts(
    unit: Unit, document: Document, present: Present, rows: list[Account], prune: frozenset[str]
) -> None:
    by_name = {row.name: row for row in rows}
    parts = document.accounts or ()
    for part in parts:
        row = by_name.get(part.name)
        if row is None:
            present.versions.append(f"account {part.name} {ABSENT}")
        else:
            present.accounts[part.name] = _load_account(unit, part, row, present, prune)
    if "accounts" in prune and document.accounts is not None:
        declared = {part.name for part in parts}
        present.undeclared = [row for row in rows if row.name not in declared]
        present.versions += [f"undeclared {row.public} {row.head}" for row in present.undeclared]
    for part in parts:
        for entry in part.imports or ():
            exporter = by_name.get(entry.source) or next(
                (row for row in rows if row.public == entry.source), None
            )
            if exporter is not None:
                _load_exporter(unit, exporter, present)


def _load_account(
    unit: Unit, part: AccountPart, row: Account, present: Present, prune: frozenset[str]
) -> PresentAccount:
    version = hierarchy.head_token(unit, "account", row.id)
    claims = decode(version.token, AccountClaims).claims
    present.versions.append(f"account {row.public} {version.sha256}")
    account = PresentAccount(row, claims)
    for user in part.users or ():
        found = hierarchy.find_user(unit, row.id, user.name)
        if found is None or found.name != user.name:
            present.versions.append(f"user {row.name} {user.name} {ABSENT}")
            continue
        newest = hierarchy.head_token(unit, "user", found.id)
        present.versions.append(f"user {found.public} {newest.sha256}")
        account.users[user.name] = PresentUser(found, decode(newest.token, UserClaims).claims)
    if "users" in prune and part.users is not None:
        everybody = hierarchy.users(unit, row.id)
        account.undeclared = [user for user in everybody if user.name not in account.users]
        present.versions += [f"undeclared {user.public} {user.head}" for user in account.undeclared]
    if "roles" in prune and part.roles is not None:
        keys = [entry.key for entry in claims.nats.signing_keys if isinstance(entry, Scope)]
        account.role_use = {key: hierarchy.count_users(unit, row.id, issuer=key) for key in keys}
        present.versions += [f"role {key} {count}" for key, count in account.role_use.items()]
    _load_callout(unit, part, account, present)
    return account


def _load_callout(unit: Unit, part: AccountPart, account: PresentAccount, present: Present) -> None:
    for key in account.claims.nats.authorization.auth_users:
        user = hierarchy.user_by_public(unit, key)
        if user is not None and user.account_id == account.row.id:
            present.names[key] = user.name
            present.callout_users[part.name, user.name] = user.public
    named: Iterable[str] = (part.callout.users or ()) if isinstance(part.callout, CalloutPart) else ()
    for name in named:
        user = None if is_public(name, Role.USER) else hierarchy.find_user(unit, account.row.id, name)
        if user is not None:
            present.names[user.public] = user.name
            present.callout_users[part.name, name] = user.public


def _load_exporter(unit: Unit, row: Account, present: Present) -> None:
    if row.public in present.exporters:
        return
    version = hierarchy.head_token(unit, "account", row.id)
    present.versions.append(f"exporter {row.public} {version.sha256}")
    present.exporters[row.public] = decode(version.token, AccountClaims).claims
    present.exporter_rows[row.public] = row
