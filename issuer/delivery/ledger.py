"""What delivery reads from the store and writes down there, as facts about one operator's accounts.

Everything here blocks; the pusher calls it in a thread. Bookkeeping alone is committed without an
event; a proof, a refusal and a loss are events of the same transaction.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from issuer.audit.catalogue import EventCode
from issuer.audit.log import Event, append_many
from issuer.claims.operator import OperatorClaims
from issuer.delivery.fleet import Connection, ServerInfo
from issuer.delivery.progress import PROVED, Progress, Standing, State
from issuer.errors import NotFound
from issuer.keys.nkeys import PublicKey
from issuer.store import hierarchy, outbox
from issuer.store.hierarchy import Account
from issuer.store.outbox import DELETE, UPDATE, Delivery, Due
from issuer.store.unit import Database, Unit
from issuer.tokens.envelope import Token, decode

GLANCE: Final = 16  # more than that at once is not one person waiting


@dataclass(frozen=True, slots=True)
class Head:
    """What should be in force for one account: its newest token, or that it is gone."""

    account_id: int
    account: PublicKey
    name: str
    action: str
    version: int
    token: Token
    sha256: str
    jti: str = ""
    iat: int = 0


@dataclass(frozen=True, slots=True)
class Work:
    """One delivery to do: how far it is, and the newest `iat` that servers were sent before."""

    head: Head
    progress: Progress = field(default_factory=Progress)
    due: Due | None = None
    last_iat: int = 0
    previous: Token | None = None


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """How a delivery went, server by server; `words` say why it is not settled.

    `connected` are the sessions a revocation should have cut and that are still there.
    """

    head: Head
    progress: Progress
    settled: bool
    words: str = ""
    connected: tuple[Connection, ...] = ()

    @property
    def servers(self) -> Mapping[str, Standing]:
        return self.progress.servers


class Ledger(Protocol):
    """The pusher's side of the store."""

    def stamp(self) -> object:
        """Differs from the last one when another process may have written; None where that costs a query."""
        ...

    def next_due(self) -> int | None: ...

    def operator(self) -> OperatorClaims: ...

    def fresh(self, now: int) -> list[Token]:
        """Account tokens signed since anybody looked; a quick glance, nothing is claimed."""
        ...

    def claim(self, now: int, limit: int) -> list[Work]: ...

    def hurry(self, now: int, servers: Mapping[str, str]) -> None:
        """Make due now what waits for these servers (ids by name), but for what they refused in this life."""
        ...

    def works(self, accounts: Collection[str] | None) -> list[Work]:
        """Deliveries of these accounts (all that live and all being deleted), due or not."""
        ...

    def current(self, head: Head) -> bool:
        """Whether this is still the newest of its account."""
        ...

    def gone(self) -> dict[str, Head]:
        """Accounts that no server may have, by public key."""
        ...

    def servers(self) -> dict[str, ServerInfo]:
        """Every server seen before, by name, as it was seen last."""
        ...

    def see(self, servers: Iterable[ServerInfo], now: int) -> None: ...

    def forget(self, names: Iterable[str]) -> None: ...

    def record(self, work: Work, report: DeliveryReport, now: int, *, again_at: int) -> None:
        """Write down how it went: settled, or to be tried again at `again_at`."""
        ...


