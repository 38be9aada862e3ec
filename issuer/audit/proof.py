"""One event with the proof that it is in a log: a C2SP tlog-proof, which stands by itself."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

from issuer.audit.checkpoints import NoLogKey, held, whole_note
from issuer.audit.tiles import StoredTree
from issuer.audit.tree import inclusion_path
from issuer.store import checkpoints, tiles
from issuer.store.spans import bodies_between
from issuer.store.unit import Log, Unit


@dataclass(frozen=True, slots=True)
class Proof:
    """An event (its body as hashed), its place, the hashes beside its way up, and the signed checkpoint."""

    seq: int
    body: str
    index: int
    path: tuple[bytes, ...]
    note: str

    def __str__(self) -> str:
        """As c2sp.org/tlog-proof@v1; the body goes along as extra data."""
        lines = [
            "c2sp.org/tlog-proof@v1",
            f"extra {b64encode(self.body.encode()).decode()}",
            f"index {self.index}",
            *(b64encode(step).decode() for step in self.path),
            "",
        ]
        return "\n".join([*lines, self.note])


def prove(unit: Unit, log: Log, seq: int) -> Proof:
    """The proof of an event that is there, under the smallest checkpoint that has it.

    Raises:
        NoLogKey: no checkpoint has it.
        TreeBroken: the log is not what was signed.
    """
    year, first = max((year, first) for year, first in tiles.trees(unit, log).items() if first <= seq)
    sealed = checkpoints.smallest(unit, log, year, seq - first + 1)
    if sealed is None:
        raise NoLogKey(f"no checkpoint has event {seq} yet", hint="accredit audit checkpoint")
    held(unit, sealed)
    tree = StoredTree(unit, log, year)
    path = inclusion_path(seq - first, sealed.size, tree.node)
    ((_, body),) = bodies_between(unit, log, seq, seq)
    return Proof(seq, body, seq - first, tuple(path), whole_note(unit, sealed))
