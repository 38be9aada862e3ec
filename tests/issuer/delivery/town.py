"""An operator, its system account and accounts in a store, signed for real, for tests of delivery."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import msgspec

from issuer.audit.catalogue import EventCode
from issuer.audit.log import Event, append, read
from issuer.claims.account import AccountClaims, new_account
from issuer.claims.operator import OperatorClaims, new_operator
from issuer.claims.user import new_user
from issuer.delivery.ledger import StoreLedger
from issuer.keys.nkeys import PublicKey, Role, Seed
from issuer.store import hierarchy, keys, outbox
from issuer.store.hierarchy import Account
from issuer.store.unit import Database, Unit
from issuer.tokens.envelope import Signed, Token, encode, token_hash
from issuer.tokens.signer import SeedSigner, Signer


def signer(role: Role) -> SeedSigner:
    return SeedSigner(Seed.generate(role))


def real_clock() -> int:
    return int(time.time())


class Town:
    """The store and the keys; a change signs, stores, enqueues, writes its event, as the authority does."""

    def __init__(self, url: str, clock: Callable[[], int] = real_clock) -> None:
        self.database = Database.open(url, create=True)
        self.clock = clock
        self.operator = signer(Role.OPERATOR)
        self.signers: dict[str, SeedSigner] = {}
        self.claims: dict[str, AccountClaims] = {}
        self.system = signer(Role.ACCOUNT)
        root = new_operator(self.operator.public, "Town")
        body = msgspec.structs.replace(root.nats, system_account=self.system.public)
        made: Signed[OperatorClaims] = encode(
            msgspec.structs.replace(root, nats=body), self.operator, now=clock()
        )
        self.operator_token = made.token
        with self.database.writing() as unit:
            row_id = self._key(unit, Role.OPERATOR, self.operator.public)
            hierarchy.add_operator(unit, row_id, self.operator.public, "Town", now=clock())
            hierarchy.save_version(unit, "operator", row_id, 0, **_values(made))
            append(unit, Event(EventCode.OPERATOR_CREATED, "test"), clock())
        self.add("SYS", self.system)
        with self.database.noting() as unit:
            for due in outbox.pending(unit):  # servers have the system account in their configuration
                outbox.settle(unit, due)

    def close(self) -> None:
        self.database.close()

    def add(self, name: str, account: SeedSigner | None = None, **body: Any) -> Token:
        account = account or signer(Role.ACCOUNT)
        self.signers[name] = account
        with self.database.writing() as unit:
            operator = hierarchy.find_operator(unit, "Town")
            assert operator is not None
            row_id = self._key(unit, Role.ACCOUNT, account.public)
            row = hierarchy.add_account(unit, row_id, operator.id, account.public, name, now=self.clock())
            claims = new_account(account.public, name)
            return self._sign(unit, row, _with(claims, body))

    def change(self, name: str, by: Signer | None = None, **body: Any) -> Token:
        """Sign an account anew with other members of its body."""
        with self.database.writing() as unit:
            return self._sign(unit, self.row(unit, name), _with(self.claims[name], body), by)

    def revoke(self, name: str, user: str) -> Token:
        return self.change(name, revocations={**self.claims[name].nats.revocations, user: self.clock()})

    def delete(self, name: str) -> None:
        with self.database.writing() as unit:
            row = self.row(unit, name)
            last = hierarchy.head_token(unit, "account", row.id)
            hierarchy.mark_deleted(unit, row, self.clock())
            outbox.enqueue(unit, row.id, "delete", last.id, last.version, self.clock())
            append(unit, Event(EventCode.ACCOUNT_DELETED, "test", row.public), self.clock())

    def user(self, name: str, *, ago: int = 0) -> tuple[Token, SeedSigner]:
        """A user of an account, issued some seconds ago."""
        who = signer(Role.USER)
        token = encode(new_user(who.public, "somebody"), self.signers[name], now=self.clock() - ago).token
        return token, who

    def public(self, name: str) -> PublicKey:
        return self.signers[name].public

    def row(self, unit: Unit, name: str) -> Account:
        operator = hierarchy.find_operator(unit, "Town")
        assert operator is not None
        row = hierarchy.find_account(unit, operator.id, name)
        assert row is not None
        return row

    def head(self, name: str) -> str:
        with self.database.reading() as unit:
            return hierarchy.head_token(unit, "account", self.row(unit, name).id).token

    def ledger(self, who: str = "test") -> StoreLedger:
        return StoreLedger(self.database, self.operator.public, who=who)

    def pending(self) -> list[outbox.Due]:
        with self.database.reading() as unit:
            return outbox.pending(unit)

    def states(self, name: str) -> dict[str, str]:
        """What is on record of each server, by its name."""
        with self.database.reading() as unit:
            return {d.server: d.state for d in outbox.deliveries(unit, self.row(unit, name).id)}

    def events(self, name: str | None = None) -> list[str]:
        """The codes of all events, or of those about one account."""
        with self.database.reading() as unit:
            return [entry.body.code for entry in read(unit, target=self.public(name) if name else None)]

    def config(self, kind: str = "full", accounts: tuple[str, ...] = (), **resolver: Any) -> str:
        """A server's configuration: `kind` is full, cache or memory."""
        preload = {self.public(name): self.head(name) for name in ("SYS", *accounts)}
        if kind != "memory":
            resolver = {"type": kind, "dir": "./jwt", "timeout": "1.9s", **resolver}
        given = "MEMORY" if kind == "memory" else json.dumps(resolver)
        return (
            f"operator: {self.operator_token}\nsystem_account: {self.system.public}\n"
            f"resolver: {given}\nresolver_preload: {json.dumps(preload)}\n"
        )

    def _sign(self, unit: Unit, row: Account, claims: AccountClaims, by: Signer | None = None) -> Token:
        # As the authority does it: no two versions of one second.
        iat = self.clock()
        if row.head:
            iat = max(iat, hierarchy.head_token(unit, "account", row.id).iat + 1)
        made = encode(claims, by or self.operator, now=iat)
        kept = hierarchy.save_version(unit, "account", row.id, row.head, **_values(made))
        outbox.enqueue(unit, row.id, "update", kept.id, kept.version, self.clock())
        append(unit, Event(EventCode.ACCOUNT_CHANGED, "test", row.public), self.clock())
        self.claims[row.name] = claims
        return made.token

    def _key(self, unit: Unit, role: Role, public: PublicKey) -> int:
        row_id = hierarchy.allocate_ids(unit, 1)[0]
        keys.insert_key(unit, row_id, public, role.letter, "identity", None, None, self.clock())
        return row_id


def _with(claims: AccountClaims, body: dict[str, Any]) -> AccountClaims:
    exp = body.pop("exp", claims.exp)
    return msgspec.structs.replace(claims, exp=exp, nats=msgspec.structs.replace(claims.nats, **body))


def _values(made: Signed[Any]) -> dict[str, Any]:
    claims = made.claims
    return {
        "jti": claims.jti,
        "sha256": token_hash(made.token),
        "iat": claims.iat,
        "exp": claims.exp or None,
        "issuer": claims.iss,
        "token": made.token,
    }
