"""`accredit env`, `accredit select operator|account`."""

from __future__ import annotations

from typing import Any

import click

from issuer.cli.options import verb
from issuer.cli.workspace import Workspace


@verb()
@click.option("-o", "operator_named", metavar="NAME", help="select this operator")
@click.option("-a", "--account", metavar="NAME", help="select this account")
@click.option("-s", "--store", hidden=True)
def env(workspace: Workspace, **values: Any) -> None:
    """Show every setting and where its value comes from."""
    if values["store"]:
        raise click.UsageError("the store is named with --data-dir or --database")
    if values["operator_named"]:
        _select_operator(workspace, values["operator_named"])
    if values["account"]:
        _select_account(workspace, values["account"])
    rows = workspace.settings.shown()
    if workspace.screen.as_json:
        workspace.screen.document([
            {"name": name, "value": value or None, "source": source} for name, value, source in rows
        ])  # fmt: skip
    else:
        workspace.screen.table(("Setting", "Value", "From"), rows)


@verb()
@click.argument("name", metavar="NAME")
def select_operator(workspace: Workspace, *, name: str) -> None:
    """Let other commands mean this operator."""
    found = _select_operator(workspace, name)
    workspace.screen.say(f"selected operator {found}")
    workspace.finish({"operator": found, "account": None})


@verb()
@click.argument("name", metavar="NAME")
def select_account(workspace: Workspace, *, name: str) -> None:
    """Let other commands mean this account."""
    operator, account = _select_account(workspace, name)
    workspace.screen.say(f"selected account {account} of operator {operator}")
    workspace.finish({"operator": operator, "account": account})


def _select_operator(workspace: Workspace, name: str) -> str:
    from issuer.authority.inspecting import Named, describe_operator

    found = workspace.ask(describe_operator, Named(name)).name
    workspace.select(operator=found)
    return found


def _select_account(workspace: Workspace, name: str) -> tuple[str, str]:
    from issuer.authority.inspecting import Named, describe_account, describe_operator

    operator = workspace.ask(describe_operator, Named(workspace.operator)).name
    account = workspace.ask(describe_account, Named(operator, name)).name
    workspace.select(operator=operator, account=account)
    return operator, account
