"""The audit log: a chain of events, each in the transaction of the change it tells of.

The body of an event is canonical JSON (RFC 8785: sorted members, no blanks, integers, texts and
truths only), and its hash is SHA-256 over the hash of the event before and the body. Whoever
changes, drops or inserts an event breaks every hash after it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from issuer.audit.catalogue import CATALOGUE, EventCode
from issuer.errors import Defect
from issuer.store.journal import EventLine, read_events
from issuer.store.unit import GENESIS, EventRow, Unit

OUTCOMES: Final = frozenset({"done", "refused", "failed"})
# RFC 8785 writes numbers as JavaScript does, which is exact only up to here.
_EXACT: Final = 2**53 - 1
_SEED: Final = re.compile("S[NCOAUX][A-Z2-7]{56}")
_HIDDEN: Final = "(a seed, not recorded)"

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
    """An event read back."""

    seq: int
    hash: str
    body: Body


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
    seq, previous = unit.log_head()
    rows: list[EventRow] = []
    leaves: list[Leaf] = []
    for event in events:
        _check(event)
        seq += 1
        row = _chained(event, seq, previous, now)
        previous = row[9]
        rows.append(row)
        leaves.append(Leaf(seq, previous))
    unit.append_events(rows)
    return leaves


def read(
    unit: Unit,
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
    lines = read_events(
        unit,
        after_seq=after_seq,
        code=code,
        target=target,
        actor=actor,
        correlation=correlation,
        newest_first=newest_first,
        limit=limit,
    )
    for line in lines:
        yield Entry(line.seq, line.hash, _DECODER.decode(line.body))


def verify_chain(unit: Unit) -> int | None:
    """The first sequence number that does not fit, the log's head included; None when all is well."""
    seq, previous = 0, GENESIS
    for line in read_events(unit):
        seq += 1
        if line.seq != seq or line.previous != previous or not _holds(line):
            return seq
        previous = line.hash
    # Events missing at the end leave a chain that is whole, but not up to its head.
    return None if unit.log_head() == (seq, previous) else seq + 1


def event_hash(previous: str, body: bytes) -> str:
    """Hash of an event from the hash before it and its body."""
    return hashlib.sha256(bytes.fromhex(previous) + body).hexdigest()


def _holds(line: EventLine) -> bool:
    """Whether the columns say what the hashed body says, and the hash is its own."""
    if event_hash(line.previous, line.body.encode()) != line.hash:
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


def _chained(event: Event, seq: int, previous: str, now: int) -> EventRow:
    body = _body(event, seq, previous, now)
    try:
        encoded = _ENCODER.encode(body)
    except UnicodeEncodeError:
        encoded = b"S"
    text = encoded.decode()
    # People type seeds where names belong, and a refusal repeats what was typed.
    if _SEED.search(text) or "\\u0000" in text or text == "S":
        event = _cleaned(event)
        body = _body(event, seq, previous, now)
        encoded = _ENCODER.encode(body)
        text = encoded.decode()
    digest = hashlib.sha256(bytes.fromhex(previous) + encoded).hexdigest()
    return (
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


def _body(event: Event, seq: int, previous: str, now: int) -> Body:
    return Body(
        actor=event.actor,
        after=event.after or "",
        artefacts=event.artefacts,
        at=now,
        before=event.before or "",
        code=event.code.value,
        correlation=event.correlation,
        detail=event.detail,
        outcome=event.outcome,
        previous=previous,
        reason=event.reason,
        seq=seq,
        target=event.target,
        targets=event.targets,
    )


def _cleaned(event: Event) -> Event:
    """The event without seeds, and without what is not text: halves of characters, zero bytes."""

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            text = value.encode("utf-8", "backslashreplace").decode()
            return _SEED.sub(_HIDDEN, text.replace("\x00", "\\x00"))
        if isinstance(value, tuple):
            return tuple(clean(part) for part in value)
        return value

    return Event(
        code=event.code,
        actor=clean(event.actor),
        target=clean(event.target),
        outcome=event.outcome,
        targets=clean(event.targets),
        before=event.before,
        after=event.after,
        artefacts=clean(event.artefacts),
        reason=clean(event.reason),
        correlation=clean(event.correlation),
        detail={name: clean(value) for name, value in event.detail.items()},
    )