class StoreLedger:
    """`Ledger` over the store, for one operator."""

    def __init__(self, database: Database, operator: PublicKey, *, who: str, lease: int = 30) -> None:
        self._database = database
        self._operator = operator
        self._who = who
        self._lease = lease
        self._files = _files(database.url) if database.is_sqlite else ()

    def stamp(self) -> object:
        return tuple(map(_stamp, self._files)) or None

    def next_due(self) -> int | None:
        with self._database.reading() as unit:
            return outbox.next_due(unit)

    def operator(self) -> OperatorClaims:
        with self._database.reading() as unit:
            token = hierarchy.head_token(unit, "operator", self._operator_id(unit)).token
        return decode(token, OperatorClaims).claims

    def fresh(self, now: int) -> list[Token]:
        with self._database.reading() as unit:
            rows = [due for due in outbox.pending(unit) if not due.attempts and due.action == UPDATE]
            heads = [hierarchy.head_token(unit, "account", due.account_id) for due in rows[:GLANCE]]
        return [Token(head.token) for head in heads]

    def claim(self, now: int, limit: int) -> list[Work]:
        with self._database.reading() as unit:
            due = outbox.next_due(unit)
        if due is None or due > now:
            return []  # asking for the write lock in vain would make writers wait
        with self._database.noting() as unit:
            ours = self._operator_id(unit)
            found = []
            for due_row in outbox.claim(unit, self._who, now, self._lease, limit):
                account = hierarchy.account_by_id(unit, due_row.account_id)
                if account is None or account.operator_id != ours:
                    outbox.postpone(unit, due_row, now + 1, due_row.last_words)
                else:
                    found.append(_work(unit, account, due_row))
        return found

    def hurry(self, now: int, servers: Mapping[str, str]) -> None:
        with self._database.noting() as unit:
            for due in outbox.pending(unit):
                if due.due_at <= now or due.claimed_by is not None:
                    continue
                rows = {row.server: row for row in outbox.deliveries(unit, due.account_id)}
                if any(_waits(rows.get(name), server_id) for name, server_id in servers.items()):
                    outbox.postpone(unit, due, now, due.last_words)

    def works(self, accounts: Collection[str] | None) -> list[Work]:
        with self._database.reading() as unit:
            waiting = {due.account_id: due for due in outbox.pending(unit)}
            return [
                _work(unit, account, waiting.get(account.id))
                for account in self._accounts(unit)
                if accounts is None or account.public in accounts
            ]

    def current(self, head: Head) -> bool:
        with self._database.reading() as unit:
            return _is_current(unit, head)

    def gone(self) -> dict[str, Head]:
        with self._database.reading() as unit:
            ours = self._operator_id(unit)
            rows = [
                account
                for state in ("deleting", "deleted")
                for account in hierarchy.accounts_in_state(unit, state)
                if account.operator_id == ours
            ]
            return {account.public: _head(unit, account) for account in rows}

    def servers(self) -> dict[str, ServerInfo]:
        with self._database.reading() as unit:
            return {s.name: ServerInfo(s.id, s.name, s.cluster, s.version) for s in outbox.servers(unit)}

    def see(self, servers: Iterable[ServerInfo], now: int) -> None:
        with self._database.noting() as unit:
            for server in servers:
                outbox.note_server(
                    unit, server.id, server.name, now=now, cluster=server.cluster, version=server.ver
                )

    def forget(self, names: Iterable[str]) -> None:
        with self._database.noting() as unit:
            for name in names:
                outbox.forget_server(unit, name)

    def record(self, work: Work, report: DeliveryReport, now: int, *, again_at: int) -> None:
        events = _events(work, report, f"delivery:{self._who}")
        with self._database.writing() if events else self._database.noting() as unit:
            if not _is_current(unit, work.head):
                return  # what is told of an older version would hide the newer one
            _note(unit, work, report, now)
            if work.due is not None and report.settled:
                outbox.settle(unit, work.due)
            elif work.due is not None:
                outbox.postpone(unit, work.due, again_at, report.words)
            if events:
                if report.settled and work.head.action == DELETE:
                    hierarchy.finish_deletion(unit, work.head.account_id, now)
                append_many(unit, events, now)

    def _operator_id(self, unit: Unit) -> int:
        row = hierarchy.operator_by_public(unit, self._operator)
        if row is None:
            raise NotFound(f"operator {self._operator} is not in this store")
        return row.id

    def _accounts(self, unit: Unit) -> list[Account]:
        ours = self._operator_id(unit)
        going = [a for a in hierarchy.accounts_in_state(unit, "deleting") if a.operator_id == ours]
        return [*hierarchy.accounts(unit, ours), *going]


def _head(unit: Unit, account: Account) -> Head:
    last = hierarchy.head_token(unit, "account", account.id)
    action = UPDATE if account.state == "live" else DELETE
    return Head(
        account.id,
        account.public,
        account.name,
        action,
        last.version,
        Token(last.token),
        last.sha256,
        last.jti,
        last.iat,
    )


