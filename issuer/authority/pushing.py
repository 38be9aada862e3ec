"""The user that pushes: of the system account, short-lived, allowed the few subjects it needs.

Nobody keeps its seed: each connection gets a new one (nsc's own user has the right idea and too
short a list). It cannot reload, drain or kick servers, nor see other accounts' messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from issuer.audit.catalogue import EventCode
from issuer.authority.changes import PermissionChange, with_permissions
from issuer.authority.desk import Turn
from issuer.authority.finding import the_operator
from issuer.authority.signing import first_held, head, operator_keys, plain_keys
from issuer.claims.account import AccountClaims
from issuer.claims.fields import ResponsePermission
from issuer.claims.operator import OperatorClaims
from issuer.claims.user import new_user
from issuer.custody.keyring import Keyring
from issuer.errors import NotFound, Refused
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.store import hierarchy
from issuer.store.hierarchy import Operator
from issuer.store.unit import Unit
from issuer.tokens.envelope import Token, encode
from issuer.tokens.signer import Signer

NAME: Final = "accredit-pusher"
# A command's push, and a service's connection, which is made anew when its user ends.
COMMAND_SECONDS: Final = 120
SERVICE_SECONDS: Final = 3600

_ASKS: Final = (
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.SERVER.PING.CONNZ",
    "$SYS.REQ.SERVER.*.ACCOUNTZ",
    "$SYS.REQ.CLAIMS.UPDATE",
    "$SYS.REQ.CLAIMS.DELETE",
    "$SYS.REQ.CLAIMS.LIST",
    "$SYS.REQ.CLAIMS.PACK",
    "$SYS.REQ.ACCOUNT.*.CLAIMS.UPDATE",
    "$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP",
    "$SYS.REQ.ACCOUNT.*.INFO",
)
_HEARS: Final = (
    "_INBOX_accredit.>",
    "$SYS.SERVER.*.STATSZ",
    "$SYS.SERVER.*.SHUTDOWN",
    "$SYS.ACCOUNT.*.SERVER.CONNS",
)
# A service also answers servers that look accounts up.
_ANSWERS: Final = ("$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP",)
_ANSWER_NANOSECONDS: Final = 5 * 10**9


class NoSystemAccount(Refused):
    """Servers are managed through a system account, and the operator names none."""

    code = "push.no-system-account"


@dataclass(frozen=True, slots=True)
class MintPusher:
    """A user for one command's push."""

    operator: str | None = None


@dataclass(frozen=True, slots=True)
class PushUser:
    """Its token and seed; never shown by `repr`."""

    token: Token
    seed: Seed

    def __repr__(self) -> str:
        return f"PushUser({self.seed.public}, hidden)"


def issue_pusher(turn: Turn, act: MintPusher) -> PushUser:
    """A user for a command's push; that it was signed is an event."""
    operator = the_operator(turn.unit, act.operator)
    token, seed = mint_pusher(turn.unit, turn.keyring, operator, turn.now, serving=False)
    turn.record(
        EventCode.TOKEN_SIGNED,
        seed.public,
        targets=(operator.public,),
        detail={"kind": "user", "name": NAME, "expires": turn.now + COMMAND_SECONDS},
    )
    return PushUser(token, seed)


def mint_pusher(
    unit: Unit, keyring: Keyring, operator: Operator, now: int, *, serving: bool = True
) -> tuple[Token, Seed]:
    """A user of the system account that may deliver and look, and while `serving` answer lookups.

    Raises:
        NoSystemAccount: the operator names none.
        NotFound: no key that may sign for it is stored here.
    """
    account, signer = system_signer(unit, keyring, operator)
    seed = Seed.generate(Role.USER)
    owner = None if signer.public == account else account
    claims = new_user(seed.public, NAME, account=owner)
    answers = ResponsePermission(max=1, ttl=_ANSWER_NANOSECONDS) if serving else None
    change = PermissionChange(
        allow_pub=_ASKS, allow_sub=(*_HEARS, *_ANSWERS) if serving else _HEARS, responses=answers
    )
    ends = now + (SERVICE_SECONDS if serving else COMMAND_SECONDS)
    claims = msgspec.structs.replace(claims, exp=ends, nats=with_permissions(claims.nats, change))
    return encode(claims, signer, now=now).token, seed


def system_signer(unit: Unit, keyring: Keyring, operator: Operator) -> tuple[PublicKey, Signer]:
    """The system account, and a key that signs users for it.

    Raises:
        NoSystemAccount: the operator names none.
        NotFound: no key that may sign for it is stored here.
    """
    authority: OperatorClaims = head(unit, "operator", operator.id).claims
    system = authority.nats.system_account
    if not system:
        raise NoSystemAccount(
            f"operator {operator.name!r} has no system account, through which servers are managed",
            hint="accredit edit operator --system-account NAME",
        )
    row = hierarchy.account_by_public(unit, system)
    if row is None:
        raise NotFound(f"the system account {system} is not known here", hint="accredit import account")
    account: AccountClaims = head(unit, "account", row.id).claims
    return account.sub, keyring.signer(unit, _signing_key(unit, keyring, authority, account))


def deletion_signer(unit: Unit, keyring: Keyring, operator: Operator) -> Signer:
    """An operator key: what servers believe a deletion from (enforcement spec §5.5).

    Raises:
        NotFound: none that may sign is stored here.
    """
    claims: OperatorClaims = head(unit, "operator", operator.id).claims
    return first_held(unit, keyring, operator_keys(claims), f"operator {claims.name!r}")


def _signing_key(
    unit: Unit, keyring: Keyring, authority: OperatorClaims, account: AccountClaims
) -> PublicKey:
    """The account's identity, or where that may not sign a plain signing key: never a role's (nsc#719)."""
    for public in plain_keys(account, authority):
        if keyring.has(unit, public):
            return public
    raise NotFound(
        f"no key that may sign for the system account {account.name!r} is stored here",
        hint="accredit import keys, or accredit edit account --sk generate",
    )
