"""Whether a log is what it was: its chain, its tree, and every checkpoint that was ever signed of it.

Three depths: the edge (milliseconds, at every start), some old events (all the time), everything.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from issuer.audit.checkpoint import Checkpoint, parse_checkpoint
from issuer.audit.checkpoints import held, origin_of, signed_text, verifier
from issuer.audit.log import follows
from issuer.audit.note import parse_note
from issuer.audit.tiles import WIDTH, StoredTree
from issuer.audit.tree import edge_at, grow, leaf_hash, root_of, unpack_edge
from issuer.errors import AccreditError
from issuer.store import checkpoints, tiles
from issuer.store.checkpoints import Sealed
from issuer.store.journal import EventLine, Filter, read_events
from issuer.store.unit import GENESIS, Log, Unit

SAMPLE: Final = 64


@dataclass(frozen=True, slots=True)
class Inconsistent:
    """What does not fit, and from which event on the log cannot be trusted; 0 where that is not known."""

    log: Log
    words: str
    seq: int = 0

    def __str__(self) -> str:
        return f"log {self.log.value!r}: {self.words}"


@dataclass(frozen=True, slots=True)
class Walked:
    """What a walk through a whole log met."""

    events: int
    checkpoints: int
    fault: Inconsistent | None


def check_edge(unit: Unit, log: Log) -> Inconsistent | None:
    """The newest event, the tree's edge, and the newest checkpoint against the tree as it is stored."""
    head = unit.log_head(log)
    if not head.seq:
        return None
    last = next(read_events(unit, log, newest_first=True, limit=1), None)
    if last is None or (last.seq, last.hash) != (head.seq, head.hash):
        return Inconsistent(log, "the newest event is not the one the log stands at", head.seq)
    try:
        tree = StoredTree(unit, log, head.year)
        if edge_at(tree.size, tree.node) != unpack_edge(head.edge):
            return Inconsistent(log, "the tree is not the one over its events")
        for year in tiles.trees(unit, log):
            sealed = checkpoints.newest(unit, log, year)
            if sealed is not None:
                held(unit, sealed)
    except AccreditError as fault:
        return Inconsistent(log, fault.message)
    return None


def check_some(unit: Unit, log: Log, rng: random.Random, count: int = SAMPLE) -> Inconsistent | None:
    """Some events, hashed again and looked for in the tree."""
    head = unit.log_head(log)
    for seq in rng.sample(range(1, head.seq + 1), min(count, head.seq)):
        line = next(read_events(unit, log, Filter(after_seq=seq - 1), limit=1), None)
        if line is None or line.seq != seq or not follows(line, line.previous):
            return Inconsistent(log, f"event {seq} is not what was hashed", seq)
        year, first = max((year, first) for year, first in tiles.trees(unit, log).items() if first <= seq)
        number, at = divmod(seq - first, WIDTH)
        packed = tiles.tile(unit, log, year, 0, number)
        leaf = leaf_hash(line.body.encode())
        if packed is not None and packed[at * len(leaf) : (at + 1) * len(leaf)] != leaf:
            return Inconsistent(log, f"event {seq} is not the one in the tree", seq)
    return None


def check_all(unit: Unit, log: Log, progress: Callable[[int], None] = lambda _: None) -> Walked:
    """Every event, every hash of the tree, every checkpoint."""
    walk = _Walk(unit, log)
    fault = None
    for line in read_events(unit, log):
        fault = walk.step(line)
        if fault is not None:
            break
        if not line.seq % WIDTH:
            progress(line.seq)
    fault = fault or walk.end()
    return Walked(walk.seq, walk.sealed, fault or check_edge(unit, log))


class _Walk:
    """A log from its first event on. `seq` and `sealed` are the events and checkpoints met so far."""

    def __init__(self, unit: Unit, log: Log) -> None:
        self._unit, self._log = unit, log
        self._years = {first: year for year, first in tiles.trees(unit, log).items()}
        self._keys = checkpoints.log_keys(unit)
        self._previous = GENESIS
        self._begin_year(0)
        self.seq = self.sealed = 0

    def step(self, line: EventLine) -> Inconsistent | None:
        self.seq += 1
        if line.seq != self.seq or not follows(line, self._previous):
            return self._fault("the chain breaks")
        self._previous = line.hash
        if line.seq in self._years:
            self._begin_year(self._years[line.seq])
        leaf = leaf_hash(line.body.encode())
        grow(self._edge, self._size, leaf)
        self._size += 1
        self._row.append(leaf)
        if self._size in self._due and not self._is_signed(self._due[self._size]):
            return self._fault(f"the tree of {self._size} events is not the one that was signed")
        if len(self._row) < WIDTH:
            return None
        stored = tiles.tile(self._unit, self._log, self._year, 0, self._size // WIDTH - 1)
        if stored != b"".join(self._row):
            return self._fault("the tree is not over these events")
        self._begin_row()
        return None

    def end(self) -> Inconsistent | None:
        if self._unit.log_head(self._log)[:2] != (self.seq, self._previous):
            self.seq += 1
            return self._fault("events are missing at the end")
        return None

    def _begin_year(self, year: int) -> None:
        self._year, self._size = year, 0
        self._edge: list[bytes] = []
        self._begin_row()

    def _begin_row(self) -> None:
        self._row: list[bytes] = []
        span = (self._size + 1, self._size + WIDTH)
        self._due = {
            sealed.size: sealed for sealed in checkpoints.between(self._unit, self._log, self._year, *span)
        }

    def _is_signed(self, sealed: Sealed) -> bool:
        try:
            keys = [verifier(key, self._log, self._year) for key in self._keys]
            told = parse_checkpoint(signed_text(parse_note(sealed.note), keys))
        except AccreditError:
            return False
        self.sealed += 1
        origin = origin_of(self._keys[0], self._log, self._year)
        return told == Checkpoint(origin, self._size, root_of(self._edge))

    def _fault(self, words: str) -> Inconsistent:
        return Inconsistent(self._log, f"{words} at event {self.seq}", self.seq)
