"""Elastic Common Schema, a JSON document a line."""

from __future__ import annotations

from typing import Any, Final

from issuer import __version__
from issuer.audit.formats.numbers import class_id, severity
from issuer.audit.formats.record import Record, person_of, when

VERSION: Final = "8.17.0"
_OUTCOMES: Final = {"done": "success"}
# The nearest of the schema's categories and types, by what an event is about.
_CATEGORIES: Final = {
    "login": "authentication",
    "server": "session",
    "user": "iam",
    "account": "iam",
    "operator": "iam",
    "identity": "iam",
    "provisioned": "iam",
    "activation": "iam",
}
_TYPES: Final = {
    **dict.fromkeys(("created", "issued", "added", "adopted"), "creation"),
    **dict.fromkeys(("deleted", "removed", "revoked"), "deletion"),
    **dict.fromkeys(("denied", "refused"), "denied"),
    **dict.fromkeys(("granted", "connected"), "start"),
    **dict.fromkeys(("disconnected", "evicted"), "end"),
    "changed": "change",
}


def document(record: Record) -> dict[str, Any]:
    """The event as the schema has it; all that has no place there is under `accredit`."""
    body, detail = record.body, record.body.detail
    thing, _, deed = body.code.partition(".")
    event: dict[str, Any] = {
        "id": f"{record.origin}#{record.seq}",
        "sequence": record.seq,
        "kind": "alert" if severity(body.code, body.outcome) >= 8 else "event",
        "code": class_id(body.code, body.outcome),
        "action": body.code,
        "category": [_CATEGORIES.get(thing, "configuration")],
        "type": [_TYPES.get(deed, "info")],
        "outcome": _OUTCOMES.get(body.outcome, "failure"),
        "severity": severity(body.code, body.outcome),
        "dataset": record.origin,
        "module": "accredit",
        "provider": "accredit",
        "hash": record.leaf,
        "original": record.text,
    }
    if body.reason:
        event["reason"] = body.reason
    found: dict[str, Any] = {
        "@timestamp": when(body.at),
        "ecs": {"version": VERSION},
        "event": event,
        "user": {"name": person_of(body.actor)},
        "observer": {"vendor": "Accredit", "product": "accredit", "version": __version__},
        "accredit": {"actor": body.actor, "target": body.target, "targets": body.targets, "detail": detail},
    }
    if body.correlation:
        found["trace"] = {"id": body.correlation}
    if detail.get("address"):
        found["source"] = {"address": str(detail["address"])}
    return found
