"""`accredit audit checkpoint|prove|erase`: what the log gives out, and what it forgets."""

from __future__ import annotations

import click

from issuer.authority.logkeeping import ErasePerson, erase_person, prove_event, sign_logs
from issuer.cli.options import verb
from issuer.cli.workspace import Workspace
from issuer.store.unit import Log

_log = click.option(
    "--log",
    "name",
    type=click.Choice([each.value for each in Log]),
    default=Log.ADMIN.value,
    show_default=True,
    help="what we did, or what servers told us",
)


@verb()
@_log
def checkpoint(workspace: Workspace, name: str) -> None:
    """Sign where a log stands. Whoever keeps what is shown can tell later whether it was rewritten."""
    stands = {stand.sealed.log: stand for stand in sign_logs(workspace.authority, workspace.actor)}
    if workspace.screen.as_json:
        workspace.screen.document(
            [
                {
                    "log": stand.sealed.log.value,
                    "year": stand.sealed.year,
                    "size": stand.sealed.size,
                    "root": stand.root,
                    "note": stand.note,
                }
                for stand in stands.values()
            ]
        )
    elif Log(name) in stands:
        workspace.screen.text(stands[Log(name)].note.removesuffix("\n"))
    else:
        workspace.screen.say(f"log {name!r} has no event yet")


@verb()
@click.argument("seq", type=click.IntRange(1))
@_log
def prove(workspace: Workspace, seq: int, name: str) -> None:
    """Show one event with the proof that it is in the log, as a file any tlog tool can check."""
    proof = prove_event(workspace.authority, workspace.actor, Log(name), seq)
    if workspace.screen.as_json:
        path = [step.hex() for step in proof.path]
        told = {"seq": seq, "index": proof.index, "body": proof.body, "path": path, "note": proof.note}
        workspace.screen.document(told)
    else:
        workspace.screen.text(str(proof).removesuffix("\n"))


@verb()
@click.argument("value")
@click.option("-F", "--force", is_flag=True, help="without asking")
def erase(workspace: Workspace, value: str, *, force: bool) -> None:
    """Forget a person: a name, a subject, an address, a reason, as `audit list` shows it.

    The log keeps a commitment that nobody can open any more; it stays whole, and so do bundles made before.
    """
    workspace.screen.confirm(f"forget {value!r} for good?", forced=force)
    rows = workspace.perform(erase_person, ErasePerson(value))
    workspace.finish({"erased": True, "rows": rows})
    workspace.screen.say("forgotten; what was exported before says it still")
