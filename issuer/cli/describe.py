"""`accredit describe operator|account|user|jwt`."""

from __future__ import annotations

import json
from typing import Any

import click

from issuer.authority.inspecting import Description, Named, describe_account, describe_operator, describe_user
from issuer.claims.wire import to_plain
from issuer.cli.files import read_text, write_output
from issuer.cli.options import account_option, name_argument, verb
from issuer.cli.workspace import Workspace
from issuer.errors import NotFound
from issuer.keys.creds import decorate_token, parse_decorated_token
from issuer.tokens.envelope import decode


def _ways(function: Any) -> Any:
    for option in (
        click.option("-W", "--long-ids", is_flag=True, hidden=True),
        click.option("-o", "--output-file", metavar="FILE", help="write to a new file of yours alone"),
        click.option("-F", "--field", metavar="PATH", help="one value of the claims: nats.limits.conn"),
        click.option("-R", "--raw", is_flag=True, help="the token itself"),
    ):
        function = option(function)
    return function


@verb()
@name_argument("operator", required=False)
@_ways
def operator(workspace: Workspace, *, name: str | None, **values: Any) -> None:
    """Show an operator."""
    _show(workspace, workspace.ask(describe_operator, Named(name or workspace.operator)), values)


@verb()
@name_argument("account", required=False)
@account_option
@_ways
def account(workspace: Workspace, *, name: str | None, account: str | None, **values: Any) -> None:
    """Show an account: limits, roles, what it shares, who is cut off."""
    named = workspace.account(name or account)
    _show(workspace, workspace.ask(describe_account, Named(workspace.operator, named)), values)


@verb()
@name_argument("user")
@account_option
@_ways
def user(workspace: Workspace, *, name: str, account: str | None, **values: Any) -> None:
    """Show a user, with the role's permissions if it has one."""
    asked = Named(workspace.operator, workspace.account(account), name)
    _show(workspace, workspace.ask(describe_user, asked), values)


@verb()
@click.argument("file_argument", metavar="FILE", required=False)
@click.option("-f", "--file", metavar="FILE", help="a token or creds file; - for stdin")
@_ways
def jwt(workspace: Workspace, *, file: str | None, file_argument: str | None, **values: Any) -> None:
    """Show any token: its signature is verified, the store is not asked."""
    source = file or file_argument
    if not source:
        raise click.UsageError("which file? name it, or - for stdin")
    found = decode(parse_decorated_token(read_text(source)))
    claims = found.claims
    kind = type(claims).kind
    description = Description(kind, claims.name, claims.sub, found.token, found.version, claims)
    _show(workspace, description, values)


def _show(workspace: Workspace, found: Description, values: dict[str, Any]) -> None:
    output = values["output_file"]
    if values["raw"]:
        text = decorate_token(found.kind, found.token) if output else found.token
    elif values["field"]:
        value = _field(to_plain(found.claims), values["field"])
        text = (
            value if isinstance(value, str) and not workspace.screen.as_json else json.dumps(value, indent=1)
        )
    elif workspace.screen.as_json or output:
        text = json.dumps(to_plain(found.claims), indent=1, sort_keys=True, ensure_ascii=False)
    else:
        from issuer.cli.facts import draw

        draw(workspace.screen, found, workspace.now)
        return
    if output:
        workspace.screen.say(f"wrote {write_output(output, text.rstrip() + chr(10))}")
    else:
        workspace.screen.text(text)


def _field(value: Any, path: str) -> Any:
    """One value by its path: dots between names, numbers for places in a list.

    Raises:
        NotFound: the claims have no such member.
    """
    for step in path.replace("[", ".").replace("]", "").split("."):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            raise NotFound(f"the claims have no {path!r}", at="--field", hint="--json shows them all")
    return value
