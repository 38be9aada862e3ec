"""`accredit add user`: one with its creds, or as many as a list has lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from issuer.authority.issuing import Issued, IssueUsers, issue_many
from issuer.authority.users import AddUser, add_user
from issuer.cli.files import key_or_seed, lines
from issuer.cli.options import (
    account_option,
    limit_change,
    limit_options,
    name_argument,
    permission_change,
    permission_options,
    split,
    tag_options,
    time_options,
    validity,
    verb,
)
from issuer.cli.output import Progress
from issuer.cli.user_creds import keep_creds, make_folder
from issuer.cli.workspace import Workspace, file_name
from issuer.errors import Refused
from issuer.keys.creds import write_private
from issuer.keys.nkeys import Role


@verb()
@name_argument("user", required=False)
@account_option
@click.option("--role", metavar="NAME", help="permissions are this role's (also: -K ROLE)")
@click.option(
    "-k", "--public-key", metavar="KEY", help="its public key, or a file with its seed; else a new key"
)
@click.option("-o", "--output-file", metavar="FILE", help="write the creds there, not under the data folder")
@click.option("--no-creds", is_flag=True, help="write no creds file")
@click.option("--from-file", metavar="FILE", help="users to make, one name a line; - for stdin")
@click.option("--creds-dir", metavar="DIR", help="with --from-file: write every user's creds there")
@permission_options(removing=False)
@limit_options(removing=False)
@tag_options(removing=False)
@time_options
def user(workspace: Workspace, *, name: str | None, **values: Any) -> None:
    """A new user and its creds file, or with --from-file many."""
    account = workspace.account(values["account"])
    if values["from_file"]:
        if name:
            raise click.UsageError("a name and --from-file exclude each other")
        _many(workspace, account, values)
        return
    if not name:
        raise click.UsageError("which user? give its name")
    if values["creds_dir"]:
        raise click.UsageError("--creds-dir goes with --from-file; for one user there is -o")
    _one(workspace, account, name, values)


def _one(workspace: Workspace, account: str, name: str, values: dict[str, Any]) -> None:
    seed, public = key_or_seed(values["public_key"], Role.USER)
    output = Path(values["output_file"]).expanduser() if values["output_file"] else None
    if output is not None and output.exists():
        # Found out before anything is signed.
        raise Refused("the file exists already", at=str(output), hint="choose another name")
    act = AddUser(
        name,
        account,
        operator=workspace.operator,
        role=values["role"],
        seed=seed,
        public_key=public,
        permissions=permission_change(values),
        limits=limit_change(values),
        tags=split(values["tags"]),
        validity=validity(values, workspace.now),
    )
    outcome = workspace.perform(add_user, act)
    path: Path | None = None
    if public is None and not values["no_creds"]:
        path = keep_creds(workspace, workspace.operator, account, outcome.name, path=output)
    workspace.show("added", "user", outcome, creds=str(path) if path else None)
    if path is not None:
        workspace.screen.say(f"creds {path}")


def _many(workspace: Workspace, account: str, values: dict[str, Any]) -> None:
    if permission_change(values) or limit_change(values) or values["public_key"]:
        raise click.UsageError("users of a list get their permissions from a role: --role NAME")
    folder = Path(values["creds_dir"]).expanduser() if values["creds_dir"] else None
    if folder is not None:
        make_folder(folder)
    act = IssueUsers(
        account,
        (),
        operator=workspace.operator,
        role=values["role"] or workspace.signer,
        tags=split(values["tags"]),
        validity=validity(values, workspace.now),
        with_creds=folder is not None,
    )
    total = None if values["from_file"] == "-" else sum(1 for _ in lines(values["from_file"]))
    screen = workspace.screen
    with screen.progress("issuing", total) as progress:
        made = _kept(workspace, act, values["from_file"], folder, progress)
        if screen.as_json:
            screen.stream({"name": one.name, "public_key": one.public, "creds": path} for one, path in made)
            return
        count = sum(1 for _ in made)
    screen.say(f"added {count} users to account {account}" + (f", creds in {folder}" if folder else ""))


def _kept(
    workspace: Workspace, act: IssueUsers, source: str, folder: Path | None, progress: Progress
) -> Iterator[tuple[Issued, str | None]]:
    issued = issue_many(
        workspace.authority,
        act,
        lines(source),
        workspace.actor,
        reason=workspace.reason,
        progress=progress.at,
    )
    for one in issued:
        path = None
        if folder is not None:
            path = folder / f"{file_name(one.name)}.creds"
            write_private(path, one.creds)
        yield one, str(path) if path else None
