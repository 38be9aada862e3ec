"""The audit log: a chain of events, each in the transaction of the change it tells of, and a tree over it.

The body of an event is canonical JSON (RFC 8785: sorted members, no blanks, integers, texts and
truths only), and its hash is SHA-256 over the hash of the event before and the body. Whoever
changes, drops or inserts an event breaks every hash after it. The body is also a leaf of the year's
Merkle tree, by which others hold us to it (`audit.tree`, `audit.checkpoints`).

What a body says of people are commitments (`store.persons`); events read back say it in clear as long
as it is not erased.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import msgspec

from issuer.audit.catalogue import CATALOGUE, EventCode
from issuer.audit.tiles import write_tiles
from issuer.audit.tree import grow, leaf_hash, root_of, unpack_edge
from issuer.errors import Defect
from issuer.store import persons, tiles
from issuer.store.journal import EventLine, Filter, read_events
from issuer.store.unit import GENESIS, EventRow, Log, LogHead, Unit

OUTCOMES: Final = frozenset({"done", "refused", "failed"})
# RFC 8785 writes numbers as JavaScript does, which is exact only up to here.
_EXACT: Final = 2**53 - 1
_SEED: Final = re.compile("S[NCOAUX][A-Z2-7]{56}")
_HIDDEN: Final = "(a seed, not recorded)"
# Ways in that people take: behind the colon stands somebody's name.
_TAKEN_BY_PEOPLE: Final = frozenset({"api", "cli", "console"})
_BATCH: Final = 500

Detail = dict[str, str | int | bool]


class EventNotAllowed(Defect):
    """An event the catalogue does not provide for."""

    code = "audit.event"


@dataclass(slots=True)
class Event:
    """What happened. `target` is the public key it is about, `targets` the others it touches.

    `before` and `after` are hashes of the token versions, `artefacts` the tokens made (jti, sha256).
    """

    code: EventCode
    actor: str
    target: str = ""
    outcome: str = "done"
    targets: tuple[str, ...] = ()
    before: str | None = None
    after: str | None = None
    artefacts: tuple[tuple[str, str], ...] = ()
    reason: str = ""
    correlation: str = ""
    detail: Detail = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Leaf:
    """Where an event stands in the chain."""

    seq: int
    hash: str


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is hashed and kept; members in the order of their names. New ones need a default."""

    actor: str
    after: str = ""
    artefacts: tuple[tuple[str, str], ...] = ()
    at: int
    before: str = ""
    code: str
    correlation: str = ""
    detail: Detail = msgspec.field(default_factory=dict)
    outcome: str
    previous: str
    reason: str = ""
    seq: int
    target: str = ""
    targets: tuple[str, ...] = ()


class Entry(msgspec.Struct, frozen=True):
    """An event read back: `text` is what was hashed, `body` says in clear what of people is not erased."""

    seq: int
    hash: str
    body: Body
    text: str = ""


_ENCODER: Final = msgspec.json.Encoder(order="sorted")
_DECODER: Final = msgspec.json.Decoder(Body)


def append(unit: Unit, event: Event, now: int) -> Leaf:
    """Write one event in the caller's transaction."""
    return append_many(unit, (event,), now)[0]


def append_many(unit: Unit, events: Sequence[Event], now: int) -> list[Leaf]:
    """Write events in their order; the chain is made here, the rows go in at once.

    Raises:
        EventNotAllowed: an unknown outcome, or a detail the catalogue does not list.
    """
    asked = len(events)
    for event in events:
        _check(event)
    head = unit.log_head()
    year = max(head.year, time.gmtime(now).tm_year)
    if year != head.year:
        if head.seq:
            events = (_opened(unit.log, head, year), *events)
        head = head._replace(year=year, first=head.seq + 1, edge=b"")
        tiles.plant(unit, year, head.first)
    named = _commitments(unit, events, now)
    edge, before = unpack_edge(head.edge), head.seq + 1 - head.first
    seq, previous, size = head.seq, head.hash, before
    rows: list[EventRow] = []
    leaves: list[bytes] = []
    for event in events:
        seq += 1
        row, leaf = _chained(event, named, seq, previous, now)
        previous = row[9]
        rows.append(row)
        leaves.append(leaf)
        grow(edge, size, leaf)
        size += 1
    unit.append_events(rows, head._replace(seq=seq, hash=previous, edge=b"".join(edge)))
    write_tiles(unit, head, before, leaves)
    return [Leaf(row[0], row[9]) for row in rows[-asked:]]


