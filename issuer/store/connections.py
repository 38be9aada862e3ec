"""Connections as servers told of them: each event once, who is there and was, and who was last there when.

Written by the one writer of the log `servers`, so that what is looked up here first nobody else writes
meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, delete, insert, select, tuple_, update

from issuer.store.schema import server_connections as connections_table
from issuer.store.schema import server_heard as heard_table
from issuer.store.schema import server_uses as uses_table
from issuer.store.schema import service_users as service_table
from issuer.store.unit import Unit

HEARD_KEPT: Final = 7 * 86_400
"""Seconds; longer than any stream keeps what it may tell again."""
CONNECTIONS_KEPT: Final = 400 * 86_400
"""Seconds after their start, of those that are over; the log keeps what was said of them."""
_SERVICE_KEPT: Final = 7 * 86_400
_AT_ONCE: Final = 400  # of values in one statement
_FORGOTTEN_AT_ONCE: Final = 2_000

Link = tuple[str, int]
_C: Final = connections_table.c
_COLUMNS: Final = tuple(column.name for column in _C)


@dataclass(slots=True, kw_only=True)
class Connection:
    """A connection; of what the columns mean `schema` tells."""

    server_id: str
    client_id: int
    server: str
    account: str
    user_key: str
    credential: str
    sha256: str
    approval: int
    session_id: int
    started_at: int
    ended_at: int | None = None
    reason: str = ""
    opened_seq: int = 0
    closed_seq: int = 0

    @property
    def link(self) -> Link:
        return self.server_id, self.client_id


@dataclass(frozen=True, slots=True)
class Use:
    """When somebody was on servers in an account, by the servers' clocks, and how often."""

    who: str
    account: str
    first_seen: int
    last_seen: int
    connections: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedConnections:
    """What connections are looked for; None is anything."""

    whose: tuple[Collection[str], Collection[int]] | None = None
    """Of these user keys, or these sessions of the callout."""
    account: str | None = None
    since: int | None = None
    """Not over before this second."""
    only_open: bool = False


def pieces(values: Iterable[Any], size: int = _AT_ONCE) -> Iterator[list[Any]]:
    """As many at a time as one statement takes."""
    every = list(values)
    for start in range(0, len(every), size):
        yield every[start : start + size]


def already_heard(unit: Unit, ids: Collection[str]) -> set[str]:
    """Those of these events that were written already."""
    found: set[str] = set()
    for some in pieces(ids):
        query = select(heard_table.c.event_id).where(heard_table.c.event_id.in_(some))
        found.update(str(row[0]) for row in unit.fetch_all(query))
    return found


def keep_heard(unit: Unit, ids: Iterable[str], now: int) -> None:
    unit.put(heard_table, ("event_id", "at"), [(each, now) for each in ids])


def connections_by_link(unit: Unit, links: Collection[Link]) -> dict[Link, Connection]:
    """Those that are known."""
    found: dict[Link, Connection] = {}
    for some in pieces(sorted(set(links))):
        query = select(*_C).where(tuple_(_C.server_id, _C.client_id).in_(some))
        for row in unit.fetch_all(query):
            known = _connection(row)
            found[known.link] = known
    return found


def add_connections(unit: Unit, connections: Sequence[Connection]) -> None:
    rows = [tuple(getattr(each, name) for name in _COLUMNS) for each in connections]
    unit.put(connections_table, _COLUMNS, rows)


def change_connections(unit: Unit, connections: Sequence[Connection]) -> None:
    """Write anew what is known of them."""
    if not connections:
        return
    changing = [name for name in _COLUMNS if name not in {"server_id", "client_id"}]
    statement = (
        update(connections_table)
        .where(_C.server_id == bindparam("of_server"), _C.client_id == bindparam("of_client"))
        .values({name: bindparam(f"new_{name}") for name in changing})
    )
    values = [
        {"of_server": each.server_id, "of_client": each.client_id}
        | {f"new_{name}": getattr(each, name) for name in changing}
        for each in connections
    ]
    unit.write(statement, values)


