"""Drafts: what each thing is now and what it shall be, before anything is signed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from issuer.authority.plan.document import AccountPart, ImportPart, PolicyPart, UserPart
from issuer.authority.plan.source import Where
from issuer.claims.account import AccountClaims, Export
from issuer.claims.operator import OperatorClaims
from issuer.claims.user import UserClaims
from issuer.keys.nkeys import PublicKey, Role
from issuer.store.grants import PolicyVersion
from issuer.store.hierarchy import Account, Operator, User


class Mint(Protocol):
    """Where new keys come from: custody when a plan is applied, placeholders when it is made.

    Identities are asked for before anything refers to them, signing keys of an owner after.
    """

    def operator(self, name: str) -> PublicKey: ...
    def account(self, name: str, given: PublicKey | None) -> PublicKey: ...
    def user(self, account: PublicKey, name: str, given: PublicKey | None) -> PublicKey: ...
    def signing_key(self, owner: PublicKey, role: Role, what: str) -> PublicKey: ...


@dataclass(slots=True)
class UserDraft:
    """A user declared. `resign`: the key that signed it may no longer."""

    part: UserPart
    account: AccountPart
    row: User | None
    public: PublicKey
    before: UserClaims | None
    after: UserClaims
    role: str
    role_before: str = ""
    scoped_before: bool = False
    resign: bool = False

    @property
    def changed(self) -> bool:
        return self.before is None or self.after != self.before or self.resign


@dataclass(frozen=True, slots=True)
class Due:
    """An activation that has to be signed for an import. `why` says what is wrong with the present one."""

    index: int
    exporter: PublicKey
    export: Export
    expires: int
    why: str


@dataclass(slots=True)
class AccountDraft:
    """An account declared. Its imports' activations are still to be signed when `due` names them."""

    part: AccountPart
    row: Account | None
    public: PublicKey
    before: AccountClaims | None
    after: AccountClaims
    resign: bool = False
    # The declared imports, and where they stand in `after`.
    imports: list[tuple[ImportPart, int]] = field(default_factory=list)
    due: list[Due] = field(default_factory=list)
    users: list[UserDraft] = field(default_factory=list)
    dropped_users: list[User] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        if self.before is None or self.resign or self.due:
            return True
        return msgspec.structs.replace(self.after, nats=self.after.nats.sorted()) != self.before


@dataclass(frozen=True, slots=True)
class PolicyDraft:
    """The callout's policy declared, and the one in force."""

    part: PolicyPart
    before: PolicyVersion | None

    @property
    def changed(self) -> bool:
        return self.before is None or self.before.body != self.part.body


@dataclass(slots=True)
class OrgDraft:
    """The whole of what a document is about."""

    name: str
    row: Operator | None
    public: PublicKey
    before: OperatorClaims | None
    after: OperatorClaims
    where: Where
    accounts: list[AccountDraft] = field(default_factory=list)
    dropped_accounts: list[Account] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    policy: PolicyDraft | None = None

    @property
    def operator_changed(self) -> bool:
        return self.before is None or self.after != self.before

    def users(self) -> Iterator[UserDraft]:
        for account in self.accounts:
            yield from account.users

    def name_of(self, public: str) -> str:
        """The name of an account or user, else its key."""
        return self.names.get(public, public)
