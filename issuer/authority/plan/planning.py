"""Making a plan: a draft with placeholder keys, and how it differs from what there is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from issuer.authority.plan import diff
from issuer.authority.plan.describing import Plain, account_plain, import_keys, operator_plain, user_plain
from issuer.authority.plan.diff import CHANGE, CREATE, DELETE, Change, compare, thinned_operator
from issuer.authority.plan.document import Document
from issuer.authority.plan.drafting import draft
from issuer.authority.plan.drafts import AccountDraft, OrgDraft, UserDraft
from issuer.authority.plan.minting import Placeholders
from issuer.authority.plan.policy import policy_changes
from issuer.authority.plan.present import Present, load
from issuer.authority.plan.source import step
from issuer.store.unit import Unit

TO_BE_ISSUED: Final = "to be issued"


@dataclass(frozen=True, slots=True)
class AskPlan:
    """What an apply of a document would do at a moment.

    `operator` goes before the one the file names, so that one file can serve several; `prune`
    names sections that are to be complete, besides those the file names itself.
    """

    document: Document
    now: int
    operator: str | None = None
    prune: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """What an apply would change; false when that is nothing. `digest` stands for what it was made from."""

    operator: str
    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    digest: str

    def __bool__(self) -> bool:
        return bool(self.changes)

    def lines(self) -> list[str]:
        """The diff for people, with its sum in the last line."""
        return [*diff.lines(self.changes), diff.summary(self.changes)]

    def plain(self) -> dict[str, Any]:
        return {
            "operator": self.operator,
            "changes": [change.plain() for change in self.changes],
            "notes": list(self.notes),
            "digest": self.digest,
        }


def plan(unit: Unit, question: AskPlan) -> Plan:
    """Compare a document with what there is; nothing is written.

    Raises:
        BadDocument: the document asks for what cannot be, with its place in the file.
        InvalidClaims: what it asks for would be refused by every server.
        NotFound: it does not say which operator.
    """
    document = question.document
    prune = question.prune | document.prune
    present = load(unit, document, question.operator, prune)
    org = draft(document, present, Placeholders(), operator=question.operator, prune=prune, now=question.now)
    mark = digest(document, present, operator=question.operator, prune=prune)
    return Plan(org.name, tuple(changes_of(org)), tuple(org.notes), mark)


def digest(document: Document, present: Present, *, operator: str | None, prune: frozenset[str]) -> str:
    """Another one when the file, the question or anything the answer stands on is another."""
    parts = [document.digest, operator or "", ",".join(sorted(prune)), present.digest()]
    if document.policy is not None:
        # It may stand in another file, of which the document's own digest knows nothing.
        parts.append(document.policy.body)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def changes_of(org: OrgDraft) -> list[Change]:
    """The differences a draft makes, operator first, then accounts, the policy, and accounts that go."""
    changes = _operator_changes(org)
    before = {
        account.part.name: _account_plain(account, org, before=True)
        for account in org.accounts
        if account.before
    }
    after = {account.part.name: _account_plain(account, org, before=False) for account in org.accounts}
    changes += compare({"accounts": before}, {"accounts": after})
    for account in org.accounts:
        changes += _signature_changes(account, org)
    if org.policy is not None:
        changes += policy_changes(org.policy)
    return changes + [Change(DELETE, f"accounts.{step(row.name)}") for row in org.dropped_accounts]


def _operator_changes(org: OrgDraft) -> list[Change]:
    after = operator_plain(org.after, org.name_of)
    if org.before is None:
        return [Change(CREATE, "operator", None, {"name": org.name, **thinned_operator(after)})]
    return compare(operator_plain(org.before, org.name_of), after, "operator")


def _account_plain(account: AccountDraft, org: OrgDraft, *, before: bool) -> Plain:
    claims = account.before if before else account.after
    assert claims is not None  # noqa: S101  asked for only where there is one
    plain = account_plain(claims, org.name_of)
    users: Plain = {}
    for user in account.users:
        if not before:
            users[user.part.name] = user_plain(user.after, user.role)
        elif user.before is not None:
            users[user.part.name] = user_plain(user.before, user.role_before)
    if before:
        users |= {row.name: {"role": row.role} for row in account.dropped_users}
    elif not account.before:
        keys = import_keys(claims.nats.imports, org.name_of)
        for due in account.due:
            plain["imports"][keys[due.index]]["activation"] = TO_BE_ISSUED
    return {**plain, "users": users}


def _signature_changes(account: AccountDraft, org: OrgDraft) -> list[Change]:
    """What no member shows: activations to be signed, and signatures that count no more."""
    path = f"accounts.{step(account.part.name)}"
    changes = []
    if account.before is not None:
        keys = import_keys(account.after.nats.imports, org.name_of)
        changes = [
            Change(CHANGE, f"{path}.imports[{keys[due.index]}].activation", due.why, TO_BE_ISSUED)
            for due in account.due
        ]
    if account.resign:
        changes.append(Change(CHANGE, f"{path}.signature", "by a key that may no longer sign", "anew"))
    return changes + [
        Change(CHANGE, f"{path}.users.{step(user.part.name)}.signature", _old_signature(user), "anew")
        for user in account.users
        if user.resign and user.role == user.role_before
    ]


def _old_signature(user: UserDraft) -> str:
    return "by another key of the role" if user.role else "by a key that may no longer sign"
