"""An account whose logins a callout decides, set up in one step (callout spec §0, enforcement spec §6).

The account holds nothing else: a user for the service, who may hear questions and answer them, and
the sentinel, a token that every client shows and that by itself may do nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from issuer.authority.accounts import AddAccount, add_account
from issuer.authority.callouts import EditCallout, edit_callout
from issuer.authority.changes import LimitChange, PermissionChange
from issuer.authority.desk import Outcome, Turn
from issuer.authority.finding import the_operator
from issuer.authority.keeping import GENERATE
from issuer.authority.signing import head
from issuer.authority.users import AddUser, add_user
from issuer.claims.account import AccountClaims
from issuer.store import hierarchy

SERVICE: Final = "callout"
SENTINEL: Final = "sentinel"
QUESTIONS: Final = "$SYS.REQ.USER.AUTH"
ANSWERS: Final = "$SYS._INBOX.>"
_EVERYTHING: Final = (">",)


@dataclass(frozen=True, slots=True)
class EnableCallout:
    """Let a callout decide logins at `account`, made if it is not there, into `accounts` and itself.

    Questions and answers are sealed unless `sealed` is False.
    """

    account: str
    accounts: tuple[str, ...]
    operator: str | None = None
    sealed: bool = True


def enable_callout(turn: Turn, act: EnableCallout) -> Outcome:
    """The account's new token; run again it only adds what is missing.

    Raises:
        NotFound: an account to place logins in does not exist.
    """
    operator = the_operator(turn.unit, act.operator)
    row = hierarchy.find_account(turn.unit, operator.id, act.account)
    if row is None:
        add_account(turn, AddAccount(act.account, operator=act.operator))
        row = hierarchy.find_account(turn.unit, operator.id, act.account)
    assert row is not None  # noqa: S101  found, or made just now
    users = (
        AddUser(
            SERVICE,
            act.account,
            operator=act.operator,
            permissions=PermissionChange(allow_pub=(ANSWERS,), allow_sub=(QUESTIONS,)),
        ),
        AddUser(
            SENTINEL,
            act.account,
            operator=act.operator,
            permissions=PermissionChange(deny_pub=_EVERYTHING, deny_sub=_EVERYTHING),
            limits=LimitChange(bearer=True),
        ),
    )
    for user in users:
        if hierarchy.find_user(turn.unit, row.id, user.name) is None:
            add_user(turn, user)
    claims: AccountClaims = head(turn, "account", row.id).claims
    has_key = bool(claims.nats.authorization.xkey)
    xkey = None if act.sealed is has_key else GENERATE if act.sealed else ""
    return edit_callout(
        turn,
        EditCallout(
            act.account,
            operator=act.operator,
            add_users=(SERVICE,),
            add_accounts=act.accounts,
            xkey=xkey,
        ),
    )
