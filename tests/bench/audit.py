"""The group of the audit log: what an event costs, and how fast evidence is made and checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from tests.bench import audit_append, audit_evidence, audit_export, audit_ingest
from tests.bench.measure import Row

PARTS: Final[dict[str, Callable[[], Iterator[Row]]]] = {
    "append": audit_append.rows,
    "ingest": audit_ingest.rows,
    "export": audit_export.rows,
    "evidence": audit_evidence.rows,
}


def rows() -> Iterator[Row]:
    for part in PARTS.values():
        yield from part()
