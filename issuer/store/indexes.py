"""The partial indexes of the tables.

They stand apart because naming their conditions loads the dialects of both engines, which takes
longer than a whole query. Only comparing the tables with the migrations needs them.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, text

from issuer.store import schema


def _partial(name: str, where: str, *columns: Column[int] | Column[str], unique: bool = False) -> Index:
    condition = text(where)
    return Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


_LIVE = "deleted_at IS NULL"
_OPEN = "ended_at IS NULL"

# A name is taken only as long as its bearer lives. Users' own keys belong to nobody else, and most
# users have no end: they stay out of their indexes.
PARTIAL = (
    _partial("ix_keys_owner_id", "owner_id IS NOT NULL", schema.keys.c.owner_id),
    _partial("uq_operators_name", _LIVE, schema.operators.c.name, unique=True),
    _partial(
        "uq_accounts_operator_id_name",
        _LIVE,
        schema.accounts.c.operator_id,
        schema.accounts.c.name,
        unique=True,
    ),
    _partial("uq_users_account_id_name", _LIVE, schema.users.c.account_id, schema.users.c.name, unique=True),
    _partial("ix_sessions_open_identity", _OPEN, schema.sessions.c.issuer, schema.sessions.c.subject),
    _partial("ix_sessions_open_user_key", _OPEN, schema.sessions.c.user_key),
    _partial("ix_sessions_open_client", _OPEN, schema.sessions.c.server_id, schema.sessions.c.client_id),
    _partial(
        "ix_server_connections_open",
        _OPEN,
        schema.server_connections.c.started_at,
    ),
    _partial("ix_denials_standing", "lifted_at IS NULL", schema.denials.c.operator_id),
    _partial("ix_users_expires_at", "expires_at IS NOT NULL", schema.users.c.expires_at),
)
