"""`accredit audit list|verify`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click
import msgspec

from issuer.audit.checking import check_all
from issuer.audit.log import Entry, read
from issuer.cli.main import FINDINGS, OK
from issuer.cli.options import verb
from issuer.cli.quantities import iso
from issuer.cli.workspace import Workspace
from issuer.store.unit import Log, Unit

_SHOWN: Final = 100


@verb()
@click.option(
    "--log",
    type=click.Choice([log.value for log in Log]),
    default=Log.ADMIN.value,
    show_default=True,
    help="what was done here, or what servers told",
)
@click.option("--code", metavar="CODE", help="events of this kind: user.issued")
@click.option("--target", metavar="KEY", help="what happened to this key")
@click.option("--actor", metavar="NAME", help="what this actor did: cli:ada")
@click.option("--after", type=click.IntRange(0), metavar="SEQ", help="events after this one, oldest first")
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", help=f"so many at most ({_SHOWN}, with --json all)"
)
def list_events(workspace: Workspace, **values: Any) -> None:
    """List events, newest first."""
    screen = workspace.screen
    limit = values["limit"] or (None if screen.as_json else _SHOWN)

    def show(unit: Unit, _: None) -> None:
        found = read(
            unit,
            Log(values["log"]),
            after_seq=values["after"] or 0,
            code=values["code"],
            target=values["target"],
            actor=values["actor"],
            newest_first=values["after"] is None,
            limit=limit,
        )
        if screen.as_json:
            screen.stream(map(_plain, found))
        else:
            screen.table(("Seq", "At", "Event", "Actor", "Outcome", "What", "Why"), _rows(found))

    workspace.ask(show, None)


def _plain(entry: Entry) -> dict[str, Any]:
    return {"seq": entry.seq, "hash": entry.hash, **msgspec.to_builtins(entry.body)}


def _rows(entries: Iterator[Entry]) -> Iterator[tuple[Any, ...]]:
    for entry in entries:
        body = entry.body
        name = body.detail.get("name") or body.detail.get("message") or ""
        what = f"{name} {body.target}".strip()
        yield entry.seq, iso(body.at), body.code, body.actor, body.outcome, what, body.reason


@verb()
def verify(workspace: Workspace) -> int:
    """Prove that no event was altered, added between others or taken away. Exits with 7 if one was."""
    screen = workspace.screen
    told: dict[str, dict[str, Any]] = {}
    faults = []
    for log in Log:
        head = workspace.ask(lambda unit, log: unit.log_head(log), log)
        with screen.progress(f"verifying {log.value}", head.seq) as progress:
            walked = workspace.ask(lambda unit, log: check_all(unit, log, progress.at), log)
        told[log.value] = {"events": walked.events, "checkpoints": walked.checkpoints, "head": head.hash}
        if walked.fault is not None:
            faults.append(walked.fault)
    first_bad = next((fault.seq for fault in faults if fault.log is Log.ADMIN), None)
    words = [str(fault) for fault in faults]
    admin = told[Log.ADMIN.value]
    sound = {"sound": not faults, "first_bad": first_bad, "faults": words}
    workspace.finish({**sound, **admin, "logs": told})
    for fault in words:
        screen.warn(f"{fault}: from there on it cannot be trusted")
    if faults:
        return FINDINGS
    for name, found in told.items():
        screen.say(f"log {name!r}: {found['events']} events, each follows the one before")
        screen.say(f"{found['checkpoints']} checkpoints fit; the newest event has the hash {found['head']}")
    return OK
