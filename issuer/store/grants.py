"""What the auth callout keeps: policies by version, who is connected as whom, who is denied."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, func, insert, select, update

from issuer.grants import Denial, Kind, Session, Target
from issuer.store.schema import denials as denials_table
from issuer.store.schema import policies as policies_table
from issuer.store.schema import sessions as sessions_table
from issuer.store.unit import Unit

_SESSION: Final = sessions_table.c
_COLUMNS: Final = tuple(column.name for column in _SESSION if column.name != "id")


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """A policy as it was at one version; `body` is canonical JSON."""

    version: int
    sha256: str
    body: str
    created_at: int


# --- policies ----------------------------------------------------------------------------------------


def add_policy(unit: Unit, operator_id: int, body: str, now: int) -> PolicyVersion:
    """The next version of an operator's policy."""
    version = newest_policy_version(unit, operator_id) + 1
    made = PolicyVersion(version, hashlib.sha256(body.encode()).hexdigest(), body, now)
    unit.write(
        insert(policies_table).values(
            operator_id=operator_id, version=version, sha256=made.sha256, body=body, created_at=now
        )
    )
    return made


def policy_at(unit: Unit, operator_id: int, version: int | None = None) -> PolicyVersion | None:
    """One version of an operator's policy, the newest if none is named."""
    columns = policies_table.c
    query = select(columns.version, columns.sha256, columns.body, columns.created_at)
    query = query.where(columns.operator_id == operator_id)
    if version is not None:
        query = query.where(columns.version == version)
    row = unit.fetch_one(query.order_by(columns.version.desc()).limit(1))
    return PolicyVersion(*row) if row else None


def policies(unit: Unit, operator_id: int) -> list[PolicyVersion]:
    """All versions of an operator's policy, newest first."""
    columns = policies_table.c
    query = select(columns.version, columns.sha256, columns.body, columns.created_at)
    query = query.where(columns.operator_id == operator_id).order_by(columns.version.desc())
    return [PolicyVersion(*row) for row in unit.fetch_all(query)]


def newest_policy_version(unit: Unit, operator_id: int) -> int:
    """Its number alone, to be asked often; 0 before there is one."""
    columns = policies_table.c
    row = unit.fetch_one(select(func.max(columns.version)).where(columns.operator_id == operator_id))
    return int(row[0] or 0) if row else 0


# --- sessions ----------------------------------------------------------------------------------------


def add_sessions(unit: Unit, operator_id: int, sessions: Sequence[Session]) -> None:
    """Those who were let in, many at once."""
    rows = [
        (
            operator_id, each.user_key, each.identity, each.issuer, each.subject, each.name,
            each.kind.value, each.directory, each.groups_hash, listed_bindings(each.bindings),
            each.policy_version, each.account, each.role,
            each.server_id, each.server, each.client_id, each.address, each.connection_type, each.proved_at,
            each.started_at, each.expires_at, each.ended_at, each.reason,
        )
        for each in sessions
    ]  # fmt: skip
    unit.put(sessions_table, _COLUMNS, rows)


def open_sessions(
    unit: Unit,
    operator_id: int,
    *,
    issuer: str | None = None,
    subject: str | None = None,
    directory: str | None = None,
    binding: str | None = None,
    account: str | None = None,
    server_id: str | None = None,
    started_before: int | None = None,
    after: int = 0,
    limit: int = 1000,
) -> list[Session]:
    """Who is connected, oldest first; `after` is the id of the last one seen."""
    asked: list[ColumnElement[bool]] = [
        _SESSION.operator_id == operator_id,
        _SESSION.ended_at.is_(None),
        _SESSION.id > after,
    ]
    wanted = {
        _SESSION.issuer: issuer,
        _SESSION.subject: subject,
        _SESSION.directory: directory,
        _SESSION.account: account,
        _SESSION.server_id: server_id,
    }
    asked += [column == value for column, value in wanted.items() if value is not None]
    if binding is not None:
        asked.append(_SESSION.bindings.contains(listed_bindings((binding,)), autoescape=True))
    if started_before is not None:
        asked.append(_SESSION.started_at < started_before)
    query = select(*_SESSION).where(*asked).order_by(_SESSION.id).limit(limit)
    return [session_of_row(row) for row in unit.fetch_all(query)]


def sessions_since(unit: Unit, operator_id: int, since: int) -> Iterator[Session]:
    """All that began since then, over or not, oldest first; a batch at a time."""
    query = select(*_SESSION).where(_SESSION.operator_id == operator_id, _SESSION.started_at >= since)
    for row in unit.stream(query.order_by(_SESSION.id)):
        yield session_of_row(row)


def end_sessions(unit: Unit, ids: Iterable[int], *, now: int, reason: str) -> int:
    """Note that these are over; how many still were open."""
    return _end(unit, [_SESSION.id.in_(list(ids))], now, reason)


def end_session_of(unit: Unit, server_id: str, client_id: int, *, now: int, reason: str) -> int:
    """Note that a server's connection is over."""
    return _end(unit, [_SESSION.server_id == server_id, _SESSION.client_id == client_id], now, reason)


def _end(unit: Unit, which: list[ColumnElement[bool]], now: int, reason: str) -> int:
    statement = update(sessions_table).where(*which, _SESSION.ended_at.is_(None))
    return unit.write(statement.values(ended_at=now, reason=reason)).rowcount


def listed_bindings(bindings: tuple[str, ...]) -> str:
    """As the column holds them."""
    # A line each, with an end on both sides, so that one is found among them by its whole name.
    return "\n".join(("", *bindings, ""))


def session_of_row(row: Row[*tuple[Any, ...]]) -> Session:
    """Of all columns, in order."""
    said = dict(zip((column.name for column in _SESSION), row, strict=True))
    del said["operator_id"]
    said["kind"] = Kind(said["kind"])
    said["bindings"] = tuple(filter(None, said["bindings"].split("\n")))
    return Session(**said)


# --- denials -----------------------------------------------------------------------------------------


def add_denial(unit: Unit, operator_id: int, denial: Denial, now: int) -> int:
    """Its number."""
    written = unit.write(
        insert(denials_table).values(
            operator_id=operator_id,
            kind=denial.target.value,
            issuer=denial.issuer,
            value=denial.value,
            before=denial.before,
            reason=denial.reason,
            created_at=now,
        )
    )
    return int((written.inserted_primary_key or (0,))[0])


def standing_denials(unit: Unit, operator_id: int) -> list[Denial]:
    """All that hold, oldest first."""
    columns = denials_table.c
    wanted = (columns.id, columns.kind, columns.issuer, columns.value, columns.before, columns.reason)
    query = select(*wanted, columns.created_at).where(
        columns.operator_id == operator_id, columns.lifted_at.is_(None)
    )
    return [
        Denial(
            id=number,
            target=Target(kind),
            issuer=issuer,
            value=value,
            before=before,
            reason=reason,
            created_at=at,
        )
        for number, kind, issuer, value, before, reason, at in unit.fetch_all(query.order_by(columns.id))
    ]


def lift_denial(unit: Unit, operator_id: int, number: int, *, now: int) -> bool:
    """Whether it stood."""
    columns = denials_table.c
    statement = update(denials_table).where(
        columns.operator_id == operator_id, columns.id == number, columns.lifted_at.is_(None)
    )
    return unit.write(statement.values(lifted_at=now)).rowcount > 0
