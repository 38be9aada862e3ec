"""Users of the system account for one task each: short-lived, allowed what that task needs and no more.

Nobody keeps their seeds: each connection gets a new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from issuer.audit.catalogue import EventCode
from issuer.audit.server_events import SUBJECTS
from issuer.authority.changes import PermissionChange, with_permissions
from issuer.authority.desk import Turn
from issuer.authority.finding import the_operator
from issuer.authority.signing import head, plain_keys
from issuer.claims.account import AccountClaims
from issuer.claims.fields import ResponsePermission
from issuer.claims.operator import OperatorClaims
from issuer.claims.user import new_user
from issuer.custody.keyring import Keyring
from issuer.errors import NotFound, Refused
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.store import hierarchy
from issuer.store.connections import note_service_user
from issuer.store.hierarchy import Operator
from issuer.store.unit import Unit
from issuer.tokens.envelope import Token, encode, token_hash
from issuer.tokens.signer import Signer

_INBOX: Final = "_INBOX_accredit.>"


class NoSystemAccount(Refused):
    """Servers are managed through a system account, and the operator names none."""

    code = "push.no-system-account"


@dataclass(frozen=True, slots=True)
class Task:
    """What a user is for: its name, the subjects it may ask and hear, and how many seconds it lasts."""

    name: str
    asks: tuple[str, ...]
    hears: tuple[str, ...]
    seconds: int
    answers: ResponsePermission | None = None
    """How often it may answer what it hears, and for how long."""


EVICTOR: Final = Task(
    "accredit-evictor",
    ("$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.*.KICK", "$SYS.REQ.SERVER.*.CONNZ"),
    (_INBOX,),
    120,
)
"""Ends connections."""
WATCHER: Final = Task(
    "accredit-watcher",
    ("$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.*.CONNZ"),
    (_INBOX, "$SYS.ACCOUNT.*.DISCONNECT"),
    3600,
)
"""Hears which connections end; ends none."""


LISTENER: Final = Task("accredit-listener", (), (_INBOX, *SUBJECTS.values()), 3600)
"""Hears who connects, who leaves and who is refused, for the log."""


def mint_system_user(
    unit: Unit, keyring: Keyring, operator: Operator, task: Task, now: int
) -> tuple[Token, Seed]:
    """A fresh user, noted as one of our own; in a unit for noting, or an act's.

    Raises:
        NoSystemAccount: the operator names none.
        NotFound: no key that may sign for it is stored here.
    """
    account, signer = _system_signer(unit, keyring, operator)
    return mint_user(unit, account, signer, task, now)


def mint_user(unit: Unit, account: PublicKey, signer: Signer, task: Task, now: int) -> tuple[Token, Seed]:
    """A fresh user of any account for a task, noted as one of our own."""
    seed = Seed.generate(Role.USER)
    claims = new_user(seed.public, task.name, account=None if signer.public == account else account)
    change = PermissionChange(allow_pub=task.asks, allow_sub=task.hears, responses=task.answers)
    body = with_permissions(claims.nats, change)
    claims = msgspec.structs.replace(claims, exp=now + task.seconds, nats=body)
    token = encode(claims, signer, now=now).token
    # Or the log would take it for one that somebody made with our key.
    note_service_user(unit, seed.public, task.name, token_hash(token), expires_at=now + task.seconds, now=now)
    return token, seed


@dataclass(frozen=True, slots=True)
class IssueSystemUser:
    """A user for one command's task."""

    task: Task
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class SystemUser:
    """Its token and seed; never shown by `repr`."""

    token: Token
    seed: Seed

    def __repr__(self) -> str:
        return f"SystemUser({self.seed.public}, hidden)"


def issue_system_user(turn: Turn, act: IssueSystemUser) -> SystemUser:
    """A user; that it was signed is an event."""
    operator = the_operator(turn.unit, act.operator)
    token, seed = mint_system_user(turn.unit, turn.keyring, operator, act.task, turn.now)
    turn.record(
        EventCode.TOKEN_SIGNED,
        seed.public,
        targets=(operator.public,),
        detail={"kind": "user", "name": act.task.name, "expires": turn.now + act.task.seconds},
    )
    return SystemUser(token, seed)


def _system_signer(unit: Unit, keyring: Keyring, operator: Operator) -> tuple[PublicKey, Signer]:
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
    return account_signer(unit, keyring, authority, head(unit, "account", row.id).claims)


def account_signer(
    unit: Unit, keyring: Keyring, authority: OperatorClaims, account: AccountClaims
) -> tuple[PublicKey, Signer]:
    """An account, and a key that signs users in its own name.

    Raises:
        NotFound: no such key is stored here.
    """
    # Its identity, or where that may not sign a plain signing key: never a role's (nsc#719).
    for public in plain_keys(account, authority):
        if keyring.has(unit, public):
            return account.sub, keyring.signer(unit, public)
    raise NotFound(
        f"no key that may sign for the account {account.name!r} is stored here",
        hint="accredit import keys, or accredit edit account --sk generate",
    )
