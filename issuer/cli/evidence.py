"""`accredit audit bundle|check`: evidence for an auditor, and checking it as the auditor does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from issuer.audit.evidence.controls import FRAMEWORKS
from issuer.authority.evidencing import MakeEvidence, make_evidence
from issuer.cli.main import FINDINGS, MALFORMED, NOT_FOUND, OK
from issuer.cli.options import account_option, verb
from issuer.cli.quantities import iso, stamp
from issuer.cli.workspace import Workspace


@verb()
@click.argument("path", metavar="FILE.zip")
@click.option("--since", metavar="TIME", required=True, help="where it begins: 2026-01-01T00:00:00Z, -90d")
@click.option("--until", metavar="TIME", default="0", help="up to, not with; else now")
@account_option
@click.option(
    "--framework",
    type=click.Choice(FRAMEWORKS),
    default="iso27001",
    show_default=True,
    help="map of controls",
)
@click.option("--controls", metavar="FILE", help="a map of controls of your own")
@click.option("--without-people", is_flag=True, help="leave out in clear who acted and who logged in")
@click.option("-F", "--force", is_flag=True, help="over a file that exists")
def bundle(workspace: Workspace, **values: Any) -> None:
    """Write evidence of a period to one file, which verifies itself with Python alone."""
    now = workspace.now
    until = stamp(values["until"], now, at="--until")
    act = MakeEvidence(
        path=Path(values["path"]).expanduser(),
        since=stamp(values["since"], now, at="--since"),
        # What is done now is of now: the second under way belongs to it.
        until=until + 1 if until == now else until,
        framework=values["framework"],
        account=values["account"],
        operator=workspace.operator,
        people=not values["without_people"],
        controls=Path(values["controls"]) if values["controls"] else None,
        force=values["force"],
    )
    screen = workspace.screen
    evidence = make_evidence(workspace.authority, act, workspace.actor, reason=workspace.reason)
    workspace.finish(
        {
            "path": str(act.path),
            "since": iso(act.since),
            "until": iso(act.until),
            "first_seq": evidence.low,
            "last_seq": evidence.high,
            "events": evidence.events,
            "tokens": len(evidence.last.heads),
        }
    )
    screen.say(f"wrote {act.path}: {evidence.events} events, {len(evidence.last.heads)} tokens in force")
    screen.hint(f"check it: accredit audit check {act.path}")


@verb()
@click.argument("path", metavar="FILE.zip")
@click.option("--log-key", metavar="VKEY", help="the key of the log, as you were given it")
@click.option("--operator-key", metavar="KEY", help="the operator's public key")
@click.option("--checkpoint", "kept", metavar="FILE", multiple=True, help="a checkpoint kept from before")
def check(workspace: Workspace, path: str, **values: Any) -> int:
    """Check a bundle, as the program in it does; needs no store. Exits with 7 if it was tampered with."""
    from argparse import Namespace

    from issuer.audit.evidence import verify

    options = Namespace(
        log_key=values["log_key"], operator=values["operator_key"], witness=None, quorum=None, kept=[]
    )
    try:
        options.kept = [verify.kept_checkpoint(each) for each in values["kept"]]
    except (OSError, verify.Fault) as fault:
        raise click.UsageError(f"not a checkpoint: {fault}") from None
    report = verify.verify(path, options)
    screen = workspace.screen
    if screen.as_json:
        screen.document(report)
    else:
        screen.table(("Step", "Found"), ((step["step"], step["found"]) for step in report["steps"]))
        for note in report["notes"]:
            screen.note(note)
    if report["fault"]:
        screen.warn(report["fault"])
    return {0: OK, 1: FINDINGS, 2: NOT_FOUND, 3: MALFORMED}[report["status"]]
