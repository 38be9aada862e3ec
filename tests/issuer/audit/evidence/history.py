"""What is done in the house before evidence is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from issuer.audit.catalogue import EventCode
from issuer.audit.log import Event, append
from issuer.authority.accounts import AddAccount, DeleteAccount, add_account, delete_account
from issuer.authority.changes import LimitChange, PermissionChange, TagChange
from issuer.authority.issuing import IssueUsers, issue_users
from issuer.authority.operators import AddOperator, EditOperator, add_operator, edit_operator
from issuer.authority.revocations import RevokeUser, revoke_user
from issuer.authority.roles import EditRole, RemoveRole, edit_role, remove_role
from issuer.authority.users import AddUser, DeleteUser, EditUser, add_user, delete_user, edit_user
from issuer.errors import Refused

if TYPE_CHECKING:
    from tests.issuer.audit.evidence.conftest import House


def found(house: House) -> None:
    """An operator GRID, strict, accounts METERS and BILLING, roles, users of all kinds."""
    house.do(add_operator, AddOperator("GRID", signing_key=True))
    house.do(add_account, AddAccount("METERS"))
    house.do(add_account, AddAccount("BILLING"))
    house.do(edit_role, EditRole("METERS", "reader", permissions=PermissionChange(allow_sub=("m.>",))))
    house.do(edit_role, EditRole("METERS", "short-lived"))
    house.do(add_user, AddUser("pump", "METERS", role="reader"), reason="wanted by grace")
    house.do(add_user, AddUser("gone-role", "METERS", role="short-lived"))
    house.do(add_user, AddUser("door", "METERS", limits=LimitChange(bearer=True)))
    house.do(add_user, AddUser("clerk", "BILLING"))
    house.do(issue_users, IssueUsers("METERS", tuple(f"m{number}" for number in range(30)), role="reader"))


def go_on(house: House) -> None:
    """Changes, refusals and ends of what was there."""
    house.do(edit_user, EditUser("clerk", "BILLING", permissions=PermissionChange(allow_pub=("b.>",))))
    house.do(revoke_user, RevokeUser("m1", "METERS"), reason="lost <b>&")
    house.do(delete_user, DeleteUser("m2", "METERS"))
    house.do(remove_role, RemoveRole("METERS", "short-lived", even_if_used=True))
    with pytest.raises(Refused):
        house.do(revoke_user, RevokeUser("nobody", "METERS"))
    house.do(add_account, AddAccount("TRIAL"))
    house.do(add_user, AddUser("guest", "TRIAL"))
    house.do(delete_account, DeleteAccount("TRIAL"))
    with house.database.writing() as unit:
        detail: dict[str, str | int | bool] = {"subject": "linus", "address": "192.0.2.1"}
        append(
            unit, Event(EventCode.LOGIN_REFUSED, "callout", outcome="refused", detail=detail), house.clock[0]
        )
    house.do(edit_operator, EditOperator(tags=TagChange(("grid",))))
