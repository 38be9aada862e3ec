"""JSON lines: each event as it was hashed, byte for byte. The format for proofs."""

from __future__ import annotations

from issuer.audit.formats.record import Record


class Lines:
    """`jsonl`."""

    name = "jsonl"
    in_clear = False

    def head(self) -> bytes:
        return b""

    def render(self, record: Record) -> bytes:
        return record.text.encode() + b"\n"