def find_connections(unit: Unit, wanted: WantedConnections, *, limit: int) -> list[Connection]:
    """Newest first."""
    asked: list[Any] = []
    if wanted.whose is not None:
        keys, sessions = wanted.whose
        asked.append(_C.user_key.in_(list(keys)) | _C.session_id.in_(list(sessions)))
    if wanted.account is not None:
        asked.append(_C.account == wanted.account)
    if wanted.only_open:
        asked.append(_C.ended_at.is_(None))
    if wanted.since is not None:
        asked.append(_C.ended_at.is_(None) | (_C.ended_at >= wanted.since))
    query = select(*_C).where(*asked).order_by(_C.started_at.desc(), _C.server_id, _C.client_id.desc())
    return [_connection(row) for row in unit.fetch_all(query.limit(limit))]


def uses_of(unit: Unit, whom: Collection[tuple[str, str]]) -> dict[tuple[str, str], Use]:
    """By who and account: those who were seen."""
    columns = uses_table.c
    found: dict[tuple[str, str], Use] = {}
    for some in pieces(sorted(whom)):
        query = select(*columns).where(tuple_(columns.who, columns.account).in_(some))
        for row in unit.fetch_all(query):
            found[row[0], row[1]] = Use(*row)
    return found


def note_uses(unit: Unit, seen: Mapping[tuple[str, str], Sequence[int]]) -> None:
    """By who and account: when their connections began."""
    known = uses_of(unit, seen.keys())
    new, more = [], []
    for (who, account), times in sorted(seen.items()):
        before = known.get((who, account))
        if before is None:
            new.append((who, account, min(times), max(times), len(times)))
            continue
        more.append(
            {
                "of_who": who,
                "of_account": account,
                "new_first": min(before.first_seen, *times),
                "new_last": max(before.last_seen, *times),
                "new_count": before.connections + len(times),
            }
        )
    columns = uses_table.c
    unit.put(uses_table, ("who", "account", "first_seen", "last_seen", "connections"), new)
    if more:
        statement = (
            update(uses_table)
            .where(columns.who == bindparam("of_who"), columns.account == bindparam("of_account"))
            .values(
                first_seen=bindparam("new_first"),
                last_seen=bindparam("new_last"),
                connections=bindparam("new_count"),
            )
        )
        unit.write(statement, more)


def forget_old(unit: Unit, now: int) -> int:
    """Some of what need not be kept any longer, not so much that anybody waits for it; how many rows."""
    old_ids = select(heard_table.c.event_id).where(heard_table.c.at < now - HEARD_KEPT)
    gone = unit.write(
        delete(heard_table).where(heard_table.c.event_id.in_(old_ids.limit(_FORGOTTEN_AT_ONCE)))
    ).rowcount
    old = (
        select(_C.server_id, _C.client_id)
        .where(_C.started_at < now - CONNECTIONS_KEPT, _C.ended_at.is_not(None))
        .limit(_FORGOTTEN_AT_ONCE)
    )
    gone += unit.write(delete(connections_table).where(tuple_(_C.server_id, _C.client_id).in_(old))).rowcount
    return gone


def note_service_user(unit: Unit, public: str, name: str, sha256: str, *, expires_at: int, now: int) -> None:
    """A user made for a connection of our own; long expired ones are forgotten."""
    unit.write(delete(service_table).where(service_table.c.expires_at < now - _SERVICE_KEPT))
    values = {"public": public, "name": name, "sha256": sha256, "expires_at": expires_at}
    unit.write(insert(service_table), values)


def service_users(unit: Unit, publics: Collection[str]) -> dict[str, tuple[str, str]]:
    """Name and token hash of those among these keys that we made for ourselves."""
    found: dict[str, tuple[str, str]] = {}
    columns = service_table.c
    for some in pieces(sorted(set(publics))):
        query = select(columns.public, columns.name, columns.sha256).where(columns.public.in_(some))
        found.update((str(row[0]), (str(row[1]), str(row[2]))) for row in unit.fetch_all(query))
    return found


def _connection(row: Any) -> Connection:
    return Connection(**dict(zip(_COLUMNS, row, strict=True)))
