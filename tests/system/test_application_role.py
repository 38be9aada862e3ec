"""The service as a role of its own on PostgreSQL: it works, and cannot rewrite what was written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from issuer.store.application_role import WRITTEN_ONCE
from tests.servers import Postgres

ACCREDIT = str(Path(sys.executable).with_name("accredit"))


def accredit(folder: Path, database: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ACCREDIT, "-H", str(folder), "--database", database, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_it_works_and_rewrites_nothing(tmp_path: Path, postgres: Postgres) -> None:
    owner = postgres.new_database()
    plain = owner.replace("postgresql+psycopg://", "postgresql://")
    role = "accredit_app"
    ours = plain.replace(f"//{postgres.USER}@", f"//{role}@")
    assert ours != plain
    assert accredit(tmp_path, owner, "init", "GRID").returncode == 0
    refused = accredit(tmp_path, owner, "migrate", "--app-role", role)
    assert (refused.returncode, "there is no role" in refused.stderr) == (5, True)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN")
    assert accredit(tmp_path, owner, "migrate", "--app-role", role).returncode == 0
    for words in (
        ("add", "account", "METERS"),
        ("add", "user", "m1", "-a", "METERS", "--no-creds"),
        ("revoke", "m1", "-a", "METERS"),
        ("audit", "checkpoint"),
        ("audit", "verify"),
        ("audit", "bundle", str(tmp_path / "e.zip"), "--since", "-1d"),
        ("audit", "check", str(tmp_path / "e.zip")),
    ):
        done = accredit(tmp_path, ours, *words)
        assert done.returncode == 0, done.stderr
    with psycopg.connect(ours, autocommit=True) as connection:
        for table in (each.name for each in WRITTEN_ONCE):
            for statement in (
                f"UPDATE {table} SET {'year' if table in {'trees', 'tiles', 'checkpoints', 'cosignatures'} else 'at'} = 0",
                f"DELETE FROM {table}",
                f"TRUNCATE {table}",
                f"ALTER TABLE {table} DISABLE TRIGGER ALL",
                f"DROP TABLE {table}",
            ):
                with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedColumn)):
                    connection.execute(statement)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SET session_replication_role = replica")


def test_sqlite_has_none(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'a.db'}"
    assert accredit(tmp_path, database, "init", "GRID").returncode == 0
    assert accredit(tmp_path, database, "migrate", "--app-role", "x").returncode == 5
