"""Where the hashes of a tree are: in full tiles, and for the rest in the events themselves.

A tile has 256 hashes of one level of the tree; those of level 0 are leaves, those of level 1 are roots of
tiles of level 0, and so on (C2SP tlog-tiles). Only full ones are kept: the leaves after the last one are
hashed again when they are asked for, at most 255.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from issuer.audit.tree import HASH, leaf_hash, node_hash
from issuer.errors import Refused
from issuer.store import tiles
from issuer.store.unit import Log, LogHead, Unit

WIDTH: Final = 256
_BITS: Final = 8
# Some hundred are met on the way through a tree of any size.
_KEPT: Final = 512


class TreeBroken(Refused):
    """A hash of the tree that should be there is not."""

    code = "audit.tree"


def write_tiles(unit: Unit, head: LogHead, before: int, leaves: Sequence[bytes]) -> None:
    """The tiles that `leaves` fill, in the tree of `head`, which had `before` leaves."""
    begin = before & -WIDTH
    if before + len(leaves) - begin < WIDTH:
        return
    earlier = tiles.bodies(unit, unit.log, head.first + begin, head.first + before - 1)
    row = [*(leaf_hash(body.encode()) for body in earlier), *leaves]
    level, number = 0, begin // WIDTH
    while len(row) >= WIDTH:
        full = [row[at : at + WIDTH] for at in range(0, len(row) - WIDTH + 1, WIDTH)]
        roots = [top_of(hashes) for hashes in full]
        made = [(b"".join(hashes), root) for hashes, root in zip(full, roots, strict=True)]
        tiles.keep_tiles(unit, head.year, level, number, made)
        begin = number & -WIDTH
        row = [*tiles.tile_roots(unit, unit.log, head.year, level, begin, number), *roots]
        level, number = level + 1, begin // WIDTH


def top_of(hashes: Sequence[bytes]) -> bytes:
    """The hash over so many that they are a power of two."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


class StoredTree:
    """One year's tree of a log, as one unit sees it: `node` is what `audit.tree` asks for."""

    def __init__(self, unit: Unit, log: Log, year: int) -> None:
        """
        Raises:
            TreeBroken: there is no such tree.
        """
        planted = tiles.trees(unit, log)
        if year not in planted:
            raise TreeBroken(f"log {log.value!r} has no tree of {year}")
        later = [first for other, first in planted.items() if other > year]
        self._unit, self._log, self.year = unit, log, year
        self.first = planted[year]
        """Sequence number of leaf 0."""
        self.size = (min(later) if later else unit.log_head(log).seq + 1) - self.first
        self._rows: OrderedDict[tuple[int, int], list[bytes]] = OrderedDict()

    def node(self, level: int, index: int) -> bytes:
        """The hash over the leaves from `index << level` on, `1 << level` of them.

        Raises:
            TreeBroken: they are not all there.
        """
        above, within = divmod(level, _BITS)
        width = 1 << within
        number, at = divmod(index * width, WIDTH)
        hashes = self._row(above, number)[at : at + width]
        if len(hashes) < width:
            raise TreeBroken(
                f"log {self._log.value!r}, year {self.year}: hash {index} of level {level} is missing"
            )
        return top_of(hashes)

    def hashes(self, level: int, number: int) -> list[bytes]:
        """What there is of a tile; fewer than 256 at the right edge of the tree."""
        return list(self._row(level, number))

    def _row(self, level: int, number: int) -> list[bytes]:
        key = (level, number)
        if key in self._rows:
            self._rows.move_to_end(key)
            return self._rows[key]
        packed = tiles.tile(self._unit, self._log, self.year, level, number)
        if packed is not None:
            row = [packed[at : at + HASH] for at in range(0, len(packed), HASH)]
        elif level:
            row = tiles.tile_roots(
                self._unit, self._log, self.year, level - 1, number * WIDTH, (number + 1) * WIDTH
            )
        else:
            begin = self.first + number * WIDTH
            end = min(begin + WIDTH, self.first + self.size)
            row = [leaf_hash(body.encode()) for body in tiles.bodies(self._unit, self._log, begin, end - 1)]
        self._rows[key] = row
        if len(self._rows) > _KEPT:
            self._rows.popitem(last=False)
        return row
