"""The tree that is kept is the tree over the events, whatever batches they came in."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import text

from issuer.audit import log
from issuer.audit.catalogue import EventCode
from issuer.audit.log import Event
from issuer.audit.tiles import StoredTree, TreeBroken
from issuer.audit.tree import edge_at, grow, leaf_hash, root_of, unpack_edge
from issuer.store import tiles
from issuer.store.journal import read_events
from issuer.store.unit import Database, Log
from tests.issuer.store.founding import NOW

YEAR = 31_622_400


def events(count: int) -> list[Event]:
    return [Event(EventCode.ACT_REFUSED, "test", detail={"message": f"{number}"}) for number in range(count)]


def append(database: Database, counts: list[int], at: int = NOW, name: Log = Log.ADMIN) -> None:
    for count in counts:
        with database.writing(name) as unit:
            log.append_many(unit, events(count), at)


def leaves(database: Database, name: Log = Log.ADMIN) -> list[bytes]:
    with database.reading() as unit:
        return [leaf_hash(line.body.encode()) for line in read_events(unit, name)]


def roots(entries: list[bytes]) -> bytes:
    edge: list[bytes] = []
    for size, leaf in enumerate(entries):
        grow(edge, size, leaf)
    return root_of(edge)


@pytest.mark.parametrize(
    "counts",
    [[1], [255], [256], [257], [100, 155, 1, 1], [1] * 20 + [600], [700, 300, 1], [512, 512]],
    ids=lambda counts: "+".join(map(str, counts[:3])),
)
def test_the_edge_and_the_tiles_are_those_of_the_leaves(database: Database, counts: list[int]) -> None:
    append(database, counts)
    entries = leaves(database)
    with database.reading() as unit:
        head = unit.log_head()
        tree = StoredTree(unit, Log.ADMIN, head.year)
        assert tree.size == len(entries) == sum(counts)
        assert root_of(unpack_edge(head.edge)) == roots(entries)
        for size in {1, (len(entries) + 1) // 2, max(len(entries) - 1, 1), len(entries)}:
            assert root_of(edge_at(size, tree.node)) == roots(entries[:size])
        assert [tree.hashes(0, number) for number in range(-(-len(entries) // 256))] == [
            entries[at : at + 256] for at in range(0, len(entries), 256)
        ]
        full = [tiles.tile(unit, Log.ADMIN, head.year, 0, number) for number in range(5)]
    assert sum(tile is not None for tile in full) == len(entries) // 256


def test_a_tile_of_tiles(database: Database) -> None:
    rng = random.Random(5)
    counts, left = [], 65_536 + 300
    while left:
        counts.append(min(left, rng.choice([1, 4000, 9000, 255])))
        left -= counts[-1]
    append(database, counts)
    entries = leaves(database)
    with database.reading() as unit:
        head = unit.log_head()
        tree = StoredTree(unit, Log.ADMIN, head.year)
        assert tiles.tile(unit, Log.ADMIN, head.year, 1, 0) is not None
        assert len(tree.hashes(1, 1)) == 1
        assert root_of(unpack_edge(head.edge)) == roots(entries) == root_of(edge_at(tree.size, tree.node))
        for size in (65_535, 65_536, 65_537, 65_536 + 256):
            assert root_of(edge_at(size, tree.node)) == roots(entries[:size])


def test_the_logs_have_trees_of_their_own(database: Database) -> None:
    append(database, [3])
    append(database, [300], name=Log.SERVERS)
    with database.reading() as unit:
        assert unit.log_head(Log.SERVERS).seq == 300
        assert unit.log_head().seq == 3
        assert log.verify_chain(unit) is log.verify_chain(unit, Log.SERVERS) is None
    assert len(leaves(database, Log.SERVERS)) == 300


def test_a_new_year_begins_with_the_old_ones_root(database: Database) -> None:
    append(database, [300])
    append(database, [2], NOW + YEAR)
    # A clock that goes back does not go back to a closed tree.
    append(database, [1], NOW)
    entries = leaves(database)
    with database.reading() as unit:
        assert list(tiles.trees(unit, Log.ADMIN).items()) == [(2023, 1), (2024, 301)]
        old, new = StoredTree(unit, Log.ADMIN, 2023), StoredTree(unit, Log.ADMIN, 2024)
        assert (old.size, new.size) == (300, 4)
        (first, *_) = log.read(unit, after_seq=300)
        assert log.verify_chain(unit) is None
        assert root_of(edge_at(4, new.node)) == root_of(unpack_edge(unit.log_head().edge))
    assert first.body.code == "log.opened"
    assert first.body.detail == {
        "log": "admin",
        "year": 2024,
        "closed_year": 2023,
        "closed_size": 300,
        "closed_root": roots(entries[:300]).hex(),
    }


def test_what_is_missing_is_said(database: Database) -> None:
    append(database, [300])
    with database.reading() as unit:
        with pytest.raises(TreeBroken, match="no tree of 1999"):
            StoredTree(unit, Log.ADMIN, 1999)
        tree = StoredTree(unit, Log.ADMIN, 2023)
        with pytest.raises(TreeBroken, match="is missing"):
            tree.node(0, 300)
        with pytest.raises(TreeBroken, match="is missing"):
            tree.node(9, 0)


@pytest.mark.parametrize("table", ["tiles", "trees", "server_events"])
def test_nothing_of_a_tree_can_be_changed(database: Database, table: str) -> None:
    append(database, [300])
    append(database, [1], name=Log.SERVERS)
    for statement in (
        f"DELETE FROM {table}",
        f"UPDATE {table} SET {'year' if table != 'server_events' else 'at'} = 1",
    ):
        with pytest.raises(Exception, match="written once"), database._engine.begin() as connection:
            connection.execute(text(statement))
