"""Leave for the role the service connects as on PostgreSQL: less than the owner of the tables has.

What is written once may be added to and read, and nothing else: such a role cannot take a trigger off,
nor change a row, even with its password in the wrong hands.
"""

from __future__ import annotations

import re
from typing import Final

from sqlalchemy import text

from issuer.errors import PeerError
from issuer.store import schema
from issuer.store.engine import connect_engine, parse_address
from issuer.store.faults import translated

WRITTEN_ONCE: Final = (
    schema.tokens,
    schema.events,
    schema.server_events,
    schema.trees,
    schema.tiles,
    schema.checkpoints,
    schema.cosignatures,
    schema.log_keys,
    schema.policies,
)
_NAME: Final = re.compile("[a-z_][a-z0-9_]{0,62}")


class NoSuchRole(PeerError):
    """Not a role that leave can be given to."""

    code = "store.role"


def grant_application_role(address: str, role: str) -> None:
    """Give an existing role what the service needs, and no more. The address is the owner's.

    Raises:
        NoSuchRole: not a name of a role, or on SQLite.
    """
    url = parse_address(address)
    if url.get_backend_name() == "sqlite":
        raise NoSuchRole("SQLite has no roles: the file's mode is what protects it", at="--app-role")
    if not _NAME.fullmatch(role):
        raise NoSuchRole(
            f"{role!r} is not the name of a role", at="--app-role", hint="small letters, digits, _"
        )
    once = {table.name for table in WRITTEN_ONCE}
    changing = ", ".join(
        sorted(table.name for table in schema.metadata.sorted_tables if table.name not in once)
    )
    statements = (
        f'REVOKE ALL ON ALL TABLES IN SCHEMA public FROM "{role}"',
        f'GRANT USAGE ON SCHEMA public TO "{role}"',
        f'GRANT SELECT ON alembic_version TO "{role}"',
        f'GRANT SELECT, INSERT ON {", ".join(sorted(once))} TO "{role}"',
        f'GRANT SELECT, INSERT, UPDATE, DELETE ON {changing} TO "{role}"',
        f'GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO "{role}"',
    )
    engine = connect_engine(url)
    try:
        with translated(), engine.begin() as connection:
            known = connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role})
            if known.first() is None:
                raise NoSuchRole(
                    f"there is no role {role!r}", at="--app-role", hint=f"CREATE ROLE {role} LOGIN"
                )
            for statement in statements:
                connection.execute(text(statement))
    finally:
        engine.dispose()
