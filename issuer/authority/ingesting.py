"""An account whose stream keeps what servers say, until it is in the log (enforcement spec §4.1, §7).

The system account cannot have a stream (JetStream is refused to it). It exports the events of connections,
to nobody but who shows an activation; the account imports them, and has JetStream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from issuer.audit.server_events import IMPORTED, SUBJECTS
from issuer.authority.accounts import AddAccount, EditAccount, add_account, edit_account
from issuer.authority.desk import Outcome, Turn
from issuer.authority.finding import the_operator
from issuer.authority.sharing import (
    AddExport,
    AddImport,
    GenerateActivation,
    add_export,
    add_import,
    generate_activation,
)
from issuer.authority.signing import head
from issuer.authority.system_users import NoSystemAccount, Task, account_signer, mint_user
from issuer.claims.account import AccountClaims
from issuer.claims.operator import OperatorClaims
from issuer.custody.keyring import Keyring
from issuer.errors import NotFound
from issuer.store import hierarchy
from issuer.store.hierarchy import Operator
from issuer.store.notices import cursor, keep_cursor
from issuer.store.unit import Unit
from issuer.tokens.envelope import Token
from issuer.tokens.signer import SeedSigner, Signer

DISK: Final = 2**30
"""Bytes of streams the account may have; ours takes half."""
_INBOX: Final = "_INBOX_accredit.>"


@dataclass(frozen=True, slots=True)
class EnableIngest:
    """Let `account`, made if it is not there, keep what servers say. `disk` is in bytes."""

    account: str = "AUDIT"
    operator: str | None = None
    disk: int = DISK


def enable_ingest(turn: Turn, act: EnableIngest) -> Outcome:
    """The account's new token; run again it only adds what is missing.

    Raises:
        NoSystemAccount: the operator names none.
        NotFound: the system account is not kept here.
    """
    operator = the_operator(turn.unit, act.operator)
    system = _system(turn.unit, operator)
    if hierarchy.find_account(turn.unit, operator.id, act.account) is None:
        add_account(turn, AddAccount(act.account, operator=act.operator))
    limits = {"disk_storage": act.disk, "streams": 1, "consumer": 4}
    outcome = edit_account(turn, EditAccount(act.account, operator=act.operator, limits=limits))
    row = hierarchy.find_account(turn.unit, operator.id, act.account)
    assert row is not None  # noqa: S101  found, or made just now
    offered: AccountClaims = head(turn, "account", system.id).claims
    there = {str(entry.subject) for entry in offered.nats.exports if entry.type == "stream"}
    for kind, subject in SUBJECTS.items():
        if subject not in there:
            add_export(
                turn,
                AddExport(
                    system.public,
                    subject,
                    operator=act.operator,
                    private=True,
                    name=f"accredit {kind.value}",
                ),
            )
        taken: AccountClaims = head(turn, "account", row.id).claims
        if any(entry.subject == subject and entry.account == system.public for entry in taken.nats.imports):
            continue
        activation = generate_activation(
            turn, GenerateActivation(system.public, subject, row.public, operator=act.operator)
        )
        outcome = add_import(
            turn,
            AddImport(
                act.account,
                operator=act.operator,
                subject=subject,
                local_subject=f"{IMPORTED}.{kind.value}.$1",
                token=activation.token,
                name=f"accredit {kind.value}",
            ),
        )
    if ingest_account(turn.unit, operator) != row.public:
        keep_cursor(turn.unit, _cursor(operator), row.public, turn.now)
    return outcome


def ingest_account(unit: Unit, operator: Operator) -> str | None:
    """The key of the account that was enabled for it, if there is one still."""
    found = cursor(unit, _cursor(operator))
    if found is None or hierarchy.account_by_public(unit, found.value) is None:
        return None
    return found.value


def mint_stream_user(
    unit: Unit, keyring: Keyring, operator: Operator, account: str, stream: str, consumer: str, now: int
) -> tuple[Token, Signer]:
    """A fresh user who may read that stream, and make it if it is not there.

    Raises:
        NotFound: the account, or a key that may sign for it, is not kept here.
    """
    row = hierarchy.account_by_public(unit, account)
    if row is None:
        raise NotFound(f"the account {account} is not known here", hint="accredit audit ingest enable")
    authority: OperatorClaims = head(unit, "operator", operator.id).claims
    public, signer = account_signer(unit, keyring, authority, head(unit, "account", row.id).claims)
    token, seed = mint_user(unit, public, signer, _task(stream, consumer), now)
    return token, SeedSigner(seed)


def _task(stream: str, consumer: str) -> Task:
    api = "$JS.API"
    asks = (
        f"{api}.STREAM.INFO.{stream}",
        f"{api}.STREAM.CREATE.{stream}",
        f"{api}.CONSUMER.CREATE.{stream}.{consumer}",
        f"{api}.CONSUMER.CREATE.{stream}.{consumer}.>",
        f"{api}.CONSUMER.DURABLE.CREATE.{stream}.{consumer}",
        f"{api}.CONSUMER.INFO.{stream}.{consumer}",
        f"{api}.CONSUMER.MSG.NEXT.{stream}.{consumer}",
        f"$JS.ACK.{stream}.{consumer}.>",
    )
    return Task("accredit-ingest", asks, (_INBOX,), 3600)


def _system(unit: Unit, operator: Operator) -> hierarchy.Account:
    authority: OperatorClaims = head(unit, "operator", operator.id).claims
    system = authority.nats.system_account
    if not system:
        raise NoSystemAccount(
            f"operator {operator.name!r} has no system account, in which servers tell of connections",
            hint="accredit edit operator --system-account NAME",
        )
    row = hierarchy.account_by_public(unit, system)
    if row is None:
        raise NotFound(f"the system account {system} is not known here", hint="accredit import account")
    return row


def _cursor(operator: Operator) -> str:
    return f"ingest.account.{operator.id}"
