"""CSV (RFC 4180) for people and their spreadsheets, in which no cell is a formula."""

from __future__ import annotations

import csv
from typing import Any, Final

import msgspec

from issuer.audit.formats.record import Record, when

COLUMNS: Final = ("seq", "time", "code", "outcome", "actor", "target", "targets", "reason", "correlation",
                  "name", "detail", "artefacts", "leaf")  # fmt: skip
# What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection); blanks before it count not.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


class Sheet:
    """`csv`."""

    name = "csv"
    in_clear = True

    def head(self) -> bytes:
        return _row(COLUMNS)

    def render(self, record: Record) -> bytes:
        body = record.body
        return _row(
            (
                str(record.seq),
                when(body.at),
                body.code,
                body.outcome,
                body.actor,
                body.target,
                " ".join(body.targets),
                body.reason,
                body.correlation,
                str(body.detail.get("name", "")),
                msgspec.json.encode(body.detail, order="sorted").decode() if body.detail else "",
                " ".join(sha256 for _, sha256 in body.artefacts),
                record.leaf,
            )
        )


def harmless(cell: str) -> str:
    """A cell no spreadsheet calculates: a quote before what could be a formula."""
    return "'" + cell if cell.lstrip(" \u00a0").startswith(_FORMULA) or cell.startswith("'") else cell


class _Line:
    """What the writer writes to: it is given a row at a time, and gives it back."""

    def write(self, line: str) -> str:
        return line


_WRITER: Final = csv.writer(_Line(), lineterminator="\r\n")


def _row(cells: tuple[str, ...]) -> bytes:
    line: Any = _WRITER.writerow([harmless(cell) for cell in cells])
    return str(line).encode()
