"""What a finding is, and when findings stand in the way (claims spec §4.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

Findings = Iterator["Finding"]


class Level(StrEnum):
    """How much it matters: errors block, times block where the clock counts, warnings never."""

    ERROR = "error"
    TIME = "time"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of a claim; `pointer` is the JSON pointer of the member it is about."""

    level: Level
    code: str
    message: str
    pointer: str


def blocking(findings: Iterable[Finding], *, include_time: bool) -> bool:
    """Whether a server would refuse; at connect time it also refuses for the time findings."""
    return any(
        finding.level is Level.ERROR or (include_time and finding.level is Level.TIME) for finding in findings
    )


def error(code: str, message: str, pointer: str) -> Finding:
    return Finding(Level.ERROR, code, message, pointer)


def warning(code: str, message: str, pointer: str) -> Finding:
    return Finding(Level.WARNING, code, message, pointer)


def step(name: str | int) -> str:
    """One step of a JSON pointer (RFC 6901)."""
    return "/" + str(name).replace("~", "~0").replace("/", "~1")
