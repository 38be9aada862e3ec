"""Taking events out: a file in one of the formats, written so that it can be gone on with.

Beside `FILE` lie, until it is whole, `FILE.part` with what is written so far and `FILE.state`, which says how
much of that counts: what comes after it was cut off, and is written again. A file that is there is whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Final

import msgspec

from issuer.audit.checkpoints import NoLogKey, origin_of, whole_note
from issuer.audit.formats.record import Format, Record
from issuer.audit.log import Body, opened, written_as
from issuer.audit.paths import Paths
from issuer.audit.tiles import StoredTree
from issuer.audit.tree import leaf_hash
from issuer.errors import AlreadyExists, NotFound, PeerError, Unavailable
from issuer.store import checkpoints, persons, tiles
from issuer.store.journal import Filter, read_bodies
from issuer.store.spans import first_since
from issuer.store.unit import Log, Unit

_BATCH: Final = 2000
_DECODER: Final = msgspec.json.Decoder(Body)


class NotExported(Unavailable):
    """The file could not be written."""

    code = "audit.export-unwritable"


class OtherExport(PeerError):
    """What lies there half done was asked for otherwise."""

    code = "audit.export-other"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: times are unix seconds, from one up to, not with, another; None is any."""

    log: Log = Log.ADMIN
    since: int | None = None
    until: int | None = None
    actor: str | None = None
    target: str | None = None
    code: str | None = None
    outcome: str | None = None

    def told(self) -> str:
        """The filters in words, for the event of the export."""
        given = {name: value for name, value in asdict(self).items() if value is not None and name != "log"}
        return ", ".join(f"{name} {value}" for name, value in given.items() if name != "actor")


@dataclass(slots=True)
class Progress:
    """How far an export is: of what was `asked`, up to event `last`. `seq` is the last event given out,
    `size` and `proofs` are the bytes of both files, `year` is that of the tree the proofs are in."""

    asked: str
    last: int
    seq: int = 0
    size: int = 0
    proofs: int = 0
    written: int = 0
    year: int = 0


def bounds(unit: Unit, wanted: Wanted) -> tuple[int, int]:
    """The first and the last event that come into question."""
    head = unit.log_head(wanted.log).seq
    first = 1 if wanted.since is None else first_since(unit, wanted.log, wanted.since)
    last = head if wanted.until is None else first_since(unit, wanted.log, wanted.until) - 1
    return first, last


def stream(unit: Unit, wanted: Wanted, form: Format, first: int, last: int) -> Iterator[tuple[int, bytes]]:
    """Numbers of events, and what the format makes of each."""
    filtered = Filter(
        after_seq=first - 1,
        up_to=last,
        code=wanted.code,
        target=wanted.target,
        actors=None if wanted.actor is None else written_as(unit, wanted.actor),
        outcome=wanted.outcome,
    )
    bodies = read_bodies(unit, wanted.log, filtered)
    if not form.in_clear:
        for seq, text in bodies:
            yield seq, text.encode() + b"\n"
        return
    names = _Names(unit, wanted.log)
    while batch := list(islice(bodies, _BATCH)):
        found = {each for _, text in batch for each in persons.LOOKS_LIKE_ONE.findall(text)}
        clear = {stands: opening.value for stands, opening in persons.openings(unit, found).items()}
        for seq, text in batch:
            raw = text.encode()
            body = opened(_DECODER.decode(raw), clear)
            yield seq, form.render(Record(seq, names.of(seq), leaf_hash(raw).hex(), text, body))


class _Names:
    """The name of the tree an event is in; asked in rising order."""

    def __init__(self, unit: Unit, log: Log) -> None:
        keys = checkpoints.log_keys(unit)
        self._coming = [
            (first, origin_of(keys[0], log, year) if keys else f"{log.value}/{year}")
            for year, first in sorted(tiles.trees(unit, log).items(), reverse=True)
        ]
        self._name = ""

    def of(self, seq: int) -> str:
        while self._coming and self._coming[-1][0] <= seq:
            self._name = self._coming.pop()[1]
        return self._name


class _Proofs:
    """The companion of a file of events: their checkpoints, then a line of proof for each."""

    def __init__(self, unit: Unit, log: Log, last: int, year: int) -> None:
        self._unit, self._log, self._last = unit, log, last
        self.year = year
        """Of the tree whose checkpoint was written last."""
        self._spans = sorted(((first, year) for year, first in tiles.trees(unit, log).items()), reverse=True)
        self._opened = 0
        self._paths: Paths | None = None

    def line(self, seq: int) -> bytes:
        first, year = next((first, year) for first, year in self._spans if first <= seq)
        head = b""
        if year != self._opened:
            head = self._open(year, first)
        assert self._paths is not None  # noqa: S101  opened just now
        path = self._paths.of(seq - first)
        return head + f'{{"seq":{seq},"index":{seq - first},"path":[{path}]}}\n'.encode()

    def _open(self, year: int, first: int) -> bytes:
        tree = StoredTree(self._unit, self._log, year)
        least = min(self._last - first + 1, tree.size)
        sealed = checkpoints.smallest(self._unit, self._log, year, least)
        if sealed is None:
            raise NoLogKey("no checkpoint has all of these events", hint="accredit audit checkpoint")
        self._opened, self._paths = year, Paths(tree, sealed.size)
        if year == self.year:
            return b""
        self.year = year
        note = {"year": year, "size": sealed.size, "checkpoint": whole_note(self._unit, sealed)}
        return msgspec.json.encode(note) + b"\n"


