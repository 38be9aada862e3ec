"""Users by the thousand: three tables, one pass each (events go through `audit.log.append_many`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from issuer.store import schema
from issuer.store.unit import Unit

_KEYS: Final = ("id", "block", "public", "role", "purpose", "sealed", "stored_at")
_USERS: Final = (
    "id", "account_id", "name", "role", "issuer", "head", "issued_at", "expires_at", "created_at",
)  # fmt: skip
_TOKENS: Final = ("key_id", "kind", "version", "jti", "sha256", "iat", "exp", "issuer", "token")


class NewUser(msgspec.Struct, frozen=True, gc=False):
    """What differs from user to user. `sealed` is None for a user who keeps their own seed."""

    id: int
    public: str
    name: str
    sealed: bytes | None
    jti: str
    sha256: str
    token: str

    def __repr__(self) -> str:
        return f"NewUser({self.name!r}, {self.public})"


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """What all users of a batch share."""

    account_id: int
    role: str
    issuer: str
    issued_at: int
    expires_at: int | None
    now: int


def insert_users(unit: Unit, common: Common, rows: Sequence[NewUser]) -> None:
    """Keys, users and first tokens of a batch, ids from `hierarchy.allocate_ids` in rising order.

    The keys have to be newly made: nobody looks whether they are known already.

    Raises:
        AlreadyExists: a name of the batch is taken; nothing of it is kept.
    """
    now, issued, exp, issuer = common.now, common.issued_at, common.expires_at, common.issuer
    account, role = common.account_id, common.role
    unit.put(
        schema.keys,
        _KEYS,
        [(row.id, schema.block_of(row.id), row.public, "U", "identity", row.sealed, now) for row in rows],
    )
    unit.put(
        schema.users,
        _USERS,
        [(row.id, account, row.name, role, issuer, 1, issued, exp, now) for row in rows],
    )
    unit.put(
        schema.tokens,
        _TOKENS,
        [(row.id, "user", 1, row.jti, row.sha256, issued, exp, issuer, row.token) for row in rows],
    )
