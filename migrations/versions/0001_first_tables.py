"""The first tables, and the triggers that keep tokens and events as they were written.

Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
GENESIS = "0" * 64
IMMUTABLE = ("tokens", "events")


def number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, NUMBER, nullable=nullable, autoincrement=False)


def words(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*(columns or ("id",)), name=f"pk_{table}")


def reference(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=f"fk_{table}_{column}_{other}")


def check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def index(name: str, table: str, *columns: str, where: str | None = None, unique: bool = False) -> None:
    condition = sa.text(where) if where else None
    op.create_index(
        name, table, list(columns), unique=unique, sqlite_where=condition, postgresql_where=condition
    )


def upgrade() -> None:
    op.create_table(
        "keys",
        number("id"),
        number("block"),
        words("public"),
        words("role"),
        words("purpose"),
        number("owner_id", nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        number("stored_at"),
        number("retired_at", nullable=True),
        check("keys", "purpose", "purpose IN ('identity', 'signing', 'curve', 'external')"),
        reference("keys", "owner_id", "keys"),
        key("keys"),
        sa.UniqueConstraint("block", "public", name="uq_keys_block_public"),
    )
    index("ix_keys_owner_id", "keys", "owner_id", where="owner_id IS NOT NULL")
    op.create_table(
        "operators",
        number("id"),
        words("name"),
        number("head"),
        number("created_at"),
        number("updated_at"),
        number("deleted_at", nullable=True),
        reference("operators", "id", "keys"),
        key("operators"),
    )
    index("uq_operators_name", "operators", "name", where="deleted_at IS NULL", unique=True)
    op.create_table(
        "accounts",
        number("id"),
        number("operator_id"),
        words("name"),
        number("head"),
        words("state"),
        number("created_at"),
        number("updated_at"),
        number("deleted_at", nullable=True),
        check("accounts", "state", "state IN ('live', 'deleting', 'deleted')"),
        reference("accounts", "id", "keys"),
        reference("accounts", "operator_id", "operators"),
        key("accounts"),
    )
    index(
        "uq_accounts_operator_id_name",
        "accounts",
        "operator_id",
        "name",
        where="deleted_at IS NULL",
        unique=True,
    )
    op.create_table(
        "users",
        number("id"),
        number("account_id"),
        words("name"),
        words("role"),
        words("issuer"),
        number("head"),
        number("issued_at"),
        number("expires_at", nullable=True),
        number("created_at"),
        number("deleted_at", nullable=True),
        reference("users", "id", "keys"),
        reference("users", "account_id", "accounts"),
        key("users"),
    )
    index("uq_users_account_id_name", "users", "account_id", "name", where="deleted_at IS NULL", unique=True)
    index("ix_users_expires_at", "users", "expires_at", where="expires_at IS NOT NULL")
    op.create_table(
        "tokens",
        sa.Column("id", NUMBER, nullable=False, autoincrement=True),
        number("key_id"),
        words("kind"),
        number("version"),
        words("jti"),
        words("sha256"),
        number("iat"),
        number("exp", nullable=True),
        words("issuer"),
        words("token"),
        reference("tokens", "key_id", "keys"),
        key("tokens"),
        sa.UniqueConstraint("key_id", "kind", "version", name="uq_tokens_key_id_kind_version"),
    )
    op.create_table(
        "events",
        number("seq"),
        number("at"),
        words("code"),
        words("actor"),
        words("outcome"),
        words("target"),
        words("correlation"),
        words("body"),
        words("previous"),
        words("hash"),
        key("events", "seq"),
    )
    log_head = op.create_table(
        "log_head",
        number("id"),
        number("seq"),
        words("hash"),
        check("log_head", "one_row", "id = 1"),
        key("log_head"),
    )
    # The row writers on PostgreSQL queue up at.
    op.bulk_insert(log_head, [{"id": 1, "seq": 0, "hash": GENESIS}])
    op.create_table(
        "outbox",
        number("account_id"),
        words("action"),
        number("token_id"),
        number("version"),
        number("enqueued_at"),
        number("due_at"),
        number("attempts"),
        words("claimed_by", nullable=True),
        number("claimed_until", nullable=True),
        words("last_words"),
        check("outbox", "action", "action IN ('update', 'delete')"),
        reference("outbox", "account_id", "accounts"),
        reference("outbox", "token_id", "tokens"),
        key("outbox", "account_id"),
    )
    index("ix_outbox_due_at", "outbox", "due_at")
    op.create_table(
        "servers",
        words("id"),
        words("name"),
        words("cluster"),
        words("version"),
        number("first_seen"),
        number("last_seen"),
        key("servers"),
    )
    op.create_table(
        "deliveries",
        number("account_id"),
        words("server"),
        words("server_id"),
        number("version"),
        words("sha256"),
        words("state"),
        words("words"),
        number("changed_at"),
        reference("deliveries", "account_id", "accounts"),
        key("deliveries", "account_id", "server"),
    )
    op.create_table(
        "custody",
        number("id"),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("verifier", sa.LargeBinary(), nullable=False),
        number("created_at"),
        check("custody", "one_row", "id = 1"),
        key("custody"),
    )
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        _guard_postgresql()


def downgrade() -> None:
    for table in (
        "custody", "deliveries", "servers", "outbox", "log_head", "events",
        "tokens", "users", "accounts", "operators", "keys",
    ):  # fmt: skip
        op.drop_table(table)
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION accredit_immutable()")


def _guard_sqlite() -> None:
    for table in IMMUTABLE:
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} are written once'); END"
            )


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION accredit_immutable() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% are written once', TG_TABLE_NAME "
        "USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    for table in IMMUTABLE:
        op.execute(
            f"CREATE TRIGGER {table}_written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION accredit_immutable()"
        )
