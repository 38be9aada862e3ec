"""Making a document so: everything in the caller's one transaction, each account signed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from issuer.audit.catalogue import EventCode
from issuer.authority.accounts import DeleteAccount, delete_account
from issuer.authority.changes import Validity
from issuer.authority.desk import Outcome, Turn
from issuer.authority.plan.diff import Change
from issuer.authority.plan.document import Document
from issuer.authority.plan.draft_sharing import with_activation
from issuer.authority.plan.drafting import draft
from issuer.authority.plan.drafts import AccountDraft, Due, OrgDraft, UserDraft
from issuer.authority.plan.minting import Custody
from issuer.authority.plan.planning import changes_of, digest
from issuer.authority.plan.policy import put_in_force
from issuer.authority.plan.present import Present, load
from issuer.authority.sharing import sign_activation
from issuer.authority.signing import sign_account, sign_operator, sign_user, user_signer
from issuer.authority.users import retire_user
from issuer.claims.account import AccountClaims
from issuer.errors import Conflict, Defect
from issuer.keys.nkeys import PublicKey
from issuer.store import hierarchy
from issuer.store.hierarchy import Account, Operator


@dataclass(frozen=True, slots=True)
class ApplyDocument:
    """A document to make so. `expected` is the digest of the plan that was looked at, if one was."""

    document: Document
    operator: str | None = None
    prune: frozenset[str] = frozenset()
    expected: str | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """What was changed; nothing when the document was so already."""

    operator: str
    changes: tuple[Change, ...]
    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        return {
            "operator": self.operator,
            "changes": [change.plain() for change in self.changes],
            "notes": list(self.notes),
        }


def apply_document(turn: Turn, act: ApplyDocument) -> Applied:
    """Make a document so.

    Raises:
        Conflict: the state is not the one the plan was made from.
        BadDocument: it asks for what cannot be.
        InvalidClaims: what it asks for would be refused by every server.
    """
    prune = act.prune | act.document.prune
    present = load(turn.unit, act.document, act.operator, prune)
    if act.expected is not None and act.expected != digest(
        act.document, present, operator=act.operator, prune=prune
    ):
        raise Conflict(
            "the state or the file has moved since the plan was made",
            hint="look at a new plan: accredit plan",
        )
    mint = Custody(turn, present.operator)
    org = draft(act.document, present, mint, operator=act.operator, prune=prune, now=turn.now)
    changes = tuple(changes_of(org))
    outcomes = _Applying(turn, org, present, mint).everything()
    if changes:
        turn.record(
            EventCode.PLAN_APPLIED,
            org.public,
            detail={
                "path": act.document.name,
                "changes": len(changes),
                "sha256": act.document.digest,
                "operator": org.name,
            },
        )
    return Applied(org.name, changes, tuple(outcomes), tuple(dict.fromkeys([*org.notes, *turn.notes])))


class _Applying:
    """One document's way into the store."""

    def __init__(self, turn: Turn, org: OrgDraft, present: Present, mint: Custody) -> None:
        self._turn = turn
        self._org = org
        self._present = present
        self._mint = mint
        self._outcomes: list[Outcome] = []

    def everything(self) -> list[Outcome]:
        operator, org = self._operator(), self._org
        if org.operator_changed:
            code = EventCode.OPERATOR_CREATED if org.before is None else EventCode.OPERATOR_CHANGED
            self._outcomes.append(sign_operator(self._turn, operator, org.after, code))
        for account in org.accounts:
            self._activate(account)
        for account in org.accounts:
            self._account(account, operator)
        if org.policy is not None:
            put_in_force(self._turn, org.policy, operator.public)
        for row in org.dropped_accounts:
            self._outcomes.append(delete_account(self._turn, DeleteAccount(row.public, operator.public)))
        return self._outcomes

    def _operator(self) -> Operator:
        if self._mint.operator_row is None:
            raise Defect("a document was applied without an operator")
        return self._mint.operator_row

    def _row(self, account: AccountDraft) -> Account:
        return account.row or self._mint.accounts[account.public]

    # Activations are signed before the accounts that carry them

    def _activate(self, account: AccountDraft) -> None:
        for due in account.due:
            outcome = self._activation(account, due)
            account.after = with_activation(account.after, due.index, outcome.token or "")
            self._outcomes.append(outcome)

    def _activation(self, account: AccountDraft, due: Due) -> Outcome:
        exporter, row = self._exporter(due.exporter)
        entry = account.after.nats.imports[due.index]
        return sign_activation(
            self._turn,
            self._org.after,
            exporter,
            row.id,
            due.export,
            importer=account.public,
            subject=entry.subject,
            validity=Validity(expires=due.expires),
        )

    def _exporter(self, public: PublicKey) -> tuple[AccountClaims, Account]:
        for account in self._org.accounts:
            if account.public == public:
                return account.after, self._row(account)
        return self._present.exporters[public], self._present.exporter_rows[public]

    # Accounts and their users

    def _account(self, account: AccountDraft, operator: Operator) -> None:
        row, turn = self._row(account), self._turn
        if account.changed:
            code = EventCode.ACCOUNT_CREATED if account.before is None else EventCode.ACCOUNT_CHANGED
            detail: dict[str, str | int | bool] = {"what": "declared"}
            outcome = sign_account(turn, row, account.after, code, operator=operator, detail=detail)
            self._outcomes.append(outcome)
        for user in account.users:
            if user.changed:
                self._user(user, account, row)
        for dropped in account.dropped_users:
            retire_user(turn, row, dropped, revoked=True)

    def _user(self, user: UserDraft, account: AccountDraft, owner: Account) -> None:
        turn = self._turn
        role = user.role or self._unnamed_role(user, account)
        signer, scope = user_signer(turn, self._org.after, account.after, role or None)
        row = user.row
        if row is None:
            row = hierarchy.add_user(
                turn.unit,
                self._mint.user_ids[user.public],
                owner.id,
                user.public,
                user.part.name,
                role=user.role,
                issuer=signer.public,
                now=turn.now,
            )
        elif user.role != row.role:
            hierarchy.set_user_role(turn.unit, row, user.role)
        issuer_account = "" if signer.public == account.public and scope is None else account.public
        claims = msgspec.structs.replace(
            user.after, nats=msgspec.structs.replace(user.after.nats, issuer_account=issuer_account)
        )
        code = EventCode.USER_ISSUED if user.before is None else EventCode.USER_CHANGED
        detail: dict[str, str | int | bool] = {
            "account": account.public,
            "role": user.role,
            "expires": claims.exp,
        }
        self._outcomes.append(sign_user(turn, row, claims, account.after, signer, code, detail))

    def _unnamed_role(self, user: UserDraft, account: AccountDraft) -> str:
        """A role without a name is known by its key, which signed the user before."""
        if user.before is None or user.part.role is not None:
            return ""
        scope = account.after.scope(user.before.iss)
        return scope.key if scope is not None else ""