def read(
    unit: Unit,
    log: Log = Log.ADMIN,
    *,
    after_seq: int = 0,
    code: str | None = None,
    target: str | None = None,
    actor: str | None = None,
    correlation: str | None = None,
    newest_first: bool = False,
    limit: int | None = None,
) -> Iterator[Entry]:
    """Events in order, a batch in memory at a time."""
    wanted = Filter(
        after_seq=after_seq,
        code=code,
        target=target,
        actors=None if actor is None else written_as(unit, actor),
        correlation=correlation,
    )
    lines = read_events(unit, log, wanted, newest_first=newest_first, limit=limit)
    while batch := list(islice(lines, _BATCH)):
        bodies = [_DECODER.decode(line.body) for line in batch]
        found = persons.openings(unit, {each for body in bodies for each in commitments_of(body)})
        clear = {stands: opening.value for stands, opening in found.items()}
        for line, body in zip(batch, bodies, strict=True):
            yield Entry(line.seq, line.hash, opened(body, clear), line.body)


def commitments_of(body: Body) -> Iterator[str]:
    """Every commitment in an event."""
    told = (body.actor.partition(":")[2], body.reason, *body.detail.values())
    return (text for text in told if isinstance(text, str) and persons.is_commitment(text))


def opened(body: Body, clear: Mapping[str, str]) -> Body:
    """An event as it is told to those who may know: what stands in `clear` in place of its commitment."""
    if not clear or not any(each in clear for each in commitments_of(body)):
        return body
    via, colon, name = body.actor.partition(":")
    return msgspec.structs.replace(
        body,
        actor=via + colon + clear.get(name, name),
        reason=clear.get(body.reason, body.reason),
        detail={
            field: clear.get(value, value) if isinstance(value, str) else value
            for field, value in body.detail.items()
        },
    )


def verify_chain(unit: Unit, log: Log = Log.ADMIN) -> int | None:
    """The first sequence number that does not fit, the log's head included; None when all is well."""
    seq, previous = 0, GENESIS
    for line in read_events(unit, log):
        seq += 1
        if line.seq != seq or not follows(line, previous):
            return seq
        previous = line.hash
    # Events missing at the end leave a chain that is whole, but not up to its head.
    return None if unit.log_head(log)[:2] == (seq, previous) else seq + 1


def event_hash(previous: str, body: bytes) -> str:
    """Hash of an event from the hash before it and its body."""
    return hashlib.sha256(bytes.fromhex(previous) + body).hexdigest()


def follows(line: EventLine, previous: str) -> bool:
    """Whether an event names this hash as the one before, has a hash of its own, and its columns say what
    its body says."""
    if line.previous != previous or event_hash(line.previous, line.body.encode()) != line.hash:
        return False
    try:
        body = _DECODER.decode(line.body)
    except msgspec.DecodeError:
        return False
    columns = (line.seq, line.at, line.code, line.actor, line.outcome, line.target, line.correlation)
    told = (body.seq, body.at, body.code, body.actor, body.outcome, body.target, body.correlation)
    return columns == told and body.previous == line.previous


def _check(event: Event) -> None:
    if event.outcome not in OUTCOMES:
        raise EventNotAllowed(f"{event.outcome!r} is not an outcome", at=str(event.code))
    allowed = CATALOGUE[event.code].fields
    if not event.detail.keys() <= allowed:
        names = ", ".join(sorted(event.detail.keys() - allowed))
        raise EventNotAllowed(f"detail not in the catalogue: {names}", at=str(event.code))
    for name, value in event.detail.items():
        kind = type(value)
        if kind is not str and (not isinstance(value, (str, int)) or not -_EXACT <= int(value) <= _EXACT):
            raise EventNotAllowed(f"detail {name} is not a text, truth or exact integer", at=str(event.code))


