"""Auth-callout settings of an account (claims spec §3.2 `authorization`)."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from issuer.authority.accounts import resign
from issuer.authority.desk import Outcome, Turn
from issuer.authority.finding import the_account, the_operator, the_user
from issuer.authority.keeping import GENERATE, keep_signing_key
from issuer.authority.signing import head
from issuer.claims.account import AccountClaims, ExternalAuthorization
from issuer.claims.fields import with_body
from issuer.keys.nkeys import Role, Seed, is_public, parse_public


@dataclass(frozen=True, slots=True)
class EditCallout:
    """Who answers logins for an account, into which accounts, and whether sealed.

    Users and accounts are named or given by key; `xkey` is an X key, "generate", or "" for none.
    """

    account: str
    operator: str | None = None
    add_users: tuple[str, ...] = ()
    remove_users: tuple[str, ...] = ()
    add_accounts: tuple[str, ...] = ()
    remove_accounts: tuple[str, ...] = ()
    xkey: str | None = None
    disable: bool = False


def edit_callout(turn: Turn, act: EditCallout) -> Outcome:
    operator = the_operator(turn.unit, act.operator)
    row = the_account(turn.unit, operator, act.account)
    claims: AccountClaims = head(turn, "account", row.id).claims

    def user_key(ref: str) -> str:
        return ref if is_public(ref, Role.USER) else the_user(turn.unit, row, ref).public

    def account_key(ref: str) -> str:
        if ref == "*" or is_public(ref, Role.ACCOUNT):
            return ref
        return the_account(turn.unit, operator, ref).public

    setting = ExternalAuthorization() if act.disable else claims.nats.authorization
    gone_users = {user_key(ref) for ref in act.remove_users}
    gone_accounts = {account_key(ref) for ref in act.remove_accounts}
    users = [key for key in setting.auth_users if key not in gone_users]
    accounts = [key for key in setting.allowed_accounts if key not in gone_accounts]
    xkey = setting.xkey
    if act.xkey == GENERATE:
        xkey = keep_signing_key(turn, Seed.generate(Role.CURVE), owner_id=row.id, purpose="curve")
    elif act.xkey is not None:
        xkey = parse_public(act.xkey, Role.CURVE, at="--curve") if act.xkey else ""
    changed = msgspec.structs.replace(
        setting,
        auth_users=tuple(dict.fromkeys([*users, *map(user_key, act.add_users)])),
        allowed_accounts=tuple(dict.fromkeys([*accounts, *map(account_key, act.add_accounts)])),
        xkey=xkey,
    )
    return resign(turn, row, claims, with_body(claims, authorization=changed), "auth callout")
