"""Inclusion proofs of many events in a row: what neighbours share is put into words once."""

from __future__ import annotations

from base64 import b64encode
from typing import Final

from issuer.audit.tiles import WIDTH, StoredTree
from issuer.audit.tree import inclusion_path, node_hash

_LEVELS: Final = 8


class Paths:
    """The way up from each leaf of a tree as it was with `size` leaves; to be asked in rising order."""

    def __init__(self, tree: StoredTree, size: int) -> None:
        self._tree, self._size = tree, size
        self._number = -1
        self._within: list[list[str]] = []
        self._above = ""

    def of(self, index: int) -> str:
        """Hashes in base64 from the bottom up, as the inside of a JSON array."""
        number = index // WIDTH
        if (number + 1) * WIDTH > self._size:
            return ",".join(map(_quoted, inclusion_path(index, self._size, self._tree.node)))
        if number != self._number:
            self._take(number)
        at = index - number * WIDTH
        within = ",".join([self._within[level][at >> level ^ 1] for level in range(_LEVELS)])
        return within + self._above

    def _take(self, number: int) -> None:
        row = self._tree.hashes(0, number)
        self._within = []
        for _ in range(_LEVELS):
            self._within.append([_quoted(each) for each in row])
            row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
        above = inclusion_path(number * WIDTH, self._size, self._tree.node)[_LEVELS:]
        self._above = "".join("," + _quoted(step) for step in above)
        self._number = number


def _quoted(raw: bytes) -> str:
    return f'"{b64encode(raw).decode()}"'
