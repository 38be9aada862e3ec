"""CloudEvents 1.0, structured mode: what a webhook is sent, and a line of a file."""

from __future__ import annotations

from typing import Any

from issuer.audit.formats.record import Record, when


def document(record: Record) -> dict[str, Any]:
    """The event; its id is its number, unique with its source."""
    body = record.body
    found: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(record.seq),
        "source": f"/{record.origin}",
        "type": f"accredit.{body.code}",
        "time": when(body.at),
        "datacontenttype": "application/json",
        "leaf": record.leaf,
        "data": body,
    }
    if body.target:
        found["subject"] = body.target
    return found
