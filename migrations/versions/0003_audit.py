"""The tree over the log, a second log for what servers tell, checkpoints, and people apart from events.

Revises: 0002
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
GENESIS = "0" * 64
TILE = 256
IMMUTABLE = ("server_events", "trees", "tiles", "checkpoints", "cosignatures", "log_keys")


def number(name: str) -> sa.Column[int]:
    return sa.Column(name, NUMBER, nullable=False, autoincrement=False)


def words(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def blob(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def upgrade() -> None:
    op.create_table(
        "server_events",
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
        key("server_events", "seq"),
    )
    op.create_table(
        "logs",
        words("name"),
        number("seq"),
        words("hash"),
        number("year"),
        number("first"),
        blob("edge"),
        number("erasures"),
        key("logs", "name"),
    )
    op.create_table("trees", words("log"), number("year"), number("first"), key("trees", "log", "year"))
    op.create_table(
        "tiles",
        words("log"),
        number("year"),
        number("level"),
        number("number"),
        blob("hashes"),
        blob("root"),
        key("tiles", "log", "year", "level", "number"),
    )
    op.create_table(
        "checkpoints",
        words("log"),
        number("year"),
        number("size"),
        words("note"),
        number("at"),
        key("checkpoints", "log", "year", "size"),
    )
    op.create_table(
        "cosignatures",
        words("log"),
        number("year"),
        number("size"),
        words("witness"),
        words("line"),
        number("at"),
        key("cosignatures", "log", "year", "size", "witness"),
    )
    op.create_table(
        "log_keys",
        number("id"),
        words("origin"),
        number("created_at"),
        sa.ForeignKeyConstraint(["id"], ["keys.id"], name="fk_log_keys_id_keys"),
        key("log_keys", "id"),
    )
    op.create_table(
        "persons",
        words("commitment"),
        blob("salt"),
        words("value"),
        words("digest"),
        number("created_at"),
        key("persons", "commitment"),
        sa.UniqueConstraint("digest", name="uq_persons_digest"),
    )
    _plant()
    op.drop_table("log_head")
    if op.get_bind().dialect.name == "sqlite":
        for table in IMMUTABLE:
            for act in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} are written once'); END"
                )
    else:
        for table in IMMUTABLE:
            op.execute(
                f"CREATE TRIGGER {table}_written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION accredit_immutable()"
            )


def downgrade() -> None:
    bind = op.get_bind()
    row = bind.execute(sa.text("SELECT seq, hash FROM logs WHERE name = 'admin'")).one()
    head = op.create_table(
        "log_head",
        number("id"),
        number("seq"),
        words("hash"),
        sa.CheckConstraint("id = 1", name=op.f("ck_log_head_one_row")),
        key("log_head", "id"),
    )
    op.bulk_insert(head, [{"id": 1, "seq": row[0], "hash": row[1]}])
    for table in (
        "persons", "log_keys", "cosignatures", "checkpoints", "tiles", "trees", "logs", "server_events",
    ):  # fmt: skip
        op.drop_table(table)


def _plant() -> None:
    """A tree over the events there are: one, of the newest one's year."""
    bind = op.get_bind()
    head = bind.execute(sa.text("SELECT seq, hash FROM log_head")).one()
    newest = bind.execute(sa.text("SELECT max(at) FROM events")).scalar()
    year = time.gmtime(newest).tm_year if newest is not None else 0
    edge: list[bytes] = []
    pending: list[list[bytes]] = [[]]
    count = 0
    tiles: list[dict[str, object]] = []
    for body in _bodies(bind):
        leaf = hashlib.sha256(b"\x00" + body.encode()).digest()
        _add(pending, 0, leaf, year, tiles, count + 1)
        size = count
        while size & 1:
            leaf = _node(edge.pop(), leaf)
            size >>= 1
        edge.append(leaf)
        count += 1
    kept = sa.table("tiles", *(sa.column(n) for n in ("log", "year", "level", "number", "hashes", "root")))
    for start in range(0, len(tiles), 100):
        op.bulk_insert(kept, tiles[start : start + 100])
    if count:
        trees = sa.table("trees", sa.column("log"), sa.column("year"), sa.column("first"))
        op.bulk_insert(trees, [{"log": "admin", "year": year, "first": 1}])
    names = ("name", "seq", "hash", "year", "first", "edge", "erasures")
    logs = sa.table("logs", *(sa.column(name) for name in names))
    admin = ("admin", head[0], head[1], year, 1, b"".join(edge), 0)
    servers = ("servers", 0, GENESIS, 0, 1, b"", 0)
    op.bulk_insert(logs, [dict(zip(names, row, strict=True)) for row in (admin, servers)])


def _bodies(bind: sa.Connection) -> Iterator[str]:
    page = sa.text("SELECT seq, body FROM events WHERE seq > :after ORDER BY seq LIMIT 1000")
    after = 0
    while rows := bind.execute(page, {"after": after}).all():
        yield from (row[1] for row in rows)
        after = rows[-1][0]


def _add(
    pending: list[list[bytes]],
    level: int,
    value: bytes,
    year: int,
    tiles: list[dict[str, object]],
    count: int,
) -> None:
    while len(pending) <= level:
        pending.append([])
    pending[level].append(value)
    if len(pending[level]) == TILE:
        root = _fold(pending[level])
        tiles.append(
            {
                "log": "admin",
                "year": year,
                "level": level,
                "number": (count >> 8 * (level + 1)) - 1,
                "hashes": b"".join(pending[level]),
                "root": root,
            }
        )
        pending[level] = []
        _add(pending, level + 1, root, year, tiles, count)


def _fold(row: Sequence[bytes]) -> bytes:
    while len(row) > 1:
        row = [_node(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
