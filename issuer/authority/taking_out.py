"""Taking events out of a log, which is itself an event of it, written first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from issuer.audit.catalogue import EventCode
from issuer.audit.exporting import Progress, Wanted, bounds, export_to
from issuer.audit.formats.table import FORMATS
from issuer.authority.desk import Actor, Authority, Turn
from issuer.authority.logkeeping import sign_logs
from issuer.errors import PeerError


@dataclass(frozen=True, slots=True)
class ExportEvents:
    """What to write where; `proofs` is a file of its own, beside one of JSON lines."""

    wanted: Wanted
    format: str
    path: Path
    proofs: Path | None = None
    resume: bool = False
    force: bool = False


def export_events(
    authority: Authority,
    act: ExportEvents,
    actor: Actor,
    *,
    reason: str = "",
    progress: Callable[[int], None] = lambda _: None,
) -> Progress:
    """Write the file.

    Raises:
        PeerError: no such format, or proofs beside a format that is not what was hashed.
        AlreadyExists, NotFound, OtherExport, NotExported: as `audit.exporting.export_to`.
    """
    form = FORMATS.get(act.format)
    if form is None:
        raise PeerError(f"no format {act.format!r}", at="format", hint=", ".join(FORMATS))
    if act.proofs is not None and form.in_clear:
        raise PeerError("proofs are of what was hashed: they go with jsonl", at="proofs")
    authority.perform(_announce, act, actor, reason=reason)
    if act.proofs is not None:
        sign_logs(authority, actor)
    with authority.database.reading() as unit:
        return export_to(
            unit,
            act.wanted,
            form,
            act.path,
            proofs=act.proofs,
            resume=act.resume,
            force=act.force,
            progress=progress,
        )


def _announce(turn: Turn, act: ExportEvents) -> None:
    first, last = bounds(turn.unit, act.wanted)
    turn.record(
        EventCode.AUDIT_EXPORTED,
        act.wanted.target or "",
        detail={
            "format": act.format,
            "log": act.wanted.log.value,
            "path": str(act.path),
            "first": first,
            "last": last,
            "filters": act.wanted.told(),
            "proofs": act.proofs is not None,
        },
    )
