"""`accredit plan`, `accredit apply`, `accredit export org`: a file that says what shall be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from issuer.audit.catalogue import EventCode
from issuer.authority.plan import (
    ApplyDocument,
    AskPlan,
    DeclaredPolicy,
    Plan,
    PolicyDoor,
    apply_document,
    export_document,
    read_document,
)
from issuer.authority.plan import (
    plan as ask_plan,
)
from issuer.authority.plan.diff import DELETE
from issuer.authority.plan.document import SECTIONS, Document
from issuer.cli.files import STDIN, read_text
from issuer.cli.generate import output_option, put
from issuer.cli.main import FINDINGS, OK, POLICY_READER, found
from issuer.cli.options import force_option, split, verb
from issuer.cli.workspace import Workspace
from issuer.store.engine import NoStore


def _file_options(function: Any) -> Any:
    for option in (
        click.option(
            "--prune",
            multiple=True,
            metavar="SECTIONS",
            help="delete what the file lacks: users, accounts, …",
        ),
        click.option("-f", "--file", "source", metavar="FILE", help="what shall be, in YAML; - for stdin"),
        click.argument("argument", metavar="FILE", required=False),
    ):
        function = option(function)
    return function


@verb()
@_file_options
@click.option("--check", is_flag=True, help="exit with 7 if anything would change")
def plan(workspace: Workspace, *, check: bool, **values: Any) -> int:
    """Show what apply would change; nothing is."""
    document = _document(values)
    made = _plan(workspace, document, values)
    _show(workspace, made)
    workspace.finish(made.plain())
    return FINDINGS if check and made else OK


@verb()
@_file_options
@force_option
@click.option(
    "--expect", metavar="DIGEST", help="only if nothing changed since this plan (its digest in --json)"
)
def apply(workspace: Workspace, *, force: bool, expect: str | None, **values: Any) -> None:
    """Make it so, in one transaction. A second time changes nothing; deleting asks first."""
    document = _document(values)
    try:
        _ = workspace.database
    except NoStore:
        workspace.create()
    made = _plan(workspace, document, values)
    _show(workspace, made)
    gone = [change.path for change in made.changes if change.kind == DELETE]
    if gone:
        workspace.screen.confirm(f"delete {', '.join(gone)}?", forced=force)
    act = ApplyDocument(document, _operator(workspace, document), _pruned(values), expect or made.digest)
    applied = workspace.perform(apply_document, act)
    workspace.finish(applied.plain())
    screen = workspace.screen
    for note in applied.notes:
        if note not in made.notes:
            screen.note(note)
    if not applied.changes:
        return
    screen.say(f"applied to operator {applied.operator}")
    issued = sum(1 for outcome in applied.outcomes if outcome.code is EventCode.USER_ISSUED)
    if issued:
        screen.hint(f"{issued} new users: accredit generate creds -a ACCOUNT NAME -o FILE")
    screen.hint("servers get it by: accredit push")


@verb()
@output_option
def export_org(workspace: Workspace, *, output_file: str | None, force: bool) -> None:
    """Write the present state as a file for plan and apply. No key, revocation or activation is in it."""
    text = workspace.ask(export_document, workspace.operator)
    path = put(workspace, text, output_file, force=force)
    workspace.finish({"path": path, "document": text})


def _document(values: dict[str, Any]) -> Document:
    name = values["source"] or values["argument"]
    if not name:
        raise click.UsageError("which file? name it with -f, or - for stdin")
    folder = Path() if name == STDIN else Path(name).expanduser().parent

    def read(data: Any) -> DeclaredPolicy:
        # Found when asked for: most files hold no policy, and are not to wait for what reads one.
        policy: DeclaredPolicy = found(POLICY_READER)(data)
        return policy

    door = PolicyDoor(read, beside=lambda file: read_text(str(folder / Path(file).expanduser())))
    return read_document(read_text(name), "stdin" if name == STDIN else name, policies=door)


def _pruned(values: dict[str, Any]) -> frozenset[str]:
    chosen = frozenset(split(values["prune"]))
    unknown = chosen - frozenset(SECTIONS)
    if unknown:
        raise click.UsageError(f"nothing to prune is called {min(unknown)!r}: {', '.join(SECTIONS)}")
    return chosen


def _operator(workspace: Workspace, document: Document) -> str | None:
    """Who the file is about. What is merely selected does not go before what the file says."""
    if document.operator.name and workspace.settings.source("operator") == "select":
        return None
    return workspace.operator


def _plan(workspace: Workspace, document: Document, values: dict[str, Any]) -> Plan:
    pruned = _pruned(values)
    asked = AskPlan(document, workspace.now, _operator(workspace, document), pruned)
    return workspace.ask(ask_plan, asked)


def _show(workspace: Workspace, made: Plan) -> None:
    if not workspace.screen.as_json:
        workspace.screen.text("\n".join(made.lines()))
    for note in made.notes:
        workspace.screen.note(note)
