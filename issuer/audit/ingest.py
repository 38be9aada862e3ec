"""Events of servers into the log `servers`: each once, with whose it is, and tables to be asked.

A batch is one transaction of that log. On PostgreSQL no act waits for it; on SQLite there is one writer at
a time, so batches are short and whoever calls leaves time between them.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from issuer.audit.attribution import Attribution, Attributor, Credential
from issuer.audit.catalogue import EventCode
from issuer.audit.log import Detail, Event, append_many
from issuer.audit.server_events import Heard, Kind, ServerEvent, Unfit
from issuer.store import connections as store
from issuer.store.connections import Connection, Link
from issuer.store.unit import Unit

ACTOR: Final = "servers"
LARGEST_BATCH: Final = 500
AUTHENTICATION_FAILURE: Final = "Authentication Failure"
_CODES: Final = {
    Kind.CONNECTED: EventCode.SERVER_CONNECTED,
    Kind.DISCONNECTED: EventCode.SERVER_DISCONNECTED,
    Kind.REFUSED: EventCode.SERVER_REFUSED,
}
_REFUSALS_REMEMBERED: Final = 10_000


@dataclass(slots=True)
class Written:
    """What became of a batch: events written, those heard before, alarms for tokens we never issued."""

    events: int = 0
    again: int = 0
    alarms: int = 0
    unfit: Counter[str] = field(default_factory=Counter)


class Ingest:
    """Writes batches; one for each process, and any number of processes at once."""

    def __init__(self, operator_id: int) -> None:
        self._attributor = Attributor(operator_id)
        self._refused: OrderedDict[Link, None] = OrderedDict()

    def write(self, unit: Unit, batch: Iterable[Heard | Unfit], now: int, *, lost: int = 0) -> Written:
        """Write what is new of a batch, in a writing unit of the log `servers`.

        `lost` counts messages that were thrown away before this one for want of room.
        """
        written = Written()
        once: dict[str, Heard] = {}
        for each in batch:
            if isinstance(each, Unfit):
                written.unfit[each.reason] += 1
            elif each.event.id in once:
                written.again += 1
            else:
                once[each.event.id] = each
        before = store.already_heard(unit, once.keys())
        written.again += len(before)
        fresh = [each for id_, each in once.items() if id_ not in before]
        known = store.connections_by_link(unit, {each.event.link for each in fresh})
        told = [each for each in fresh if not self._is_echo(each.event, known)]
        events = self._events(unit, told, known, written)
        own = [Event(EventCode.SERVER_LOST, ACTOR, detail={"count": lost})] if lost else []
        own += [
            Event(EventCode.SERVER_UNREADABLE, ACTOR, detail={"count": count, "reason": reason})
            for reason, count in sorted(written.unfit.items())
        ]
        if events or own:
            leaves = append_many(unit, [*own, *(event for event, _ in events)], now)
            seqs = [leaf.seq for leaf in leaves[len(own) :]]
            self._keep(unit, events, seqs, known)
            store.keep_heard(unit, [each.event.id for each in fresh], now)
        written.events = len(events)
        return written

    def _is_echo(self, event: ServerEvent, known: Mapping[Link, Connection]) -> bool:
        """Whether it says once more that somebody was refused: servers do so as the end of a connection."""
        if event.kind is Kind.REFUSED:
            self._refused[event.link] = None
            if len(self._refused) > _REFUSALS_REMEMBERED:
                self._refused.popitem(last=False)
            return False
        if event.kind is not Kind.DISCONNECTED or event.reason != AUTHENTICATION_FAILURE:
            return False
        return event.link in self._refused and event.link not in known

    def _events(
        self, unit: Unit, told: Sequence[Heard], known: Mapping[Link, Connection], written: Written
    ) -> list[tuple[Event, tuple[ServerEvent, Attribution] | None]]:
        whose = self._attributor.attribute(unit, told)
        events: list[tuple[Event, tuple[ServerEvent, Attribution] | None]] = []
        for each, found in zip(told, whose, strict=True):
            event = each.event
            before = known.get(event.link)
            if before is not None and event.kind is Kind.DISCONNECTED:
                found = _as_before(found, before)
            detail = _detail(event, found)
            if before is not None and before.opened_seq and event.kind is Kind.DISCONNECTED:
                detail["connected"] = before.opened_seq
            outcome = "refused" if event.kind is Kind.REFUSED else "done"
            target = found.user_key or event.user_key
            events.append(
                (
                    Event(_CODES[event.kind], ACTOR, target, outcome, (event.account,), detail=detail),
                    (event, found),
                )
            )
            if found.credential is Credential.UNKNOWN and event.kind is not Kind.DISCONNECTED:
                written.alarms += 1
                alarm = _detail(event, found) | {"outcome": event.kind.value}
                alarm.pop("reason", None)
                events.append(
                    (
                        Event(
                            EventCode.SERVER_UNKNOWN_TOKEN,
                            ACTOR,
                            target,
                            outcome,
                            (event.account,),
                            detail=alarm,
                        ),
                        None,
                    )
                )
        return events

    def _keep(
        self,
        unit: Unit,
        events: Sequence[tuple[Event, tuple[ServerEvent, Attribution] | None]],
        seqs: Sequence[int],
        known: Mapping[Link, Connection],
    ) -> None:
        new: dict[Link, Connection] = {}
        changed: dict[Link, Connection] = {}
        seen: dict[tuple[str, str], list[int]] = {}
        for (_, told), seq in zip(events, seqs, strict=True):
            if told is None or told[0].kind is Kind.REFUSED:
                continue
            event, found = told
            row = new.get(event.link) or known.get(event.link)
            if row is None:
                row = new[event.link] = _connection(event, found)
            elif event.link not in new:
                changed[event.link] = row
            if event.kind is Kind.DISCONNECTED:
                row.ended_at, row.reason, row.closed_seq = event.stopped, event.reason, seq
                continue
            # What was heard of its end first stays so.
            row.opened_seq, row.started_at = seq, event.started
            if row.credential != found.credential.value:
                fresh = _connection(event, found)
                row.credential, row.approval, row.session_id = (
                    fresh.credential,
                    fresh.approval,
                    fresh.session_id,
                )
                row.user_key = fresh.user_key
            if found.who:
                seen.setdefault((found.who, event.account), []).append(event.started)
        store.add_connections(unit, list(new.values()))
        store.change_connections(unit, list(changed.values()))
        if seen:
            store.note_uses(unit, seen)


def _as_before(found: Attribution, before: Connection) -> Attribution:
    """Whose it was when it began; its session may be long over, its token gone."""
    if found.credential.value == before.credential or not before.opened_seq:
        return found
    return Attribution(
        Credential(before.credential),
        before.user_key,
        approval=before.approval,
        session_id=before.session_id,
    )


def _connection(event: ServerEvent, found: Attribution) -> Connection:
    return Connection(
        server_id=event.server_id,
        client_id=event.client,
        server=event.server,
        account=event.account,
        user_key=found.user_key or event.user_key,
        credential=found.credential.value,
        sha256=event.token.sha256 if event.token is not None else "",
        approval=found.approval,
        session_id=found.session_id,
        started_at=event.started,
    )


def _detail(event: ServerEvent, found: Attribution) -> Detail:
    mark = event.token
    detail: Detail = {
        "event": event.id,
        "told": event.at,
        "server": event.server,
        "server_id": event.server_id,
        "client": event.client,
        "account": event.account,
        "started": event.started,
        "credential": found.credential.value,
    }
    texts = {
        "cluster": event.cluster,
        "address": event.address,
        "account_name": event.account_name,
        "user_name": event.user if event.user != event.user_key else "",
        "client_name": event.name,
        "language": f"{event.lang} {event.version}".strip(),
        "kind": event.client_kind,
        "type": event.client_type,
        "name": found.name,
        "role": found.role,
        "subject": found.subject,
        "sha256": mark.sha256 if mark is not None else "",
        "jti": mark.jti if mark is not None else "",
        "issuer": (mark.iss if mark is not None else "") or event.issuer_key,
        "reason": event.reason,
    }
    detail |= {name: text for name, text in texts.items() if text}
    if found.approval:
        detail["approval"] = found.approval
    if found.session_id:
        detail["session"] = found.session_id
    if event.kind is Kind.DISCONNECTED:
        detail |= {"stopped": event.stopped, "sent": event.sent_bytes, "received": event.received_bytes}
    return detail
