"""Every table of the store, SQLAlchemy Core; its partial indexes are in `indexes`.

Times are unix seconds, tokens and JSON are text. Rows of `tokens`, of the logs and of their trees
are written once: triggers in the migrations refuse to change them.

Bulk issuing must not slow down as the store grows, so every index grows at its end. Public keys
are random: in one index over all of them each new key changes a page of its own, and from some
hundred thousand on writing those pages costs more than signing. So keys are indexed block by
block of 65,536 ids (`block_of`), and a look-up asks each block, a few microseconds each. That a
key is there only once is checked by `keys.insert_key`, one writer at a time.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

# SQLite takes a column for its row number only when the type is spelt INTEGER.
Number: Final = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


_BLOCK_BITS: Final = 16


def block_of(key_id: int) -> int:
    """The block of the index of public keys an id belongs to."""
    return key_id >> _BLOCK_BITS


def _id(*constraints: ForeignKey, name: str = "id") -> Column[int]:
    return Column(name, Number, *constraints, primary_key=True, autoincrement=False)


def _number(name: str, *constraints: ForeignKey, nullable: bool = False) -> Column[int]:
    return Column(name, Number, *constraints, nullable=nullable)


def _words(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable)


def _one_row() -> CheckConstraint:
    return CheckConstraint("id = 1", name="one_row")


keys = Table(
    "keys",
    metadata,
    _id(),
    _number("block"),
    _words("public"),
    _words("role"),  # the letter a public key of this kind begins with
    CheckConstraint("purpose IN ('identity', 'signing', 'curve', 'external')", name="purpose"),
    _words("purpose"),
    _number("owner_id", ForeignKey("keys.id"), nullable=True),
    Column("sealed", LargeBinary, nullable=True),
    _number("stored_at"),
    _number("retired_at", nullable=True),
    UniqueConstraint("block", "public"),
)

operators = Table(
    "operators",
    metadata,
    _id(ForeignKey("keys.id")),
    _words("name"),
    _number("head"),
    _number("created_at"),
    _number("updated_at"),
    _number("deleted_at", nullable=True),
)

accounts = Table(
    "accounts",
    metadata,
    _id(ForeignKey("keys.id")),
    _number("operator_id", ForeignKey("operators.id")),
    _words("name"),
    _number("head"),
    CheckConstraint("state IN ('live', 'deleting', 'deleted')", name="state"),
    _words("state"),
    _number("created_at"),
    _number("updated_at"),
    _number("deleted_at", nullable=True),
)

users = Table(
    "users",
    metadata,
    _id(ForeignKey("keys.id")),
    _number("account_id", ForeignKey("accounts.id")),
    _words("name"),
    _words("role"),  # '' = none
    _words("issuer"),  # public key that signed the newest token
    _number("head"),
    _number("issued_at"),
    _number("expires_at", nullable=True),
    _number("created_at"),
    _number("deleted_at", nullable=True),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Number, primary_key=True),
    _number("key_id", ForeignKey("keys.id")),
    _words("kind"),
    _number("version"),
    _words("jti"),
    _words("sha256"),
    _number("iat"),
    _number("exp", nullable=True),
    _words("issuer"),
    _words("token"),
    UniqueConstraint("key_id", "kind", "version"),
)


def _log_of_events(name: str) -> Table:
    return Table(
        name,
        metadata,
        _id(name="seq"),
        _number("at"),
        _words("code"),
        _words("actor"),
        _words("outcome"),
        _words("target"),
        _words("correlation"),
        _words("body"),  # the canonical JSON that was hashed, byte for byte
        _words("previous"),
        _words("hash"),
    )


events = _log_of_events("events")  # the log `admin`
server_events = _log_of_events("server_events")  # the log `servers`: what servers told us

logs = Table(  # where each log stands; on PostgreSQL its writers queue up at the row
    "logs",
    metadata,
    Column("name", Text, primary_key=True),
    _number("seq"),
    _words("hash"),
    _number("year"),  # of the tree that grows; 0 before the first event
    _number("first"),  # sequence number of that tree's leaf 0
    Column("edge", LargeBinary, nullable=False),  # as `audit.tree` packs it
    _number("erasures"),  # goes up whenever a person is forgotten
)

trees = Table(  # one a year and log; the newest is still growing
    "trees",
    metadata,
    _words("log"),
    _number("year"),
    _number("first"),
    PrimaryKeyConstraint("log", "year"),
)

tiles = Table(  # full tiles only: 256 hashes of a level that is a multiple of 8 (C2SP tlog-tiles)
    "tiles",
    metadata,
    _words("log"),
    _number("year"),
    _number("level"),  # of the tile: 0 has leaves, 1 has roots of tiles of level 0
    _number("number"),
    Column("hashes", LargeBinary, nullable=False),
    Column("root", LargeBinary, nullable=False),
    PrimaryKeyConstraint("log", "year", "level", "number"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    _words("log"),
    _number("year"),
    _number("size"),
    _words("note"),  # the signed note (C2SP tlog-checkpoint)
    _number("at"),
    PrimaryKeyConstraint("log", "year", "size"),
)

cosignatures = Table(  # what witnesses said of checkpoints
    "cosignatures",
    metadata,
    _words("log"),
    _number("year"),
    _number("size"),
    _words("witness"),
    _words("line"),
    _number("at"),
    PrimaryKeyConstraint("log", "year", "size", "witness"),
)

log_keys = Table(  # what signs checkpoints; the newest does, the others did
    "log_keys",
    metadata,
    _id(ForeignKey("keys.id")),
    _words("origin"),
    _number("created_at"),
)

persons = Table(  # the only place of what events say of people; a row may go
    "persons",
    metadata,
    Column("commitment", Text, primary_key=True),
    Column("salt", LargeBinary, nullable=False),
    _words("value"),
    _words("digest"),  # SHA-256 of the value: what may be long is not indexed itself
    _number("created_at"),
    UniqueConstraint("digest"),
)

outbox = Table(
    "outbox",
    metadata,
    _id(ForeignKey("accounts.id"), name="account_id"),
    CheckConstraint("action IN ('update', 'delete')", name="action"),
    _words("action"),
    _number("token_id", ForeignKey("tokens.id")),
    _number("version"),
    _number("enqueued_at"),
    _number("due_at"),
    _number("attempts"),
    _words("claimed_by", nullable=True),
    _number("claimed_until", nullable=True),
    _words("last_words"),
    Index("ix_outbox_due_at", "due_at"),
)

servers = Table(
    "servers",
    metadata,
    Column("id", Text, primary_key=True),
    _words("name"),
    _words("cluster"),
    _words("version"),
    _number("first_seen"),
    _number("last_seen"),
)

deliveries = Table(
    "deliveries",
    metadata,
    _number("account_id", ForeignKey("accounts.id")),
    _words("server"),  # the name, which survives restarts; the id does not
    _words("server_id"),
    _number("version"),
    _words("sha256"),
    _words("state"),
    _words("words"),
    _number("changed_at"),
    PrimaryKeyConstraint("account_id", "server"),
)

custody = Table(
    "custody",
    metadata,
    _id(),
    Column("salt", LargeBinary, nullable=False),
    Column("verifier", LargeBinary, nullable=False),
    _number("created_at"),
    _one_row(),
)

policies = Table(
    "policies",
    metadata,
    Column("id", Number, primary_key=True),
    _number("operator_id", ForeignKey("operators.id")),
    _number("version"),
    _words("sha256"),
    _words("body"),  # canonical JSON
    _number("created_at"),
    UniqueConstraint("operator_id", "version"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Number, primary_key=True),
    _number("operator_id", ForeignKey("operators.id")),
    _words("user_key"),  # made by the server for one connection, or its owner's if portable
    _words("identity"),  # digest, as in `identities`
    _words("issuer"),
    _words("subject"),
    _words("name"),
    _words("kind"),
    _words("directory"),
    _words("groups_hash"),
    _words("bindings"),  # one a line
    _number("policy_version"),
    _words("account"),
    _words("role"),
    _words("server_id"),  # '' if portable
    _words("server"),
    _number("client_id"),
    _words("address"),
    _words("connection_type"),
    _number("proved_at", nullable=True),
    _number("started_at"),
    _number("expires_at"),
    _number("ended_at", nullable=True),
    _words("reason"),
    Index("ix_sessions_operator_id_started_at", "operator_id", "started_at"),
)

identities = Table(
    "identities",
    metadata,
    Column("id", Number, primary_key=True),
    _number("operator_id", ForeignKey("operators.id")),
    _words("digest"),
    _words("document"),  # canonical JSON: what is true of somebody at every login
    _number("first_seen"),
    UniqueConstraint("operator_id", "digest"),
)

turned_away = Table(  # by the policy or a denial, after it was known who it was
    "turned_away",
    metadata,
    Column("id", Number, primary_key=True),
    _number("operator_id", ForeignKey("operators.id")),
    _words("identity"),  # digest, as in `identities`
    _words("code"),
    _words("address"),
    _words("connection_type"),
    _number("proved_at", nullable=True),
    _number("at"),
    Index("ix_turned_away_operator_id_at", "operator_id", "at"),
)

provisioned = Table(  # what a provider of identities told us of somebody (SCIM 2.0)
    "provisioned",
    metadata,
    Column("id", Text, primary_key=True),  # ours, a UUID
    _number("operator_id", ForeignKey("operators.id")),
    _words("directory"),
    _words("user_name"),
    _words("external_id"),
    _number("active"),
    _words("document"),  # JSON, as it was sent
    _number("created_at"),
    _number("changed_at"),
    UniqueConstraint("operator_id", "directory", "user_name"),
)

notices = Table(  # what was told us from outside, so that it counts once
    "notices",
    metadata,
    _words("source"),
    _words("notice_id"),
    _number("at"),
    PrimaryKeyConstraint("source", "notice_id"),
)

cursors = Table(  # how far something outside has been followed
    "cursors",
    metadata,
    Column("name", Text, primary_key=True),
    _words("value"),
    _number("at"),
)

denials = Table(
    "denials",
    metadata,
    Column("id", Number, primary_key=True),
    _number("operator_id", ForeignKey("operators.id")),
    CheckConstraint("kind IN ('identity', 'group', 'directory', 'binding', 'everybody')", name="kind"),
    _words("kind"),
    _words("issuer"),
    _words("value"),  # a subject, a group, a name; '' for everybody
    _number("before", nullable=True),  # only what was proved before this second
    _words("reason"),
    _number("created_at"),
    _number("lifted_at", nullable=True),
)

server_heard = Table(  # ids of events from servers, so that each counts once
    "server_heard",
    metadata,
    Column("event_id", Text, primary_key=True),
    _number("at"),
    Index("ix_server_heard_at", "at"),
)

server_connections = Table(  # what the log `servers` says of connections, to be asked; nothing of people
    "server_connections",
    metadata,
    _words("server_id"),
    _number("client_id"),
    _words("server"),
    _words("account"),
    _words("user_key"),  # '' where the server says no key
    _words("credential"),  # how its token is known, as `audit.attribution` says
    _words("sha256"),  # of its token; '' if it showed none
    _number("approval"),  # the event of the log `admin` that issued it; 0 if none is known
    _number("session_id"),  # in `sessions`; 0 if the callout did not let it in
    _number("started_at"),
    _number("ended_at", nullable=True),
    _words("reason"),
    _number("opened_seq"),  # the events of the log `servers`; 0 for one we have not heard
    _number("closed_seq"),
    PrimaryKeyConstraint("server_id", "client_id"),
    Index("ix_server_connections_started_at", "started_at"),
)

server_uses = Table(  # when somebody was last on a server
    "server_uses",
    metadata,
    _words("who"),  # a user key, or for the callout's the digest of an identity
    _words("account"),
    _number("first_seen"),
    _number("last_seen"),
    _number("connections"),
    PrimaryKeyConstraint("who", "account"),
)

service_users = Table(  # users we make for ourselves, for one connection each
    "service_users",
    metadata,
    Column("public", Text, primary_key=True),
    _words("name"),
    _words("sha256"),
    _number("expires_at"),
)

# What records how delivery fares, or that a connection is over, changes nobody's rights and may be
# written without an event.
BOOKKEEPING: Final[frozenset[Any]] = frozenset(
    {
        outbox, servers, deliveries, sessions, identities, turned_away, notices, cursors, custody,
        checkpoints, cosignatures, server_heard, server_connections, server_uses, service_users,
    }
)  # fmt: skip
# Written along with events, by whoever appends them.
OF_THE_LOG: Final[frozenset[Any]] = frozenset({events, server_events, trees, tiles, persons})
