"""Naming things: from what a person typed to the row it means, or a refusal that helps."""

from __future__ import annotations

from issuer.errors import NotFound
from issuer.store import hierarchy
from issuer.store.hierarchy import Account, Operator, User
from issuer.store.unit import Unit


def the_operator(unit: Unit, ref: str | None) -> Operator:
    """The operator named, or the only one there is.

    Raises:
        NotFound: there is none of that name, none at all, or several to choose from.
    """
    if ref:
        found = hierarchy.find_operator(unit, ref)
        if found is None:
            raise NotFound(f"no operator {ref!r}", at="operator", hint="accredit list operators")
        return found
    rows = list(hierarchy.operators(unit))
    if not rows:
        raise NotFound("there is no operator yet", hint="accredit init")
    if len(rows) > 1:
        names = ", ".join(row.name for row in rows)
        raise NotFound("which operator", at="operator", hint=f"choose with --operator: {names}")
    return rows[0]


def the_account(unit: Unit, operator: Operator, ref: str) -> Account:
    found = hierarchy.find_account(unit, operator.id, ref)
    if found is None:
        raise NotFound(
            f"operator {operator.name!r} has no account {ref!r}",
            at="account",
            hint="accredit list accounts",
        )
    return found


def the_user(unit: Unit, account: Account, ref: str) -> User:
    found = hierarchy.find_user(unit, account.id, ref)
    if found is None:
        raise NotFound(
            f"account {account.name!r} has no user {ref!r}",
            at="user",
            hint=f"accredit list users --account {account.name}",
        )
    return found


def operator_of(unit: Unit, account: Account) -> Operator:
    row = hierarchy.operator_by_id(unit, account.operator_id)
    if row is None:
        raise NotFound(f"the operator of account {account.name!r} is gone")
    return row
