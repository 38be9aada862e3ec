"""Keys are known once, and their seeds can be given, forgotten and counted."""

# ruff: noqa: PT012  (a unit of work is several statements, and fails at its end)

from __future__ import annotations

import pytest

from issuer.errors import AlreadyExists, NotFound
from issuer.keys.nkeys import Role
from issuer.store import hierarchy, keys, schema
from issuer.store.keys import CustodyRecord
from issuer.store.unit import Database
from tests.issuer.store.founding import NOW, Founded, new_key, public_key, told


def test_a_key_is_taken_in_once(database: Database, founded: Founded) -> None:
    with pytest.raises(AlreadyExists) as caught, database.writing() as unit:
        row_id = hierarchy.allocate_ids(unit, 1)[0]
        keys.insert_key(unit, row_id, founded.account.public, "A", "identity", None, None, NOW)
        told(unit)
    assert caught.value.at == "public key"


def test_a_key_is_found_and_refused_across_blocks_of_the_index(
    database: Database, founded: Founded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_BLOCK_BITS", 1)
    with database.writing() as unit:
        known = [new_key(unit, Role.USER) for _ in range(7)]
        told(unit)
    with database.reading() as unit:
        assert list(unit.key_blocks()) == list(range(schema.block_of(known[-1][0]) + 1))
        found = [keys.find_key(unit, public) for _, public in known]
        assert [row.id for row in found if row] == [row_id for row_id, _ in known]
    with pytest.raises(AlreadyExists), database.writing() as unit:
        keys.insert_key(unit, 4711, known[0][1], "U", "identity", None, None, NOW)
        told(unit)


def test_a_look_up_by_key_reads_no_table_through(sqlite_url: str) -> None:
    database = Database.open(sqlite_url, create=True)
    with database.reading() as unit:
        query = hierarchy._USER.where(keys.key_is(unit, public_key(Role.USER)))
        compiled = query.compile(unit._connection, compile_kwargs={"literal_binds": True})
        plan = unit._connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}").all()
    database.close()
    assert not any("SCAN" in str(line) for line in plan), plan


def test_seeds_come_and_go(database: Database, founded: Founded) -> None:
    with database.writing() as unit:
        row_id, public = new_key(unit, Role.ACCOUNT, owner_id=founded.account.id)
        assert not keys.has_seed(unit, public)
        assert keys.sealed_seed(unit, public) is None
        keys.give_seed(unit, public, b"\x00sealed\xff", purpose="signing")
        assert keys.sealed_seed(unit, public) == (row_id, "signing", b"\x00sealed\xff")
        keys.retire_key(unit, public, NOW + 1)
        assert [row.retired_at for row in keys.keys_of(unit, founded.account.id)] == [NOW + 1]
        assert public in {row.public for row in keys.all_keys(unit)}
        keys.forget_seed(unit, public)
        assert not keys.has_seed(unit, public)
        told(unit)
    with pytest.raises(NotFound), database.writing() as unit:
        keys.forget_seed(unit, public_key(Role.USER))


def test_a_keys_row_shows_no_seed(database: Database, founded: Founded) -> None:
    with database.writing() as unit:
        _, public = new_key(unit, Role.ACCOUNT, owner_id=founded.account.id)
        keys.give_seed(unit, public, b"sealed seed", purpose="signing")
        row = keys.find_key(unit, public)
        told(unit)
    assert row is not None
    assert "sealed seed" not in repr(row)


def test_the_custody_record_is_one(database: Database) -> None:
    with database.noting() as unit:
        assert keys.custody_record(unit) is None
        keys.save_custody_record(unit, CustodyRecord(b"salt", b"check", NOW))
        keys.save_custody_record(unit, CustodyRecord(b"salt", b"other", NOW))
        assert keys.custody_record(unit) == CustodyRecord(b"salt", b"other", NOW)
