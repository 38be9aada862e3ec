"""`accredit revoke`, `accredit revocations …`."""

from __future__ import annotations

from typing import Any, Final

import click

from issuer.authority import revocations
from issuer.authority.inspecting import Named, describe_account
from issuer.authority.revocations import Revocation
from issuer.claims.account import AccountClaims
from issuer.claims.fields import EVERYONE
from issuer.cli.options import account_option, force_option, verb
from issuer.cli.quantities import iso, stamp
from issuer.cli.workspace import Workspace
from issuer.errors import NotFound
from issuer.store.unit import Unit

_AT: Final = "revoke what was issued up to: unix seconds, RFC 3339, 0 for now"


def _user_options(function: Any) -> Any:
    for option in (
        click.option(
            "-u", "--user-public-key", "public_key", metavar="KEY", help="the user's public key, or * for all"
        ),
        click.option("-n", "--name", metavar="NAME", help="user name"),
        click.argument("name_argument", metavar="USER", required=False),
        account_option,
    ):
        function = option(function)
    return function


@verb()
@_user_options
@click.option("--at", metavar="TIME", help=_AT)
@force_option
def revoke(workspace: Workspace, **values: Any) -> None:
    """Cut a user off: by name, by public key, or everybody with '*'.

    The next push closes the user's connections on every server.
    """
    _revoke(workspace, values)


@verb()
@_user_options
@click.option("--at", metavar="TIME", help=_AT)
@force_option
def add_user(workspace: Workspace, **values: Any) -> None:
    """Cut a user off."""
    _revoke(workspace, values)


def _revoke(workspace: Workspace, values: dict[str, Any]) -> None:
    user, account = _user(values), workspace.account(values["account"])
    if user == EVERYONE:
        question = f"revoke every user of account {account}?"
        workspace.screen.confirm(question, forced=values["force"])
    now = workspace.now
    at = None if values["at"] in {None, "0"} else stamp(values["at"], now, at="--at")
    act = revocations.RevokeUser(user, account, workspace.operator, at)
    outcome = workspace.perform(revocations.revoke_user, act)
    workspace.show(
        "revoked", "account", outcome, words=f"revoked {user} in account {outcome.name}", user=user
    )
    if outcome.changed:
        workspace.remind_of_push(outcome.name)


@verb()
@_user_options
@force_option
def delete_user(workspace: Workspace, **values: Any) -> None:
    """Take a user off the list: its old tokens count again."""
    user, account = _user(values), workspace.account(values["account"])
    act = revocations.RestoreUser(user, account, workspace.operator)
    outcome = workspace.perform(revocations.restore_user, act)
    words = f"restored {user} in account {outcome.name}"
    workspace.show("restored", "account", outcome, words=words, user=user)
    workspace.remind_of_push(outcome.name)


@verb()
@account_option
def list_users(workspace: Workspace, *, account: str | None) -> None:
    """List the users cut off, and up to when."""
    asked = Named(workspace.operator, workspace.account(account))
    rows = workspace.ask(_revoked_users, asked)
    if workspace.screen.as_json:
        workspace.screen.document([
            {"name": row.name or None, "public_key": row.public, "at": row.at} for row in rows
        ])  # fmt: skip
        return
    _table(workspace, [(row.name, row.public, row.at) for row in rows])


def _activation_options(function: Any) -> Any:
    for option in (
        click.option("--service", is_flag=True, help="of a service; else of a stream"),
        click.option(
            "-t",
            "--target-account",
            "target",
            required=True,
            metavar="NAME",
            help="the importer, or * for all",
        ),
        click.option("-s", "--subject", required=True, metavar="SUBJECT", help="the export's subject"),
        account_option,
    ):
        function = option(function)
    return function


@verb()
@_activation_options
@click.option("--at", metavar="TIME", help=_AT)
@force_option
def add_activation(workspace: Workspace, *, account: str | None, force: bool, **values: Any) -> None:
    """Withdraw the leave to import a private export."""
    owner, at = workspace.account(account), values["at"]
    if values["target"] == EVERYONE:
        question = f"revoke every activation of {values['subject']} of account {owner}?"
        workspace.screen.confirm(question, forced=force)
    act = revocations.RevokeActivation(
        owner,
        values["subject"],
        values["target"],
        values["service"],
        workspace.operator,
        None if at in {None, "0"} else stamp(at, workspace.now, at="--at"),
    )
    outcome = workspace.perform(revocations.revoke_activation, act)
    workspace.show(
        "revoked activation", "account", outcome, subject=values["subject"], target=values["target"]
    )
    workspace.remind_of_push(outcome.name)


@verb()
@_activation_options
def delete_activation(workspace: Workspace, *, account: str | None, **values: Any) -> None:
    """Let the activations of an importer count again."""
    act = revocations.RestoreActivation(
        workspace.account(account), values["subject"], values["target"], values["service"], workspace.operator
    )
    outcome = workspace.perform(revocations.restore_activation, act)
    workspace.show(
        "restored activation", "account", outcome, subject=values["subject"], target=values["target"]
    )
    workspace.remind_of_push(outcome.name)


@verb()
@account_option
@click.option("-s", "--subject", metavar="SUBJECT", help="of this export only")
@click.option("--service", is_flag=True, default=None, help="of services only")
def list_activations(workspace: Workspace, *, account: str | None, **values: Any) -> None:
    """List the importers whose activations are withdrawn."""
    found = workspace.ask(describe_account, Named(workspace.operator, workspace.account(account)))
    claims: AccountClaims = found.claims
    rows = [
        (export, key, at)
        for export in claims.nats.exports
        if values["subject"] in {None, export.subject} and (not values["service"] or export.type == "service")
        for key, at in sorted(export.revocations.items())
    ]
    if values["subject"] and not any(one.subject == values["subject"] for one in claims.nats.exports):
        raise NotFound(f"account {found.name!r} does not export {values['subject']!r}", at="--subject")
    if workspace.screen.as_json:
        workspace.screen.document([
            {"subject": export.subject, "kind": export.type, "name": found.names.get(key),
             "public_key": key, "at": at}
            for export, key, at in rows
        ])  # fmt: skip
        return
    _table(
        workspace,
        [
            (f"{export.type} {export.subject}: {found.names.get(key, '')}", key, at)
            for export, key, at in rows
        ],
    )


@verb()
@account_option
def compact(workspace: Workspace, *, account: str | None) -> None:
    """Drop entries that '*' covers, and those of users whose every token has expired."""
    act = revocations.CompactRevocations(workspace.account(account), workspace.operator)
    outcome = workspace.perform(revocations.compact_revocations, act)
    workspace.show("compacted revocations of", "account", outcome)
    if outcome.changed:
        workspace.remind_of_push(outcome.name)


def _revoked_users(unit: Unit, asked: Named) -> list[Revocation]:
    claims: AccountClaims = describe_account(unit, asked).claims
    return revocations.named_revocations(unit, claims.nats.revocations)


def _table(workspace: Workspace, rows: list[tuple[str, str, int]]) -> None:
    workspace.screen.table(
        ("Name", "Public key", "Issued up to"),
        [(name, "* (all)" if key == EVERYONE else key, iso(at)) for name, key, at in rows],
    )


def _user(values: dict[str, Any]) -> str:
    user = values["public_key"] or values["name"] or values["name_argument"]
    if not user:
        raise click.UsageError("which user? give a name, -u KEY, or -u '*' for all")
    return str(user)
