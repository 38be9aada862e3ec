"""${message}

Revises: ${down_revision | comma,n}

The version before this one may still be running while this migration has been applied: add
before you use, use before you drop, and rename in three steps. On PostgreSQL build an index on
a large table with CONCURRENTLY in a migration of its own; on SQLite change a table in batch mode.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
