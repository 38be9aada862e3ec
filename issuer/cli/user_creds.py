"""Creds files: where a user's are kept, and writing them."""

from __future__ import annotations

from pathlib import Path

from issuer.authority.inspecting import Named, describe_account, describe_operator
from issuer.authority.users import GenerateCreds, generate_creds
from issuer.cli.workspace import Workspace, creds_path
from issuer.errors import Unavailable
from issuer.keys.creds import write_private


class FolderError(Unavailable):
    """A folder for creds cannot be made."""

    code = "file.folder"


def keep_creds(
    workspace: Workspace, operator: str | None, account: str, user: str, *, path: Path | None = None
) -> Path:
    """Write a user's creds under the data folder, or to `path`; the folder's own file may be replaced."""
    target = path or kept_path(workspace, operator, account, user)
    creds = workspace.perform(generate_creds, GenerateCreds(user, account, operator))
    make_folder(target.parent)
    # Under our own folder the file is a copy of what the store says; elsewhere it is somebody's file.
    write_private(target, creds.text, force=path is None)
    return target


def kept_path(workspace: Workspace, operator: str | None, account: str, user: str) -> Path:
    """Where the creds of a user are kept, by the names the store has."""
    asked = Named(operator, account)
    owner = workspace.ask(describe_operator, asked)
    return creds_path(workspace.settings, owner.name, workspace.ask(describe_account, asked).name, user)


def make_folder(folder: Path) -> None:
    """Make a folder and what is missing above it, for its owner alone."""
    try:
        for place in (*reversed(folder.parents), folder):
            if not place.is_dir():
                place.mkdir(exist_ok=True, mode=0o700)
    except OSError as fault:
        raise FolderError(f"cannot make the folder: {fault.strerror}", at=str(folder)) from None
