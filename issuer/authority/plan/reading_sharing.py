"""Reading exports, imports and mappings."""

from __future__ import annotations

from typing import Final, Literal

from issuer.authority.plan import quantities
from issuer.authority.plan.document import (
    ExportPart,
    ImportPart,
    LatencyPart,
    MappingPart,
    ShareWord,
    Until,
)
from issuer.authority.plan.source import Place
from issuer.authority.plan.subject_text import subject
from issuer.authority.plan.words import HEADERS, RESPONSE_TYPES
from issuer.claims.account import WeightedMapping
from issuer.subjects import Subject

MAX_POSITION: Final = 256


def exports(place: Place) -> tuple[ExportPart, ...]:
    found = tuple(_export(item) for item in _items(place))
    seen: set[tuple[str, str]] = set()
    for entry in found:
        if (entry.kind, entry.subject) in seen:
            raise entry.where.fault(f"{entry.kind} {entry.subject!r} is exported twice")
        seen.add((entry.kind, entry.subject))
    return found


def imports(place: Place) -> tuple[ImportPart, ...]:
    found = tuple(_import(item) for item in _items(place))
    seen: set[tuple[str, str, str, str | None]] = set()
    for entry in found:
        identity = (entry.kind, entry.subject, entry.source, entry.local_subject)
        if identity in seen:
            raise entry.where.fault(f"{entry.kind} {entry.subject!r} is imported twice")
        seen.add(identity)
    return found


def mappings(place: Place) -> tuple[MappingPart, ...]:
    found = []
    for source, value in place.entries().items():
        key = Place(value.key, value.path, value.source)
        items = value.items() if value.is_list else [value]
        if not items:
            raise value.fault("needs a destination")
        found.append(MappingPart(subject(key), tuple(map(_destination, items)), where=value.where))
        if len({(entry.subject, entry.cluster) for entry in found[-1].destinations}) < len(items):
            raise value.fault(f"{source!r} is sent to the same destination twice")
    return tuple(found)


def _export(place: Place) -> ExportPart:
    members = place.members((
        "stream", "service", "name", "private", "response-type", "response-threshold", "latency",
        "account-token-position", "advertise", "allow-trace", "description", "info-url",
    ))  # fmt: skip
    kind, text = _share(place, members)
    for word in ("response-type", "response-threshold", "latency", "allow-trace"):
        if kind == "stream" and word in members:
            raise members[word].fault("only services have it")
    return ExportPart(
        kind=kind,
        subject=text,
        name=members["name"].text() if "name" in members else None,
        private=members["private"].flag() if "private" in members else None,
        response_type=members["response-type"].one_of(RESPONSE_TYPES) if "response-type" in members else None,
        response_threshold=members["response-threshold"].span() if "response-threshold" in members else None,
        latency=_latency(members["latency"]) if "latency" in members else None,
        account_token_position=members["account-token-position"].between(0, MAX_POSITION)
        if "account-token-position" in members
        else None,
        advertise=members["advertise"].flag() if "advertise" in members else None,
        allow_trace=members["allow-trace"].flag() if "allow-trace" in members else None,
        description=members["description"].text() if "description" in members else None,
        info_url=members["info-url"].text() if "info-url" in members else None,
        where=place.where,
    )


def _latency(place: Place) -> LatencyPart | Literal[False]:
    if place.is_flag and not place.flag():
        return False
    members = place.members(("subject", "sampling"))
    if "subject" not in members:
        raise place.fault("needs a subject", hint="or write latency: false")
    sampling = 0
    if "sampling" in members and members["sampling"].text() != HEADERS:
        sampling = members["sampling"].between(1, 100)
    return LatencyPart(subject(members["subject"]), sampling)


def _import(place: Place) -> ImportPart:
    members = place.members((
        "stream", "service", "from", "local-subject", "name", "token", "expires", "share", "allow-trace",
    ))  # fmt: skip
    kind, text = _share(place, members)
    if "from" not in members:
        raise place.fault("needs from:", hint="the exporting account's name or public key")
    if kind == "stream" and "share" in members:
        raise members["share"].fault("only services have it")
    if kind == "service" and "allow-trace" in members:
        raise members["allow-trace"].fault("only imported streams have it")
    if "token" in members and "expires" in members:
        raise members["expires"].fault("the token that is given has its own expiry")
    return ImportPart(
        kind=kind,
        subject=text,
        source=members["from"].text(),
        local_subject=members["local-subject"].text() if "local-subject" in members else None,
        name=members["name"].text() if "name" in members else None,
        token=members["token"].text().strip() if "token" in members else None,
        expires=_until(members["expires"]) if "expires" in members else None,
        share=members["share"].flag() if "share" in members else None,
        allow_trace=members["allow-trace"].flag() if "allow-trace" in members else None,
        where=place.where,
    )


def _until(place: Place) -> Until:
    lasting = quantities.parse_lasting(place.text().strip())
    return Until(lasting=lasting) if lasting is not None else Until(second=place.moment())


def _destination(place: Place) -> WeightedMapping:
    if not place.is_mapping:
        return WeightedMapping(subject=Subject(place.text()), weight=100)
    members = place.members(("to", "weight", "cluster"))
    if "to" not in members:
        raise place.fault("needs to:", hint="the subject messages go to")
    return WeightedMapping(
        subject=Subject(members["to"].text()),
        weight=members["weight"].between(1, 100) if "weight" in members else 100,
        cluster=members["cluster"].text() if "cluster" in members else "",
    )


def _share(place: Place, members: dict[str, Place]) -> tuple[ShareWord, str]:
    if ("stream" in members) == ("service" in members):
        raise place.fault("needs a stream: or a service:, with its subject")
    if "stream" in members:
        return "stream", subject(members["stream"])
    return "service", subject(members["service"])


def _items(place: Place) -> list[Place]:
    return [] if place.is_nothing else place.items()