def export_to(
    unit: Unit,
    wanted: Wanted,
    form: Format,
    path: Path,
    *,
    proofs: Path | None = None,
    resume: bool = False,
    force: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Progress:
    """Write a file of events, and with `proofs` one of their proofs; what was written in all.

    Raises:
        AlreadyExists: the file is there, or a half of it, and nobody said to go on or write over it.
        NotFound: there is nothing to go on with.
        OtherExport: what is there was asked for otherwise.
        NotExported: the disk is full, the folder not ours.
    """
    try:
        return _Export(unit, wanted, form, path, proofs).run(resume=resume, force=force, progress=progress)
    except OSError as fault:
        raise NotExported(f"cannot write: {fault.strerror}", at=str(path)) from None


class _Export:
    def __init__(self, unit: Unit, wanted: Wanted, form: Format, path: Path, proofs: Path | None) -> None:
        self._unit, self._wanted, self._form = unit, wanted, form
        self._path, self._proofs = path, proofs
        self._state = path.with_name(path.name + ".state")
        asked = {**asdict(wanted), "format": form.name, "proofs": proofs is not None}
        self._asked = msgspec.json.encode(asked, order="sorted").decode()

    def run(self, *, resume: bool, force: bool, progress: Callable[[int], None]) -> Progress:
        done = self._begin(resume=resume, force=force)
        with ExitStack() as stack:
            file = stack.enter_context(_part(self._path, done.size))
            beside = None if self._proofs is None else stack.enter_context(_part(self._proofs, done.proofs))
            if not done.size:
                done.size += file.write(self._form.head())
            made = _Proofs(self._unit, self._wanted.log, done.last, done.year)
            events = stream(self._unit, self._wanted, self._form, done.seq + 1, done.last)
            while batch := list(islice(events, _BATCH)):
                done.size += file.write(b"".join([rendered for _, rendered in batch]))
                if beside is not None:
                    done.proofs += beside.write(b"".join([made.line(seq) for seq, _ in batch]))
                done.seq = batch[-1][0]
                done.written += len(batch)
                file.flush()
                if beside is not None:
                    beside.flush()
                    done.year = made.year
                self._keep(done)
                progress(done.seq)
            for each in (file, beside):
                if each is not None:
                    each.flush()
                    os.fsync(each.fileno())
        if self._proofs is not None:
            _partial(self._proofs).replace(self._proofs)
        _partial(self._path).replace(self._path)
        self._state.unlink(missing_ok=True)
        return done

    def _begin(self, *, resume: bool, force: bool) -> Progress:
        if resume:
            return self._left()
        for each in (self._path, self._proofs):
            if each is not None and each.exists() and not force:
                raise AlreadyExists("there is such a file already", at=str(each), hint="-F writes over it")
        if self._state.exists() and not force:
            hint = "--resume goes on with it, -F begins anew"
            raise AlreadyExists("an export of it was interrupted", at=str(self._path), hint=hint)
        first, last = bounds(self._unit, self._wanted)
        done = Progress(self._asked, last, seq=first - 1)
        self._keep(done)
        return done

    def _left(self) -> Progress:
        """How far an interrupted export came."""
        try:
            done = msgspec.json.decode(self._state.read_bytes(), type=Progress)
        except FileNotFoundError:
            raise NotFound("nothing of it was begun", at=str(self._path), hint="without --resume") from None
        except msgspec.DecodeError:
            raise OtherExport("what is kept of it cannot be read", at=str(self._state), hint="-F") from None
        if done.asked != self._asked:
            raise OtherExport(
                "what was begun there was asked for otherwise", at=str(self._path), hint="-F begins anew"
            )
        return done

    def _keep(self, done: Progress) -> None:
        partial = _partial(self._state)
        partial.write_bytes(msgspec.json.encode(done))
        partial.replace(self._state)


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _part(path: Path, size: int) -> IO[bytes]:
    """The file under way, for its owner alone, cut off where it counts."""
    descriptor = os.open(_partial(path), os.O_CREAT | os.O_WRONLY, 0o600)
    os.ftruncate(descriptor, size)
    file = os.fdopen(descriptor, "wb")
    file.seek(size)
    return file
