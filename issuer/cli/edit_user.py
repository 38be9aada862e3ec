"""`accredit edit user|signing-key`."""

from __future__ import annotations

from typing import Any

import click

from issuer.authority.inspecting import Named, describe_user
from issuer.authority.roles import EditRole, edit_role
from issuer.authority.users import EditUser, edit_user
from issuer.cli.options import (
    account_option,
    limit_change,
    limit_options,
    name_argument,
    permission_change,
    permission_options,
    tag_change,
    tag_options,
    time_options,
    validity,
    verb,
)
from issuer.cli.user_creds import keep_creds, kept_path
from issuer.cli.workspace import Workspace


@verb()
@name_argument("user")
@account_option
@click.option("--reissue", is_flag=True, help="a new token even if nothing changes")
@click.option("--no-creds", is_flag=True, help="do not renew the creds file under the data folder")
@permission_options()
@limit_options()
@tag_options()
@time_options
def user(workspace: Workspace, *, name: str, account: str | None, **values: Any) -> None:
    """Change a user. It has the new token when it connects with the new creds."""
    owner = workspace.account(account)
    act = EditUser(
        name,
        owner,
        operator=workspace.operator,
        permissions=permission_change(values),
        limits=limit_change(values),
        tags=tag_change(values),
        validity=validity(values, workspace.now),
        reissue=values["reissue"],
    )
    outcome = workspace.perform(edit_user, act)
    path = None
    if outcome.changed and not values["no_creds"]:
        found = workspace.ask(describe_user, Named(workspace.operator, owner, name))
        kept = kept_path(workspace, workspace.operator, owner, found.name)
        if kept.exists():
            path = str(keep_creds(workspace, workspace.operator, owner, found.name))
    workspace.show("changed", "user", outcome, creds=path)
    if path:
        workspace.screen.say(f"creds {path}")


@verb()
@account_option
@click.option("--sk", "key", metavar="KEY", help="the signing key: a public key, or generate")
@click.option("--role", metavar="NAME", help="the role's name")
@click.option("--description", metavar="TEXT", help="what it is for")
@permission_options()
@limit_options()
def signing_key(workspace: Workspace, *, account: str | None, **values: Any) -> None:
    """Make or change a role: a signing key whose users all have these permissions.

    In subjects, {{name()}}, {{tag(x)}}, {{account-name()}} and the like stand for the user's own.
    """
    if not values["key"] and not values["role"]:
        raise click.UsageError("which role? give --role, or its key with --sk")
    act = EditRole(
        workspace.account(account),
        role=values["role"],
        key=values["key"],
        operator=workspace.operator,
        description=values["description"],
        permissions=permission_change(values),
        limits=limit_change(values),
    )
    outcome = workspace.perform(edit_role, act)
    workspace.show("changed", "account", outcome, role=values["role"])
    if outcome.changed:
        workspace.remind_of_push(outcome.name)
