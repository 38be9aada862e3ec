"""Giving a whole hierarchy to another tool: its tokens as they are, and its seeds if asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from issuer.audit.catalogue import EventCode
from issuer.audit.log import Event, append_many
from issuer.authority.desk import Turn
from issuer.authority.finding import the_operator
from issuer.authority.signing import head
from issuer.claims.account import AccountClaims
from issuer.claims.fields import Envelope
from issuer.claims.operator import OperatorClaims
from issuer.custody.keyring import NoSeed
from issuer.interop.nsc import named
from issuer.interop.nsc_write import LeavingAccount, LeavingUser, NscExport, Written
from issuer.keys.nkeys import PublicKey, Seed
from issuer.store import hierarchy
from issuer.store.hierarchy import Account, Operator
from issuer.tokens.envelope import decode

_BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class ExportStore:
    """An operator to hand to `write`, within the transaction that writes down what left.

    `write` reads accounts and users from the store as it goes, so it has to be done when it returns.
    """

    write: Callable[[NscExport], Written]
    operator: str | None = None
    with_seeds: bool = False
    selected: str = ""


def export_store(turn: Turn, act: ExportStore) -> Written:
    """Write an operator with its accounts and users; every seed that goes along is an event."""
    operator = the_operator(turn.unit, act.operator)
    claims: OperatorClaims = head(turn, "operator", operator.id).claims
    leaving = _Leaving(turn, with_seeds=act.with_seeds)
    export = NscExport(
        operator=named(claims),
        token=hierarchy.head_token(turn.unit, "operator", operator.id).token,
        seeds=leaving.seeds("operator", operator.public, *claims.nats.signing_keys),
        accounts=leaving.accounts(operator),
        selected=act.selected,
    )
    written = act.write(export)
    leaving.tell()
    turn.record(
        EventCode.EXPORT_DONE,
        operator.public,
        detail={
            "kind": "nsc",
            "path": str(written.path),
            "operators": 1,
            "accounts": written.accounts,
            "users": written.users,
            "keys": written.keys,
        },
    )
    return written


class _Leaving:
    """One export under way."""

    def __init__(self, turn: Turn, *, with_seeds: bool) -> None:
        self._turn = turn
        self._with_seeds = with_seeds
        self._told: list[Event] = []

    def accounts(self, operator: Operator) -> Iterator[LeavingAccount]:
        unit = self._turn.unit
        for account in hierarchy.accounts(unit, operator.id):
            version = hierarchy.head_token(unit, "account", account.id)
            claims: AccountClaims = decode(version.token, AccountClaims).claims
            curve = claims.nats.authorization.xkey
            yield LeavingAccount(
                name=named(claims),
                token=version.token,
                seeds=(
                    *self.seeds("account", account.public, *claims.signing_keys()),
                    *(self.seeds("curve", PublicKey(curve)) if curve else ()),
                ),
                users=self._users(account),
            )

    def seeds(self, role: str, *publics: PublicKey) -> tuple[Seed, ...]:
        """The seeds of these keys that are here and may leave."""
        turn = self._turn
        found = []
        for public in publics if self._with_seeds else ():
            try:
                found.append(turn.keyring.seed(turn.unit, public))
            except NoSeed:
                continue
            purpose = "curve" if role == "curve" else "identity" if public == publics[0] else "signing"
            self._told.append(
                Event(
                    code=EventCode.KEY_EXPORTED,
                    actor=str(turn.actor),
                    target=public,
                    reason=turn.reason,
                    correlation=turn.correlation,
                    detail={"role": role, "purpose": purpose},
                )
            )
        if len(self._told) >= _BATCH:
            self.tell()
        return tuple(found)

    def tell(self) -> None:
        """Write down the seeds that left since the last time."""
        append_many(self._turn.unit, self._told, self._turn.now)
        self._told.clear()

    def _users(self, account: Account) -> Iterator[LeavingUser]:
        unit = self._turn.unit
        for user in hierarchy.users(unit, account.id):
            token = hierarchy.head_token(unit, "user", user.id).token
            seeds = self.seeds("user", user.public)
            # nsc goes by the name in the token, whatever we call it.
            claims: Envelope = decode(token).claims
            yield LeavingUser(named(claims), token, seeds[0] if seeds else None)
