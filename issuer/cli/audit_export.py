"""`accredit audit export`: events as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from issuer.audit.exporting import Wanted
from issuer.authority.taking_out import ExportEvents, export_events
from issuer.cli.options import verb
from issuer.cli.quantities import stamp
from issuer.cli.workspace import Workspace
from issuer.store.unit import Log

# Names alone: the formats are loaded when one is written.
_FORMATS: Final = ("jsonl", "csv", "cef", "syslog", "ecs", "ocsf", "cloudevents")


@verb()
@click.argument("path", metavar="FILE")
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), default="jsonl", help="jsonl is what was hashed"
)
@click.option("--log", "name", type=click.Choice([each.value for each in Log]), default=Log.ADMIN.value)
@click.option("--since", metavar="TIME", help="from then on: 2026-01-01T00:00:00Z, -90d")
@click.option("--until", metavar="TIME", help="up to, not with")
@click.option("--actor", metavar="NAME", help="what this actor did: cli:ada")
@click.option("--target", metavar="KEY", help="what happened to this key")
@click.option("--code", metavar="CODE", help="events of this kind: user.issued")
@click.option("--outcome", type=click.Choice(["done", "refused", "failed"]), help="how it ended")
@click.option("--proofs", metavar="FILE", help="with jsonl: the proof of each event, in a file of its own")
@click.option("--resume", is_flag=True, help="go on with what was interrupted")
@click.option("-F", "--force", is_flag=True, help="over a file that exists")
def export(workspace: Workspace, **values: Any) -> None:
    """Write events to a file. What is interrupted can be gone on with; a file that is there is whole."""
    now, screen = workspace.now, workspace.screen

    def second(name: str) -> int | None:
        return None if values[name] is None else stamp(values[name], now, at=f"--{name}")

    act = ExportEvents(
        wanted=Wanted(
            log=Log(values["name"]),
            since=second("since"),
            until=second("until"),
            **{name: values[name] for name in ("actor", "target", "code", "outcome")},
        ),
        format=values["form"],
        path=Path(values["path"]).expanduser(),
        proofs=Path(values["proofs"]).expanduser() if values["proofs"] else None,
        resume=values["resume"],
        force=values["force"],
    )
    total = workspace.ask(lambda unit, log: unit.log_head(log).seq, act.wanted.log)
    with screen.progress("exporting", total) as progress:
        done = export_events(
            workspace.authority, act, workspace.actor, reason=workspace.reason, progress=progress.at
        )
    workspace.finish({"path": str(act.path), "events": done.written, "last": done.seq, "bytes": done.size})
    screen.say(f"wrote {done.written} events to {act.path}")
