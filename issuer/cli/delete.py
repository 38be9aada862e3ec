"""`accredit delete account|user|signing-key`."""

from __future__ import annotations

import contextlib
import shutil
from typing import Any

import click

from issuer.authority.accounts import DeleteAccount, delete_account
from issuer.authority.roles import RemoveRole, remove_role
from issuer.authority.users import DeleteUser, delete_user
from issuer.cli.options import account_option, force_option, split, verb
from issuer.cli.output import outcome_plain
from issuer.cli.user_creds import kept_path
from issuer.cli.workspace import Workspace


@verb()
@click.argument("names", metavar="NAMES", nargs=-1)
@click.option("-n", "--name", "named", multiple=True, metavar="NAMES", help="users to delete")
@account_option
@force_option
@click.option("-R", "--revoke/--no-revoke", default=True, help="cut the user off too (the default)")
@click.option("-D", "--rm-nkey/--keep-nkey", "rm_key", default=True, help="forget its seed too (the default)")
@click.option(
    "-C", "--rm-creds/--keep-creds", "rm_creds", default=True, help="remove its creds file too (the default)"
)
def user(workspace: Workspace, *, account: str | None, **values: Any) -> None:
    """Delete users. Their tokens are revoked: push to cut connections off."""
    names = (*split(values["named"]), *values["names"])
    if not names:
        raise click.UsageError("which users? give their names")
    owner = workspace.account(account)
    workspace.screen.confirm(f"delete {', '.join(names)} of account {owner}?", forced=values["force"])
    documents = []
    for name in names:
        kept = kept_path(workspace, workspace.operator, owner, name)
        act = DeleteUser(
            name, owner, operator=workspace.operator, revoke=values["revoke"], keep_key=not values["rm_key"]
        )
        outcome = workspace.perform(delete_user, act)
        if values["rm_creds"]:
            with contextlib.suppress(OSError):
                kept.unlink(missing_ok=True)
        if workspace.screen.as_json:
            documents.append(outcome_plain("deleted", "user", outcome, {"revoked": values["revoke"]}))
        else:
            workspace.show("deleted", "user", outcome)
    workspace.finish(documents)
    if values["revoke"]:
        workspace.remind_of_push(owner)


@verb()
@click.argument("name_argument", metavar="NAME", required=False)
@click.option("-n", "--name", metavar="NAME", help="account to delete")
@force_option
@click.option("-R", "--revoke/--no-revoke", default=True, hidden=True)
@click.option(
    "-D",
    "--rm-nkey/--keep-nkey",
    "rm_key",
    default=False,
    help="forget the seeds of the account and its users",
)
@click.option(
    "-C",
    "--rm-creds/--keep-creds",
    "rm_creds",
    default=True,
    help="remove its users' creds files (the default)",
)
def account(workspace: Workspace, *, name: str | None, name_argument: str | None, **values: Any) -> None:
    """Delete an account here and, with the next push, on every server."""
    name = name or name_argument
    if not name:
        raise click.UsageError("which account? give its name")
    workspace.screen.confirm(f"delete account {name} and all its users?", forced=values["force"])
    folder = kept_path(workspace, workspace.operator, name, "any").parent
    act = DeleteAccount(name, workspace.operator, keep_keys=not values["rm_key"])
    outcome = workspace.perform(delete_account, act)
    if values["rm_creds"] and folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)
    if workspace.settings.account == outcome.name and workspace.settings.source("account") == "select":
        workspace.select()
    workspace.show("deleted", "account", outcome)
    workspace.screen.hint("servers lose it by: accredit push -A")


@verb()
@click.argument("role_argument", metavar="ROLE", required=False)
@click.option("--role", metavar="NAME", help="the role, or its key")
@click.option("--sk", "key", metavar="KEY", help="its public key")
@account_option
@force_option
def signing_key(workspace: Workspace, *, account: str | None, **values: Any) -> None:
    """Take a role and its key away; its users' connections are closed."""
    role = values["role"] or values["key"] or values["role_argument"]
    if not role:
        raise click.UsageError("which role? give its name")
    owner = workspace.account(account)
    workspace.screen.confirm(f"delete role {role} of account {owner}?", forced=values["force"])
    act = RemoveRole(owner, role, operator=workspace.operator, even_if_used=values["force"])
    outcome = workspace.perform(remove_role, act)
    workspace.show("changed", "account", outcome, role=role)
    workspace.remind_of_push(outcome.name)
