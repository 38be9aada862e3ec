"""Does acts on a store, one after another, until somebody kills it. Prints what was acknowledged."""

from __future__ import annotations

import sys
import time
from itertools import count

from issuer.audit.checkpoints import create_log_key
from issuer.authority.accounts import (
    AddAccount,
    DeleteAccount,
    EditAccount,
    add_account,
    delete_account,
    edit_account,
)
from issuer.authority.desk import Actor, Authority
from issuer.authority.issuing import IssueUsers, issue_many
from issuer.authority.operators import AddOperator, add_operator
from issuer.authority.revocations import RevokeUser, revoke_user
from issuer.authority.roles import EditRole, edit_role
from issuer.authority.users import AddUser, DeleteUser, add_user, delete_user
from issuer.custody.keyring import Keyring
from issuer.custody.master import MasterKey
from issuer.store.unit import Database

ACTOR = Actor("driver", "test")


def main(url: str, run: str) -> None:
    database = Database.open(url, create=True)
    keyring, moments = Keyring(MasterKey(bytes(32))), count(int(time.time()))
    # A second an act, so that each signs a checkpoint.
    authority = Authority(database, keyring, clock=lambda: next(moments))
    with database.writing() as unit:
        create_log_key(unit, keyring, str(ACTOR), next(moments))

    def do(function, act):  # type: ignore[no-untyped-def]
        outcome = authority.perform(function, act, ACTOR)
        print(outcome.public, flush=True)

    operator = f"OP{run}"
    do(add_operator, AddOperator(operator))
    for index in count():
        name = f"A{index}"
        do(add_account, AddAccount(name, operator=operator))
        do(edit_account, EditAccount(name, operator=operator, limits={"conn": index}))
        do(edit_role, EditRole(name, role="r", operator=operator))
        do(add_user, AddUser("u", name, operator=operator, role="r"))
        do(add_user, AddUser("v", name, operator=operator))
        do(revoke_user, RevokeUser("u", name, operator=operator))
        do(delete_user, DeleteUser("v", name, operator=operator))
        bulk = IssueUsers(name, (), operator=operator)
        for user in issue_many(authority, bulk, (f"m{number}" for number in range(200)), ACTOR):
            print(user.public)
        sys.stdout.flush()
        if index % 3 == 2:
            do(delete_account, DeleteAccount(name, operator=operator))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
