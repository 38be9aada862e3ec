"""What was signed and must reach the servers: one row an account, the newest version wins.

Signing puts a row in, in its own transaction. Deliverers claim rows for a while, and settle or
postpone exactly what they claimed: a version signed meanwhile stays due.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, or_, select, update

from issuer.store.rows import insert_or
from issuer.store.schema import deliveries as deliveries_table
from issuer.store.schema import outbox as outbox_table
from issuer.store.schema import servers as servers_table
from issuer.store.unit import Unit

# The actions of a delivery.
UPDATE: Final = "update"
DELETE: Final = "delete"


@dataclass(frozen=True, slots=True)
class Due:
    """One account's delivery: `action` is update or delete, `token_id` the token it is about."""

    account_id: int
    action: str
    token_id: int
    version: int
    enqueued_at: int
    due_at: int
    attempts: int
    claimed_by: str | None
    claimed_until: int | None
    last_words: str


@dataclass(frozen=True, slots=True)
class Server:
    """A server seen on the system account; its `id` changes with every restart, its name does not."""

    id: str
    name: str
    cluster: str
    version: str
    first_seen: int
    last_seen: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far one account's newest token has come on one server."""

    account_id: int
    server: str
    server_id: str
    version: int
    sha256: str
    state: str
    words: str
    changed_at: int


_DUE: Final = select(*outbox_table.c)


def enqueue(unit: Unit, account_id: int, action: str, token_id: int, version: int, now: int) -> None:
    """Deliver this, instead of whatever was waiting for the account; no claim holds on to the old."""
    values: dict[str, Any] = {
        "action": action,
        "token_id": token_id,
        "version": version,
        "enqueued_at": now,
        "due_at": now,
        "attempts": 0,
        "claimed_by": None,
        "claimed_until": None,
        "last_words": "",
    }
    statement = insert_or(unit, outbox_table).values(account_id=account_id, **values)
    unit.write(statement.on_conflict_do_update(index_elements=["account_id"], set_=values))


def claim(unit: Unit, who: str, now: int, lease: int, limit: int) -> list[Due]:
    """Take what is due and nobody is working on, for `lease` seconds."""
    free = or_(outbox_table.c.claimed_until.is_(None), outbox_table.c.claimed_until <= now)
    query = _DUE.where(outbox_table.c.due_at <= now, free)
    query = query.order_by(outbox_table.c.due_at, outbox_table.c.account_id).limit(limit)
    if not unit.is_sqlite:
        query = query.with_for_update(skip_locked=True)
    found = [Due(*row) for row in unit.fetch_all(query)]
    if not found:
        return []
    ids = [due.account_id for due in found]
    unit.write(
        update(outbox_table)
        .where(outbox_table.c.account_id.in_(ids))
        .values(claimed_by=who, claimed_until=now + lease, attempts=outbox_table.c.attempts + 1)
    )
    return [
        Due(
            account_id=due.account_id,
            action=due.action,
            token_id=due.token_id,
            version=due.version,
            enqueued_at=due.enqueued_at,
            due_at=due.due_at,
            attempts=due.attempts + 1,
            claimed_by=who,
            claimed_until=now + lease,
            last_words=due.last_words,
        )
        for due in found
    ]


def settle(unit: Unit, due: Due) -> bool:
    """Done: take it off the list, unless something newer stands there or another took over."""
    return bool(unit.write(delete(outbox_table).where(_mine(due))).rowcount)


def postpone(unit: Unit, due: Due, due_at: int, words: str) -> bool:
    """Try again at `due_at`; `words` say why. False when it is no longer ours to say."""
    changed = unit.write(
        update(outbox_table)
        .where(_mine(due))
        .values(due_at=due_at, claimed_by=None, claimed_until=None, last_words=words)
    )
    return bool(changed.rowcount)


def pending(unit: Unit) -> list[Due]:
    """Everything not yet settled, soonest first."""
    query = _DUE.order_by(outbox_table.c.due_at, outbox_table.c.account_id)
    return [Due(*row) for row in unit.fetch_all(query)]


def next_due(unit: Unit) -> int | None:
    """When something will be due, claimed or not; None when nothing waits."""
    row = unit.fetch_one(select(outbox_table.c.due_at).order_by(outbox_table.c.due_at).limit(1))
    return int(row[0]) if row else None


def note_server(
    unit: Unit, server_id: str, name: str, *, now: int, cluster: str = "", version: str = ""
) -> None:
    """A server answered."""
    seen: dict[str, Any] = {"name": name, "cluster": cluster, "version": version, "last_seen": now}
    statement = insert_or(unit, servers_table).values(id=server_id, first_seen=now, **seen)
    unit.write(statement.on_conflict_do_update(index_elements=["id"], set_=seen))


def forget_server(unit: Unit, name: str) -> None:
    """A server that will not come back: what was noted of it goes too."""
    unit.write(delete(deliveries_table).where(deliveries_table.c.server == name))
    unit.write(delete(servers_table).where(servers_table.c.name == name))


def servers(unit: Unit) -> list[Server]:
    """Every server seen so far, each restart of it, newest last."""
    query = select(*servers_table.c).order_by(servers_table.c.name, servers_table.c.last_seen)
    return [Server(*row) for row in unit.fetch_all(query)]


def note_delivery(unit: Unit, delivery: Delivery) -> None:
    """How far a delivery has come on one server."""
    fields = ("server_id", "version", "sha256", "state", "words", "changed_at")
    values = {name: getattr(delivery, name) for name in fields}
    statement = insert_or(unit, deliveries_table).values(
        account_id=delivery.account_id, server=delivery.server, **values
    )
    unit.write(statement.on_conflict_do_update(index_elements=["account_id", "server"], set_=values))


def deliveries(unit: Unit, account_id: int | None = None) -> list[Delivery]:
    query = select(*deliveries_table.c).order_by(deliveries_table.c.account_id, deliveries_table.c.server)
    if account_id is not None:
        query = query.where(deliveries_table.c.account_id == account_id)
    return [Delivery(*row) for row in unit.fetch_all(query)]


def _mine(due: Due) -> ColumnElement[bool]:
    condition = (
        (outbox_table.c.account_id == due.account_id)
        & (outbox_table.c.version == due.version)
        & (outbox_table.c.action == due.action)
    )
    return condition & (outbox_table.c.claimed_by == due.claimed_by)
