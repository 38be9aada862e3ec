"""What an Okta event hook tells, read into what it means for us. Pure.

A hook's body holds System Log events, several at once, in any order and now and then twice. Each is read
alone: one that cannot be read costs only itself.

Whom an event is about is its target of type `User`. The actor is whoever did it, mostly an administrator;
only the end of a session has its person there.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from issuer.authority.hearing import Effect, Told
from web.bodies import BodyError
from web.triggers.bodies import plain_text
from web.triggers.settings import OktaHook

MAX_EVENTS: Final = 1000
AHEAD_MS: Final = 60_000
"""By which Okta's clock may be ahead of ours; a date beyond it would stand above all that follows."""
APPLICATION: Final = "application"


class _Meaning(NamedTuple):
    effect: Effect
    of_application: bool = False
    """Only if it is about one of ours."""


MEANINGS: Final[Mapping[str, _Meaning]] = {
    "user.lifecycle.deactivate": _Meaning(Effect.DENY),
    "user.lifecycle.suspend": _Meaning(Effect.DENY),
    "user.lifecycle.delete.initiated": _Meaning(Effect.DENY),
    "user.lifecycle.activate": _Meaning(Effect.LIFT),
    "user.lifecycle.reactivate": _Meaning(Effect.LIFT),
    "user.lifecycle.unsuspend": _Meaning(Effect.LIFT),
    "user.session.end": _Meaning(Effect.PROVE_AGAIN),
    # Not until it is unlocked: a lock that runs out by itself is told by nobody.
    "user.account.lock": _Meaning(Effect.PROVE_AGAIN),
    "group.user_membership.remove": _Meaning(Effect.REGROUP),
    "application.user_membership.remove": _Meaning(Effect.DENY, of_application=True),
    "application.user_membership.add": _Meaning(Effect.LIFT, of_application=True),
}
_BY_ACTOR: Final = frozenset({"user.session.end"})
# What did not happen has no consequences; whatever else a result may be called, it did.
_IN_VAIN: Final = frozenset({"FAILURE", "DENY", "SKIPPED", "ABANDONED"})


class Delivery(NamedTuple):
    """A body as it was read."""

    notice: str
    """Its id, or nothing."""
    told: tuple[Told, ...]
    unread: int
    """Events of a kind that concerns us that could not be read."""


def read_delivery(body: Mapping[str, Any], hook: OktaHook, issuer: str, *, now: int) -> Delivery:
    """What a body tells us.

    Raises:
        BodyError: it is no delivery of events.
    """
    data = body.get("data")
    events = data.get("events") if isinstance(data, Mapping) else None
    if not isinstance(events, list) or len(events) > MAX_EVENTS:
        raise BodyError("is no delivery of events, or of too many")
    delivery = plain_text(body.get("eventId")) or ""
    told: list[Told] = []
    unread = 0
    for number, event in enumerate(events):
        kind = event.get("eventType") if isinstance(event, Mapping) else None
        meaning = MEANINGS.get(kind) if isinstance(kind, str) else None
        if not isinstance(kind, str) or meaning is None or kind in hook.ignore or _in_vain(event):
            continue
        own = plain_text(event.get("uuid"))
        notice = own or (f"{delivery}#{number}" if delivery else "")
        found = _told(kind, meaning, event, hook, issuer, notice, now=now)
        if found is None:
            unread += 1
        elif found:
            told += found
    return Delivery(delivery, tuple(told), unread)


def _told(
    kind: str,
    meaning: _Meaning,
    event: Mapping[str, Any],
    hook: OktaHook,
    issuer: str,
    notice: str,
    *,
    now: int,
) -> list[Told] | None:
    """What one event tells; nothing of what is not ours, None if it cannot be read."""
    targets = event.get("target")
    targets = [each for each in targets if isinstance(each, Mapping)] if isinstance(targets, list) else []
    strands = ["account"]
    if meaning.of_application:
        ours = [
            each["id"] for each in _of_type(targets, "AppInstance") if each.get("id") in hook.applications
        ]
        strands = [f"{APPLICATION}-{each}" for each in ours]
        if not strands:
            return []
    people = _of_type(targets, "User")
    if not people and kind in _BY_ACTOR:
        actor = event.get("actor")
        people = _of_type([actor], "User") if isinstance(actor, Mapping) else []
    groups: tuple[str, ...] = ()
    if meaning.effect is Effect.REGROUP:
        groups = _groups(targets)
    if not people or not notice or (meaning.effect is Effect.REGROUP and not groups):
        return None
    found: list[Told] = []
    at_ms = _moment(event.get("published"), now)
    for number, person in enumerate(people):
        named = [plain_text(person.get(each.value)) for each in hook.subjects]
        subjects = tuple(dict.fromkeys(each for each in named if each is not None))
        found += [
            Told(
                notice=notice if number == place == 0 else f"{notice}+{number}.{place}",
                what=kind,
                effect=meaning.effect,
                issuer=issuer,
                subjects=subjects,
                at_ms=at_ms,
                strand=strand,
                groups=groups,
            )
            for place, strand in enumerate(strands)
            if subjects
        ]
    return found or None


def _of_type(targets: Sequence[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    return [each for each in targets if each.get("type") == kind]


def _groups(targets: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Ids and names: a claim may hold either."""
    named = [
        plain_text(each.get(member))
        for each in _of_type(targets, "UserGroup")
        for member in ("id", "displayName", "alternateId")
    ]
    # What is not known is written "unknown", which may be a group's name, but is none here.
    return tuple(dict.fromkeys(each for each in named if each is not None and each != "unknown"))


def _in_vain(event: Mapping[str, Any]) -> bool:
    outcome = event.get("outcome")
    result = outcome.get("result") if isinstance(outcome, Mapping) else None
    return isinstance(result, str) and result.upper() in _IN_VAIN


def _moment(published: object, now: int) -> int:
    """Unix milliseconds; now, where it is not said: who is kept out must not come in for that."""
    latest = now * 1000 + AHEAD_MS
    if not isinstance(published, str) or len(published) > 40:
        return now * 1000
    try:
        moment = dt.datetime.fromisoformat(published)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=dt.UTC)
        found = int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        return now * 1000
    return max(0, min(found, latest))
