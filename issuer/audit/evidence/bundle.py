"""Evidence of a period as one file: events, the proof that they are those of the log, and what they led to.

What is in it and how it is checked is written at the top of `verify.py`, which goes in as it is. All of it
is read in one view of the store; in memory are only the heads of tokens and the numbers of events.
"""

from __future__ import annotations

from array import array
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

import msgspec

from issuer.audit.checkpoints import NoLogKey
from issuer.audit.evidence.archive import Archive
from issuer.audit.evidence.gaps import gaps
from issuer.audit.evidence.scope import Scope
from issuer.audit.evidence.state import OF_STATE, State
from issuer.audit.evidence.tokens import token_rows
from issuer.audit.log import Body, commitments_of
from issuer.audit.note import sign_note
from issuer.audit.tiles import StoredTree
from issuer.audit.tree import consistency_path
from issuer.errors import Defect
from issuer.keys.nkeys import raw_public
from issuer.store import checkpoints, persons, tiles
from issuer.store.checkpoints import Sealed
from issuer.store.spans import bodies_between, bodies_of, bodies_with, first_since
from issuer.store.unit import Log, Unit
from issuer.tokens.signer import Signer

FORMAT: Final = "accredit-evidence/1"
_DECODER: Final = msgspec.json.Decoder(Body)
_NONE: Final[tuple[int, ...]] = ()


@dataclass(frozen=True, slots=True)
class Period:
    """From one second up to, not with, another."""

    since: int
    until: int


@dataclass(slots=True)
class Evidence:
    """What was gathered, for those who write reports of it."""

    period: Period
    scope: Scope
    made_at: int
    low: int = 0
    high: int = 0
    events: int = 0
    first: State = field(default_factory=State)
    last: State = field(default_factory=State)


Report = tuple[str, Callable[[Unit, Evidence], Iterable[bytes]]]
"""The name of a file, and what writes it."""


