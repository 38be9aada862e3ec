"""What servers tell of connections: heard once, asked about, and our own users among them.

Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, NUMBER, nullable=nullable, autoincrement=False)


def words(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def upgrade() -> None:
    op.create_table("server_heard", words("event_id"), number("at"), key("server_heard", "event_id"))
    op.create_index("ix_server_heard_at", "server_heard", ["at"])
    op.create_table(
        "server_connections",
        words("server_id"),
        number("client_id"),
        words("server"),
        words("account"),
        words("user_key"),
        words("credential"),
        words("sha256"),
        number("approval"),
        number("session_id"),
        number("started_at"),
        number("ended_at", nullable=True),
        words("reason"),
        number("opened_seq"),
        number("closed_seq"),
        key("server_connections", "server_id", "client_id"),
    )
    op.create_index("ix_server_connections_started_at", "server_connections", ["started_at"])
    condition = sa.text("ended_at IS NULL")
    op.create_index(
        "ix_server_connections_open",
        "server_connections",
        ["started_at"],
        sqlite_where=condition,
        postgresql_where=condition,
    )
    op.create_table(
        "server_uses",
        words("who"),
        words("account"),
        number("first_seen"),
        number("last_seen"),
        number("connections"),
        key("server_uses", "who", "account"),
    )
    op.create_table(
        "service_users",
        words("public"),
        words("name"),
        words("sha256"),
        number("expires_at"),
        key("service_users", "public"),
    )


def downgrade() -> None:
    for table in ("service_users", "server_uses", "server_connections", "server_heard"):
        op.drop_table(table)
