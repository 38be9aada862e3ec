"""What the auth callout remembers: policies, sessions, whose, who is denied, and what it was told.

Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPEN = "ended_at IS NULL"


def row_id() -> sa.Column[int]:
    return sa.Column("id", NUMBER, nullable=False)


def number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, NUMBER, nullable=nullable, autoincrement=False)


def words(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def key(table: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint("id", name=f"pk_{table}")


def of_operator(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["operator_id"], ["operators.id"], name=f"fk_{table}_operator_id_operators"
    )


def partial(name: str, table: str, where: str, *columns: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, list(columns), sqlite_where=condition, postgresql_where=condition)


def upgrade() -> None:
    op.create_table(
        "policies",
        row_id(),
        number("operator_id"),
        number("version"),
        words("sha256"),
        words("body"),
        number("created_at"),
        of_operator("policies"),
        key("policies"),
        sa.UniqueConstraint("operator_id", "version", name="uq_policies_operator_id_version"),
    )
    op.create_table(
        "sessions",
        row_id(),
        number("operator_id"),
        words("user_key"),
        words("identity"),
        words("issuer"),
        words("subject"),
        words("name"),
        words("kind"),
        words("directory"),
        words("groups_hash"),
        words("bindings"),
        number("policy_version"),
        words("account"),
        words("role"),
        words("server_id"),
        words("server"),
        number("client_id"),
        words("address"),
        words("connection_type"),
        number("proved_at", nullable=True),
        number("started_at"),
        number("expires_at"),
        number("ended_at", nullable=True),
        words("reason"),
        of_operator("sessions"),
        key("sessions"),
    )
    # Who is there now is asked often; who has been, by time alone.
    partial("ix_sessions_open_identity", "sessions", OPEN, "issuer", "subject")
    partial("ix_sessions_open_user_key", "sessions", OPEN, "user_key")
    partial("ix_sessions_open_client", "sessions", OPEN, "server_id", "client_id")
    op.create_index("ix_sessions_operator_id_started_at", "sessions", ["operator_id", "started_at"])
    op.create_table(
        "identities",
        row_id(),
        number("operator_id"),
        words("digest"),
        words("document"),
        number("first_seen"),
        of_operator("identities"),
        key("identities"),
        sa.UniqueConstraint("operator_id", "digest", name="uq_identities_operator_id_digest"),
    )
    op.create_table(
        "turned_away",
        row_id(),
        number("operator_id"),
        words("identity"),
        words("code"),
        words("address"),
        words("connection_type"),
        number("proved_at", nullable=True),
        number("at"),
        of_operator("turned_away"),
        key("turned_away"),
    )
    op.create_index("ix_turned_away_operator_id_at", "turned_away", ["operator_id", "at"])
    op.create_table(
        "provisioned",
        words("id"),
        number("operator_id"),
        words("directory"),
        words("user_name"),
        words("external_id"),
        number("active"),
        words("document"),
        number("created_at"),
        number("changed_at"),
        of_operator("provisioned"),
        key("provisioned"),
        sa.UniqueConstraint(
            "operator_id", "directory", "user_name", name="uq_provisioned_operator_id_directory_user_name"
        ),
    )
    op.create_table(
        "notices",
        words("source"),
        words("notice_id"),
        number("at"),
        sa.PrimaryKeyConstraint("source", "notice_id", name="pk_notices"),
    )
    op.create_table(
        "cursors",
        words("name"),
        words("value"),
        number("at"),
        sa.PrimaryKeyConstraint("name", name="pk_cursors"),
    )
    op.create_table(
        "denials",
        row_id(),
        number("operator_id"),
        words("kind"),
        words("issuer"),
        words("value"),
        number("before", nullable=True),
        words("reason"),
        number("created_at"),
        number("lifted_at", nullable=True),
        sa.CheckConstraint(
            "kind IN ('identity', 'group', 'directory', 'binding', 'everybody')", name=op.f("ck_denials_kind")
        ),
        of_operator("denials"),
        key("denials"),
    )
    partial("ix_denials_standing", "denials", "lifted_at IS NULL", "operator_id")
    if op.get_bind().dialect.name == "sqlite":
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER policies_no_{act.lower()} BEFORE {act} ON policies "
                "BEGIN SELECT RAISE(ABORT, 'policies are written once'); END"
            )
    else:
        op.execute(
            "CREATE TRIGGER policies_written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON policies "
            "FOR EACH STATEMENT EXECUTE FUNCTION accredit_immutable()"
        )


def downgrade() -> None:
    for table in (
        "denials",
        "cursors",
        "notices",
        "provisioned",
        "turned_away",
        "identities",
        "sessions",
        "policies",
    ):
        op.drop_table(table)
