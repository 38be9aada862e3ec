"""`accredit completion`: what a shell needs to complete our verbs, options and names."""

from __future__ import annotations

import contextlib
from typing import Any, Final

import click

from issuer.cli.options import verb
from issuer.cli.output import NAME
from issuer.cli.workspace import Workspace
from issuer.errors import AccreditError

_VARIABLE: Final = "_ACCREDIT_COMPLETE"
_MOST: Final = 200


@verb()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.option("--no-descriptions", is_flag=True, hidden=True)
def completion(workspace: Workspace, *, shell: str, **_ignored: bool) -> None:
    """Print the completion of a shell. For bash: source <(accredit completion bash)."""
    from click.shell_completion import get_completion_class

    from issuer.cli.main import program

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    # The class's own check of the bash at hand would refuse to print for another machine's.
    template: Any = found(program(), {}, NAME, _VARIABLE)
    workspace.screen.text(template.source_template % template.source_vars())


def account_names(ctx: click.Context, incomplete: str) -> list[str]:
    """Accounts whose name starts so; a completion says nothing when it cannot."""
    from issuer.authority.inspecting import account_rows
    from issuer.cli.output import Screen

    flags = {
        name: value
        for context in (ctx.find_root(), ctx)
        for name, value in context.params.items()
        if name in {"data_dir", "database", "operator", "config_file"} and value
    }
    workspace = Workspace(flags, Screen(quiet=True))
    try:
        with contextlib.suppress(AccreditError):
            rows = workspace.ask(account_rows, workspace.operator)
            return [row["name"] for row in rows if row["name"].startswith(incomplete)][:_MOST]
    finally:
        workspace.close()
    return []
