"""Founding a whole hierarchy in one act: all of it is there, or none."""

from __future__ import annotations

from dataclasses import dataclass

from issuer.authority.accounts import AddAccount, add_account
from issuer.authority.desk import Outcome, Turn
from issuer.authority.operators import AddOperator, EditOperator, add_operator, edit_operator
from issuer.authority.users import AddUser, add_user


@dataclass(frozen=True, slots=True)
class Found:
    """An operator with its system account, one more account, and a user in it."""

    operator: str
    account: str
    user: str
    service_urls: tuple[str, ...] = ()
    signing_key: bool = False


@dataclass(frozen=True, slots=True)
class Founded:
    operator: Outcome
    account: Outcome
    user: Outcome


def found(turn: Turn, act: Found) -> Founded:
    operator = add_operator(turn, AddOperator(act.operator, signing_key=act.signing_key))
    if act.service_urls:
        edit_operator(turn, EditOperator(act.operator, add_service_urls=act.service_urls))
    account = add_account(turn, AddAccount(act.account, operator=act.operator))
    user = add_user(turn, AddUser(act.user, act.account, operator=act.operator))
    return Founded(operator, account, user)
