"""`accredit list operators|accounts|users|roles`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click

from issuer.authority.inspecting import Named, UserPage, account_rows, operator_rows, role_rows, user_rows
from issuer.cli.options import account_option, verb
from issuer.cli.quantities import iso
from issuer.cli.workspace import Workspace

_PAGE: Final = 1000


@verb()
def operators(workspace: Workspace) -> None:
    """List operators."""
    rows = workspace.ask(operator_rows, None)
    if workspace.screen.as_json:
        workspace.screen.document(rows)
        return
    selected = workspace.operator
    workspace.screen.table(
        ("", "Name", "Public key", "Accounts", "Expires"),
        [
            (
                "*" if row["name"] == selected else "",
                row["name"],
                row["public_key"],
                row["accounts"],
                _until(row),
            )
            for row in rows
        ],
    )


@verb()
@click.option("-o", "operator_named", metavar="NAME", help="of this operator")
def accounts(workspace: Workspace, *, operator_named: str | None) -> None:
    """List the accounts of an operator."""
    rows = workspace.ask(account_rows, operator_named or workspace.operator)
    if workspace.screen.as_json:
        workspace.screen.document(rows)
        return
    selected = workspace.settings.account
    workspace.screen.table(
        ("", "Name", "Public key", "Users", "Expires", ""),
        [
            ("*" if row["name"] == selected else "", row["name"], row["public_key"], row["users"],
             _until(row), "system" if row["system"] else "")
            for row in rows
        ],
    )  # fmt: skip


@verb()
@click.option("-o", "operator_named", metavar="NAME", help="of this operator")
@account_option
@click.option("--limit", type=click.IntRange(1), metavar="N", help="so many at most")
@click.option("--after", default="", metavar="NAME", help="those whose name comes after")
def users(workspace: Workspace, *, account: str | None, operator_named: str | None, **values: Any) -> None:
    """List the users of an account, in order of their names."""
    named = workspace.account(account)
    asked = operator_named or workspace.operator
    rows = _pages(workspace, UserPage(named, asked, values["after"]), values["limit"])
    if workspace.screen.as_json:
        workspace.screen.stream(rows)
        return
    workspace.screen.table(
        ("Name", "Public key", "Role", "Expires"),
        [(row["name"], row["public_key"], row["role"], _until(row)) for row in rows],
    )


@verb()
@account_option
def roles(workspace: Workspace, *, account: str | None) -> None:
    """List the roles of an account: its scoped signing keys."""
    rows = workspace.ask(role_rows, Named(workspace.operator, workspace.account(account)))
    if workspace.screen.as_json:
        workspace.screen.document(rows)
        return
    workspace.screen.table(
        ("Role", "Public key", "Users", "Seed here", "Description"),
        [(row["role"], row["public_key"], row["users"], row["stored"], row["description"]) for row in rows],
    )


def _pages(workspace: Workspace, asked: UserPage, limit: int | None) -> Iterator[dict[str, Any]]:
    """Users a page at a time: an account may have a million."""
    after, left = asked.after, limit
    while left is None or left > 0:
        size = _PAGE if left is None else min(_PAGE, left)
        rows = workspace.ask(user_rows, UserPage(asked.account, asked.operator, after, size))
        yield from rows
        if len(rows) < size:
            return
        after = rows[-1]["name"]
        left = None if left is None else left - size


def _until(row: dict[str, Any]) -> str:
    return iso(row["expires_at"]) if row["expires_at"] else "never"
