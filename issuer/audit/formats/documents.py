"""A JSON document a line: what the formats have in common whose events are such documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from issuer.audit.formats.record import Record


class Documents:
    """A format by what it makes of an event."""

    in_clear = True

    def __init__(self, name: str, document: Callable[[Record], dict[str, Any]]) -> None:
        self.name = name
        self._document = document

    def head(self) -> bytes:
        return b""

    def render(self, record: Record) -> bytes:
        return msgspec.json.encode(self._document(record)) + b"\n"
