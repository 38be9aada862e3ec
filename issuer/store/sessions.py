"""Sessions, looked for by several things at once and kept true; a page at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, bindparam, func, select, update

from issuer.grants import Session
from issuer.store.grants import listed_bindings, session_of_row
from issuer.store.schema import sessions as sessions_table
from issuer.store.unit import Unit

_SESSION: Final = sessions_table.c
_AT_ONCE: Final = 500  # of values in one statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What sessions are looked for; None is anything. `server` is a name or an id."""

    issuer: str | None = None
    subject: str | None = None
    directory: str | None = None
    binding: str | None = None
    account: str | None = None
    server: str | None = None
    ended: bool = False
    since: int | None = None
    """Started, or of those that are over ended, at this second or later."""


@dataclass(frozen=True, slots=True)
class Over:
    """A connection that is over: whose it was to which server, when, and why in its words."""

    server_id: str
    client_id: int
    at: int
    reason: str


def find_sessions(unit: Unit, operator_id: int, wanted: Wanted, *, after: int, limit: int) -> list[Session]:
    """Oldest first; `after` is the id of the last one seen."""
    is_open = _SESSION.ended_at.is_(None)
    asked: list[ColumnElement[bool]] = [
        _SESSION.operator_id == operator_id,
        ~is_open if wanted.ended else is_open,
        _SESSION.id > after,
    ]
    texts = {
        _SESSION.issuer: wanted.issuer,
        _SESSION.subject: wanted.subject,
        _SESSION.directory: wanted.directory,
        _SESSION.account: wanted.account,
    }
    asked += [column == value for column, value in texts.items() if value is not None]
    if wanted.server is not None:
        asked.append((_SESSION.server_id == wanted.server) | (_SESSION.server == wanted.server))
    if wanted.binding is not None:
        asked.append(_SESSION.bindings.contains(listed_bindings((wanted.binding,)), autoescape=True))
    if wanted.since is not None:
        asked.append((_SESSION.ended_at if wanted.ended else _SESSION.started_at) >= wanted.since)
    query = select(*_SESSION).where(*asked).order_by(_SESSION.id).limit(limit)
    return [session_of_row(row) for row in unit.fetch_all(query)]


def session_by_id(unit: Unit, operator_id: int, number: int) -> Session | None:
    """One session, over or not."""
    row = unit.fetch_one(select(*_SESSION).where(_SESSION.operator_id == operator_id, _SESSION.id == number))
    return session_of_row(row) if row else None


def newest_session(unit: Unit, operator_id: int, issuer: str, subject: str) -> Session | None:
    """Somebody's newest, of those that are open if there are any."""
    query = select(*_SESSION).where(
        _SESSION.operator_id == operator_id, _SESSION.issuer == issuer, _SESSION.subject == subject
    )
    # Of the open ones there is an index; the others are looked through.
    for which in (query.where(_SESSION.ended_at.is_(None)), query):
        row = unit.fetch_one(which.order_by(_SESSION.id.desc()).limit(1))
        if row:
            return session_of_row(row)
    return None


def end_connections(unit: Unit, connections: Sequence[Over]) -> int:
    """Note that they are over; what is noted already stays as it is. How many sessions that were."""
    if not connections:
        return 0
    statement = (
        update(sessions_table)
        .where(
            _SESSION.server_id == bindparam("on_server"),
            _SESSION.client_id == bindparam("by_client"),
            _SESSION.ended_at.is_(None),
        )
        .values(ended_at=bindparam("over_at"), reason=bindparam("in_words"))
    )
    values: list[dict[str, Any]] = [
        {
            "on_server": each.server_id,
            "by_client": each.client_id,
            "over_at": each.at,
            "in_words": each.reason,
        }
        for each in connections
    ]
    return max(unit.write(statement, values).rowcount, 0)


def end_expired(unit: Unit, operator_id: int, *, now: int, reason: str) -> int:
    """Note the end of those whose token has expired: no server lets it stay longer."""
    statement = update(sessions_table).where(
        _SESSION.operator_id == operator_id, _SESSION.ended_at.is_(None), _SESSION.expires_at <= now
    )
    return unit.write(statement.values(ended_at=_SESSION.expires_at, reason=reason)).rowcount


def servers_with_sessions(unit: Unit, operator_id: int) -> dict[str, int]:
    """How many open sessions each server id has, the portable ones left out."""
    query = (
        select(_SESSION.server_id, func.count())
        .where(_SESSION.operator_id == operator_id, _SESSION.ended_at.is_(None), _SESSION.server_id != "")
        .group_by(_SESSION.server_id)
    )
    return {str(server): int(count) for server, count in unit.fetch_all(query)}


def clients_of(unit: Unit, operator_id: int, server_id: str, *, before: int) -> dict[int, int]:
    """Ids of open sessions of a server by client id, of those that began before this second."""
    query = select(_SESSION.client_id, _SESSION.id).where(
        _SESSION.operator_id == operator_id,
        _SESSION.ended_at.is_(None),
        _SESSION.server_id == server_id,
        _SESSION.started_at < before,
    )
    return {int(client): int(number) for client, number in unit.fetch_all(query)}


def end_sessions(unit: Unit, ids: Iterable[int], *, now: int, reason: str) -> int:
    """Note that these are over, any number of them; how many still were open."""
    wanted, ended = list(ids), 0
    for start in range(0, len(wanted), _AT_ONCE):
        statement = update(sessions_table).where(
            _SESSION.id.in_(wanted[start : start + _AT_ONCE]), _SESSION.ended_at.is_(None)
        )
        ended += unit.write(statement.values(ended_at=now, reason=reason)).rowcount
    return ended
