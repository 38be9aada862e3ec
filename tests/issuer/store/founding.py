"""A small hierarchy for tests that need something to stand on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from issuer.audit.catalogue import EventCode
from issuer.audit.log import Event, append
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.store import hierarchy, keys
from issuer.store.hierarchy import Account, Operator, TokenVersion, User
from issuer.store.unit import Database, Unit

NOW = 1_700_000_000


@dataclass(frozen=True)
class Founded:
    operator: Operator
    account: Account


def public_key(role: Role) -> PublicKey:
    return Seed.generate(role).public


def told(unit: Unit, code: EventCode = EventCode.ACCOUNT_CHANGED) -> None:
    """The event without which nothing is committed."""
    append(unit, Event(code, "test"), NOW)


def token_values(text: str, *, iat: int = NOW, exp: int | None = None) -> dict[str, Any]:
    return {
        "jti": f"jti of {text}",
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "iat": iat,
        "exp": exp,
        "issuer": "somebody",
        "token": text,
    }


def new_key(unit: Unit, role: Role, *, owner_id: int | None = None) -> tuple[int, PublicKey]:
    public = public_key(role)
    row_id = hierarchy.allocate_ids(unit, 1)[0]
    purpose = "identity" if owner_id is None else "signing"
    keys.insert_key(unit, row_id, public, role.letter, purpose, owner_id, None, NOW)
    return row_id, public


def new_account(unit: Unit, operator: Operator, name: str) -> Account:
    row_id, public = new_key(unit, Role.ACCOUNT)
    row = hierarchy.add_account(unit, row_id, operator.id, public, name, now=NOW)
    hierarchy.save_version(unit, "account", row.id, 0, **token_values(f"token of {name}"))
    return row


def new_user(
    unit: Unit, account: Account, name: str, *, iat: int = NOW, exp: int | None = None
) -> tuple[User, TokenVersion]:
    row_id, public = new_key(unit, Role.USER)
    row = hierarchy.add_user(unit, row_id, account.id, public, name, role="", issuer=account.public, now=NOW)
    values = token_values(f"token of {name}", iat=iat, exp=exp)
    return row, hierarchy.save_version(unit, "user", row.id, 0, **values)


def found(database: Database) -> Founded:
    """An operator with one account, each with its first token."""
    with database.writing() as unit:
        row_id, public = new_key(unit, Role.OPERATOR)
        operator = hierarchy.add_operator(unit, row_id, public, "Acme", now=NOW)
        hierarchy.save_version(unit, "operator", operator.id, 0, **token_values("token of Acme"))
        new_account(unit, operator, "Orders")
        told(unit)
    with database.reading() as unit:
        account = hierarchy.find_account(unit, operator.id, "Orders")
        again = hierarchy.find_operator(unit, "Acme")
    assert account is not None
    assert again is not None
    return Founded(again, account)