class Gathering:
    """One bundle being written."""

    def __init__(
        self,
        unit: Unit,
        archive: Archive,
        signer: Signer,
        evidence: Evidence,
        *,
        witnesses: tuple[str, ...] = (),
        quorum: int = 0,
    ) -> None:
        """
        Raises:
            NoLogKey: nothing signs checkpoints here.
        """
        self._unit, self._archive, self._signer = unit, archive, signer
        self.evidence = evidence
        self._keys = checkpoints.log_keys(unit)
        if not self._keys or self._keys[0].public != signer.public:
            raise NoLogKey("the key that signs checkpoints is not here", hint="accredit audit checkpoint")
        self._witnesses, self._quorum = witnesses, quorum
        self._people: set[str] = set()
        self._proving: set[int] = set()

    def write(
        self, texts: Iterable[tuple[str, bytes]], reports: Iterable[Report], *, people: bool, framework: str
    ) -> None:
        """All files of the bundle."""
        unit, archive, evidence = self._unit, self._archive, self.evidence
        evidence.low = first_since(unit, Log.ADMIN, evidence.period.since)
        evidence.high = first_since(unit, Log.ADMIN, evidence.period.until) - 1
        self._states()
        logs = {log.value: self._log(log) for log in Log if self._is_wanted(log)}
        archive.add("state.first.jsonl", map(_line, evidence.first.rows()))
        archive.add("state.last.jsonl", map(_line, evidence.last.rows()))
        archive.add("tokens.jsonl", map(_line, token_rows(unit, evidence.last)))
        archive.add("people.jsonl", self._openings() if people else ())
        archive.add("keys.json", [_line(self._key_file())])
        archive.add("verify.py", [files(__package__).joinpath("verify.py").read_bytes()])
        for name, text in texts:
            archive.add(name, [text])
        for name, report in reports:
            archive.add(name, report(unit, evidence))
        self._sign(
            {
                "format": FORMAT,
                "made_at": evidence.made_at,
                "period": {"since": evidence.period.since, "until": evidence.period.until},
                "scope": str(evidence.scope),
                "framework": framework,
                "logs": logs,
                "files": archive.files,
            }
        )

    def _is_wanted(self, log: Log) -> bool:
        return bool(self._unit.log_head(log).seq) and (log is Log.ADMIN or self.evidence.scope.is_all)

    def _states(self) -> None:
        """The state before the period, and after it."""
        evidence, scope = self.evidence, self.evidence.scope
        for _, text in bodies_with(self._unit, 1, evidence.low - 1, OF_STATE):
            body = _DECODER.decode(text)
            if scope.holds(body):
                evidence.first.follow(body)
        self._proving = {head.seq for head in evidence.first.heads.values()}
        evidence.last = evidence.first.copy()
        for _, text in bodies_with(self._unit, evidence.low, evidence.high, OF_STATE):
            body = _DECODER.decode(text)
            if scope.holds(body):
                evidence.last.follow(body)

    def _log(self, log: Log) -> dict[str, Any]:
        period = self.evidence.period
        low = first_since(self._unit, log, period.since)
        high = first_since(self._unit, log, period.until) - 1
        proving = sorted(self._proving) if log is Log.ADMIN else []
        begins = min([low, high + 1, *proving[:1]])
        planted = tiles.trees(self._unit, log)
        years: dict[str, tuple[int, int]] = {}
        for year, first in planted.items():
            tree = StoredTree(self._unit, log, year)
            if first <= max(high, 1) and first + tree.size > begins:
                opening = self._opening(tree, log, low)
                years[str(year)] = (first, opening.size if opening else 0)
                self._tree(tree, opening, log, (low, high), [seq for seq in proving if seq < low])
        complete = log is Log.SERVERS or self.evidence.scope.is_all
        return {"complete": complete, "first_seq": low, "last_seq": high, "years": years}

    def _tree(
        self, tree: StoredTree, opening: Sealed | None, log: Log, span: tuple[int, int], proving: list[int]
    ) -> None:
        folder, first = f"log/{log.value}/{tree.year}/", tree.first
        closing = self._closing(tree, log, span[1])
        present = array("Q")
        self._archive.add(folder + "events.jsonl", self._events(tree, log, span, proving, present))
        self.evidence.events += len(present)
        cuts = [opening.size] if opening else []
        self._archive.add(
            folder + "proof.txt",
            (
                f"{index} {level} {_text(tree.node(level, index))}\n".encode()
                for level, index in gaps((seq - first for seq in present), closing.size, cuts)
            ),
        )
        self._archive.add(folder + "checkpoint.last", [self._note(closing)])
        if opening is not None:
            self._archive.add(folder + "checkpoint.first", [self._note(opening)])
            path = consistency_path(opening.size, closing.size, tree.node)
            self._archive.add(folder + "consistency.txt", (f"{_text(step)}\n".encode() for step in path))

    def _events(
        self, tree: StoredTree, log: Log, span: tuple[int, int], proving: list[int], present: array[int]
    ) -> Iterator[bytes]:
        """Bodies, a line each; the numbers of those that are given go to `present`."""
        begin, end = tree.first, tree.first + tree.size - 1
        low, high = max(span[0], begin), min(span[1], end)
        earlier = {seq for seq in proving if begin <= seq <= end}
        if begin > 1:
            earlier.add(begin)  # leaf 0 holds the tree to the one of the year before
        before = sorted(seq for seq in earlier if not low <= seq <= high)
        for seq, text in bodies_of(self._unit, log, before):
            yield self._given(seq, _DECODER.decode(text), text, present)
        for seq, text in bodies_between(self._unit, log, low, high):
            body = _DECODER.decode(text)
            if log is Log.SERVERS or seq == begin > 1 or self.evidence.scope.holds(body):
                yield self._given(seq, body, text, present)

    def _given(self, seq: int, body: Body, text: str, present: array[int]) -> bytes:
        present.append(seq)
        self._people.update(commitments_of(body))
        return text.encode() + b"\n"

    def _closing(self, tree: StoredTree, log: Log, high: int) -> Sealed:
        """The smallest tree that was signed with all of the period in it."""
        least = min(high - tree.first + 1, tree.size)
        found = checkpoints.smallest(self._unit, log, tree.year, max(least, 1))
        if found is None:
            raise Defect(f"no checkpoint of log {log.value!r} has all of the period")
        return found

    def _opening(self, tree: StoredTree, log: Log, low: int) -> Sealed | None:
        """The largest tree that was signed before the period."""
        most = low - tree.first
        if not 0 < most <= tree.size:
            return None
        return checkpoints.largest(self._unit, log, tree.year, most)

    def _note(self, sealed: Sealed) -> bytes:
        lines = checkpoints.cosignatures(self._unit, sealed).values()
        return (sealed.note + "".join(lines)).encode()

    def _openings(self) -> Iterator[bytes]:
        for opening in persons.openings(self._unit, self._people).values():
            yield _line(
                {
                    "commitment": opening.commitment,
                    "salt": b64encode(opening.salt).decode(),
                    "value": opening.value,
                }
            )

    def _key_file(self) -> dict[str, Any]:
        return {
            "origin": self._keys[0].origin,
            "log_keys": [b64encode(raw_public(key.public)).decode() for key in self._keys],
            "witnesses": self._witnesses,
            "quorum": self._quorum,
        }

    def _sign(self, manifest: dict[str, Any]) -> None:
        raw = msgspec.json.encode(manifest, order="deterministic") + b"\n"
        key = self._keys[0]
        text = f"{FORMAT}\n{sha256(raw).hexdigest()}\n"
        note = sign_note(text, key.origin, raw_public(key.public), self._signer.sign)
        self._archive.add("manifest.json", [raw])
        self._archive.add("manifest.note", [str(note).encode()])


def _line(row: dict[str, Any]) -> bytes:
    return msgspec.json.encode(row) + b"\n"


def _text(raw: bytes) -> str:
    return b64encode(raw).decode()