def _opened(log: Log, head: LogHead, year: int) -> Event:
    """Leaf 0 of a year's tree: it holds us to the whole tree of the year before."""
    return Event(
        EventCode.LOG_OPENED,
        "log",
        detail={
            "log": log.value,
            "year": year,
            "closed_year": head.year,
            "closed_size": head.seq + 1 - head.first,
            "closed_root": root_of(unpack_edge(head.edge)).hex(),
        },
    )


def written_as(unit: Unit, actor: str) -> Collection[str]:
    """How an actor may stand in the log: named in clear before people had commitments."""
    via, _, name = actor.partition(":")
    stands = persons.known_as(unit, name) if via in _TAKEN_BY_PEOPLE else None
    return (actor,) if stands is None else (actor, f"{via}:{stands}")


def _commitments(unit: Unit, events: Iterable[Event], now: int) -> dict[str, str]:
    """For whatever these events say of people, as it was said, the commitment that is written."""
    told: dict[str, str] = {}
    for event in events:
        via, _, name = event.actor.partition(":")
        if name and via in _TAKEN_BY_PEOPLE:
            told[name] = ""
        if event.reason:
            told[event.reason] = ""
        for detail in CATALOGUE[event.code].personal & event.detail.keys():
            value = event.detail[detail]
            if value and isinstance(value, str):
                told[value] = ""
    if not told:
        return told
    clean = {value: _clean(value) for value in told}
    stands = persons.commit(unit, set(clean.values()), now)
    return {value: stands[cleaned] for value, cleaned in clean.items()}


def _chained(
    event: Event, named: Mapping[str, str], seq: int, previous: str, now: int
) -> tuple[EventRow, bytes]:
    body = _body(event, named, seq, previous, now)
    try:
        encoded = _ENCODER.encode(body)
    except UnicodeEncodeError:
        encoded = b"S"
    text = encoded.decode()
    # People type seeds where names belong, and a refusal repeats what was typed.
    if _SEED.search(text) or "\\u0000" in text or text == "S":
        body = _cleaned(body)
        encoded = _ENCODER.encode(body)
        text = encoded.decode()
    digest = hashlib.sha256(bytes.fromhex(previous) + encoded).hexdigest()
    row = (
        seq,
        now,
        body.code,
        body.actor,
        body.outcome,
        body.target,
        body.correlation,
        text,
        previous,
        digest,
    )
    return row, leaf_hash(encoded)


def _body(event: Event, named: Mapping[str, str], seq: int, previous: str, now: int) -> Body:
    actor, detail = event.actor, event.detail
    via, _, name = actor.partition(":")
    if name and via in _TAKEN_BY_PEOPLE:
        actor = f"{via}:{named[name]}"
    personal = CATALOGUE[event.code].personal
    if personal:
        detail = {
            field: named.get(value, value) if field in personal and isinstance(value, str) else value
            for field, value in detail.items()
        }
    return Body(
        actor=actor,
        after=event.after or "",
        artefacts=event.artefacts,
        at=now,
        before=event.before or "",
        code=event.code.value,
        correlation=event.correlation,
        detail=detail,
        outcome=event.outcome,
        previous=previous,
        reason=named.get(event.reason, ""),
        seq=seq,
        target=event.target,
        targets=event.targets,
    )


def _cleaned(body: Body) -> Body:
    """An event without seeds, and without what is not text."""
    return msgspec.structs.replace(
        body,
        actor=_clean(body.actor),
        target=_clean(body.target),
        targets=_clean(body.targets),
        artefacts=_clean(body.artefacts),
        correlation=_clean(body.correlation),
        detail={name: _clean(value) for name, value in body.detail.items()},
    )


def _clean(value: Any) -> Any:
    """Without seeds, halves of characters and zero bytes."""
    if isinstance(value, str):
        text = value.encode("utf-8", "backslashreplace").decode()
        return _SEED.sub(_HIDDEN, text.replace("\x00", "\\x00"))
    if isinstance(value, tuple):
        return tuple(_clean(part) for part in value)
    return value
