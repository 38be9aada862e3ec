"""People as a provider of identities told us of them (SCIM 2.0): one row each, also of those not active."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, update

from issuer.store.schema import provisioned as provisioned_table
from issuer.store.unit import Unit

_ROW: Final = provisioned_table.c
_COLUMNS: Final = (
    _ROW.id,
    _ROW.directory,
    _ROW.user_name,
    _ROW.external_id,
    _ROW.active,
    _ROW.document,
    _ROW.created_at,
    _ROW.changed_at,
)


@dataclass(frozen=True, slots=True)
class Provisioned:
    """Somebody of one provider; `user_name` is folded, as `document` (JSON) has it otherwise.

    Times are unix seconds.
    """

    id: str
    source: str
    user_name: str
    external_id: str
    active: bool
    document: str
    created_at: int
    changed_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Whom:
    """Who is looked for; None is anybody."""

    user_name: str | None = None
    external_id: str | None = None
    active: bool | None = None


def add_provisioned(unit: Unit, operator_id: int, row: Provisioned) -> None:
    unit.write(
        insert(provisioned_table).values(
            id=row.id,
            operator_id=operator_id,
            directory=row.source,
            user_name=row.user_name,
            external_id=row.external_id,
            active=int(row.active),
            document=row.document,
            created_at=row.created_at,
            changed_at=row.changed_at,
        )
    )


def change_provisioned(unit: Unit, operator_id: int, row: Provisioned) -> bool:
    """Write one anew; whether it was there."""
    statement = update(provisioned_table).where(_ROW.operator_id == operator_id, _ROW.id == row.id)
    values = {
        "user_name": row.user_name,
        "external_id": row.external_id,
        "active": int(row.active),
        "document": row.document,
        "changed_at": row.changed_at,
    }
    return unit.write(statement.values(**values)).rowcount > 0


def remove_provisioned(unit: Unit, operator_id: int, number: str) -> bool:
    """Whether it was there."""
    statement = delete(provisioned_table).where(_ROW.operator_id == operator_id, _ROW.id == number)
    return unit.write(statement).rowcount > 0


def find_provisioned(unit: Unit, operator_id: int, source: str, number: str) -> Provisioned | None:
    """By its id; of another provider it is not there."""
    row = unit.fetch_one(
        select(*_COLUMNS).where(_ROW.operator_id == operator_id, _ROW.directory == source, _ROW.id == number)
    )
    return _of(row) if row is not None else None


def list_provisioned(
    unit: Unit, operator_id: int, source: str, whom: Whom, *, skip: int = 0, limit: int = 100
) -> list[Provisioned]:
    """In the order in which they came."""
    query = select(*_COLUMNS).where(*_asked(operator_id, source, whom))
    query = query.order_by(_ROW.created_at, _ROW.id).offset(skip).limit(limit)
    return [_of(row) for row in unit.fetch_all(query)]


def count_provisioned(unit: Unit, operator_id: int, source: str, whom: Whom) -> int:
    row = unit.fetch_one(
        select(func.count()).select_from(provisioned_table).where(*_asked(operator_id, source, whom))
    )
    return int(row[0]) if row is not None else 0


def _asked(operator_id: int, source: str, whom: Whom) -> list[ColumnElement[bool]]:
    asked: list[ColumnElement[bool]] = [_ROW.operator_id == operator_id, _ROW.directory == source]
    if whom.user_name is not None:
        asked.append(_ROW.user_name == whom.user_name)
    if whom.external_id is not None:
        asked.append(_ROW.external_id == whom.external_id)
    if whom.active is not None:
        asked.append(_ROW.active == int(whom.active))
    return asked


def _of(row: Row[*tuple[Any, ...]]) -> Provisioned:
    number, source, user_name, external_id, active, document, created_at, changed_at = row
    return Provisioned(number, source, user_name, external_id, bool(active), document, created_at, changed_at)
