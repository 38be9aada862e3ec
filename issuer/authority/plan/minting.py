"""Where the keys of a draft come from: thrown away when planning, taken into custody when applying."""

from __future__ import annotations

from typing import Final

from issuer.authority.desk import Turn
from issuer.authority.keeping import keep_identity, keep_signing_key
from issuer.errors import Defect
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.store import hierarchy, keys
from issuer.store.hierarchy import Account, Operator

_PURPOSES: Final = {Role.CURVE: "curve"}


class Placeholders:
    """Keys that only a plan sees."""

    def operator(self, name: str) -> PublicKey:
        return Seed.generate(Role.OPERATOR).public

    def account(self, name: str, given: PublicKey | None) -> PublicKey:
        return given or Seed.generate(Role.ACCOUNT).public

    def user(self, account: PublicKey, name: str, given: PublicKey | None) -> PublicKey:
        return given or Seed.generate(Role.USER).public

    def signing_key(self, owner: PublicKey, role: Role, what: str) -> PublicKey:
        return Seed.generate(role).public


class Custody:
    """Keys made and sealed in the act's transaction, with the rows of what they are the identity of."""

    def __init__(self, turn: Turn, operator: Operator | None) -> None:
        self._turn = turn
        self.operator_row = operator
        self.accounts: dict[PublicKey, Account] = {}
        self.user_ids: dict[PublicKey, int] = {}

    def operator(self, name: str) -> PublicKey:
        turn, seed = self._turn, Seed.generate(Role.OPERATOR)
        row_id = keep_identity(turn, seed)
        self.operator_row = hierarchy.add_operator(turn.unit, row_id, seed.public, name, now=turn.now)
        return seed.public

    def account(self, name: str, given: PublicKey | None) -> PublicKey:
        turn, key = self._turn, given or Seed.generate(Role.ACCOUNT)
        if self.operator_row is None:
            raise Defect("an account was asked for before its operator")
        public = key.public if isinstance(key, Seed) else key
        row_id = keep_identity(turn, key)
        self.accounts[public] = hierarchy.add_account(
            turn.unit, row_id, self.operator_row.id, public, name, now=turn.now
        )
        return public

    def user(self, account: PublicKey, name: str, given: PublicKey | None) -> PublicKey:
        key = given or Seed.generate(Role.USER)
        public = key.public if isinstance(key, Seed) else key
        # Its row names the key that signs it, which is known later.
        self.user_ids[public] = keep_identity(self._turn, key)
        return public

    def signing_key(self, owner: PublicKey, role: Role, what: str) -> PublicKey:
        row = keys.find_key(self._turn.unit, owner)
        if row is None:
            raise Defect(f"a signing key was asked for before its owner {owner}")
        purpose = _PURPOSES.get(role, "signing")
        return keep_signing_key(self._turn, Seed.generate(role), owner_id=row.id, purpose=purpose)