def _work(unit: Unit, account: Account, due: Due | None) -> Work:
    head = _head(unit, account)
    rows = outbox.deliveries(unit, account.id)
    delivered = max((row.version for row in rows), default=0)
    last_iat, previous = 0, None
    if 0 < delivered < head.version or head.version > 1:
        before = hierarchy.token_version(unit, "account", account.id, delivered or head.version - 1)
        if before is not None and before.version < head.version:
            last_iat, previous = (before.iat if delivered else 0), Token(before.token)
    standings = {
        row.server: Standing(State(row.state), row.server_id, row.words)
        # A deletion is about the last token, so its rows begin anew under a mark of their own.
        if (row.version, row.sha256) == (head.version, _mark(head))
        else Standing(server_id=row.server_id)
        for row in rows
    }
    return Work(head, Progress(standings), due, last_iat, previous)


def _waits(row: Delivery | None, server_id: str) -> bool:
    if row is None or row.server_id != server_id:
        return True
    return State(row.state) not in {*PROVED, State.REFUSED}


def _is_current(unit: Unit, head: Head) -> bool:
    account = hierarchy.account_by_id(unit, head.account_id)
    return account is not None and (account.head, account.state == "live") == (
        head.version,
        head.action == UPDATE,
    )


def _mark(head: Head) -> str:
    return head.sha256 if head.action == UPDATE else ""


def _note(unit: Unit, work: Work, report: DeliveryReport, now: int) -> None:
    head, before = work.head, work.progress.servers
    for name, standing in report.servers.items():
        if before.get(name) == standing and standing.state is not State.AWAITED:
            continue
        outbox.note_delivery(
            unit,
            Delivery(
                account_id=head.account_id,
                server=name,
                server_id=standing.server_id,
                version=head.version,
                sha256=_mark(head),
                state=standing.state.value,
                words=standing.words[:1000],
                changed_at=now,
            ),
        )


def _events(work: Work, report: DeliveryReport, actor: str) -> Sequence[Event]:
    """One when it is proved everywhere, one for each refusal and each loss; none for what is on its way."""
    head, before = work.head, work.progress.servers
    artefacts = ((head.jti, head.sha256),)
    events: list[Event] = []

    def add(code: EventCode, outcome: str, detail: dict[str, str | int | bool]) -> None:
        events.append(
            Event(
                code=code,
                actor=actor,
                target=head.account,
                outcome=outcome,
                after=head.sha256,
                artefacts=artefacts,
                detail={"name": head.name, **detail},
            )
        )

    common: dict[str, str | int | bool] = {"version": head.version, "action": head.action}
    for name, standing in sorted(report.servers.items()):
        was = before.get(name, Standing())
        told: dict[str, str | int | bool] = {
            **common,
            "server": name,
            "server_id": standing.server_id,
            "words": standing.words[:1000],
        }
        refused = standing.state is State.REFUSED
        if refused and (was.state, was.words) != (State.REFUSED, standing.words):
            add(EventCode.DELIVERY_REFUSED, "refused", told)
        elif was.state in PROVED and standing.state not in PROVED and not refused:
            add(EventCode.DELIVERY_LOST, "failed", told)
    if not report.servers and report.words and (work.due is None or work.due.last_words != report.words):
        add(EventCode.DELIVERY_REFUSED, "refused", {**common, "words": report.words[:1000]})
    if report.settled and (work.due is not None or not work.progress.settled):
        states = [standing.state for standing in report.servers.values()]
        words = f"{states.count(State.IN_FORCE)} in force, {states.count(State.STORED)} stored"
        if head.action == DELETE:
            add(EventCode.ACCOUNT_DELETION_PROVED, "done", {"servers": len(states)})
        else:
            add(EventCode.DELIVERY_PROVED, "done", {**common, "words": words})
    return events


def _files(url: str) -> tuple[Path, ...]:
    path = url.partition("///")[2].partition("?")[0]
    return (Path(path), Path(f"{path}-wal")) if path else ()


def _stamp(path: Path) -> tuple[int, int]:
    # Every commit touches the write-ahead log; looking at it costs microseconds and no connection.
    with contextlib.suppress(FileNotFoundError):
        found = path.stat()
        return found.st_mtime_ns, found.st_size
    return 0, 0
