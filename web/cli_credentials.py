"""`accredit generate api-key|password-hash`: what goes into a callout's directories."""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec

from issuer.cli.generate import output_option, put
from issuer.cli.options import verb
from issuer.cli.output import is_terminal
from issuer.cli.workspace import Workspace
from issuer.errors import PeerError
from issuer.grants import Kind


class NoPassword(PeerError):
    """Nothing to hash."""

    code = "password.none"


@verb()
@click.option("-d", "--directory", required=True, help="the directory of API keys it is for")
@click.option("-s", "--subject", default="", help="whose it is; several keys of one subject are one identity")
@click.option("-n", "--name", default="", help="for people to read")
@click.option("-g", "--group", "groups", multiple=True, help="a group its owner is in; repeat for several")
@click.option("--device", is_flag=True, help="its owner is a device, not a service")
@click.option("--network", "networks", multiple=True, metavar="CIDR", help="where it may come from")
@click.option("--expiry", metavar="TIME", help="valid until: 2026-12-31, or 4h 3d 2w 1M 1y from now")
@output_option
def api_key(workspace: Workspace, **values: Any) -> None:
    """A new API key, and the entry for its directory in callout.yaml.

    The key itself is shown once, or written to a file with -o, and kept nowhere.
    """
    from callout.directories.keys import generate
    from issuer.cli.quantities import moment

    text, stored = generate(
        values["directory"],
        now=workspace.now,
        subject=values["subject"],
        name=values["name"],
        kind=Kind.DEVICE if values["device"] else Kind.SERVICE,
        groups=values["groups"],
        networks=values["networks"],
        expires_at=moment(values["expiry"], workspace.now, at="--expiry") if values["expiry"] else None,
    )
    entry = {name: value for name, value in msgspec.to_builtins(stored).items() if value}
    path = put(workspace, text, values["output_file"], force=values["force"])
    workspace.screen.hint(f"under entries: of directory {values['directory']}:")
    workspace.screen.hint("- " + msgspec.json.encode(entry).decode())
    workspace.finish({"entry": entry} | ({"path": path} if path else {"key": text}))


@verb()
def password_hash(workspace: Workspace) -> None:
    """The hash of a password, for an entry of a directory of passwords.

    The password is asked for, or read from standard input: never an argument.
    """
    from callout.directories.scrypt import hash_password

    if is_terminal(sys.stdin):
        import getpass

        password = getpass.getpass("password: ", stream=sys.stderr)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise NoPassword("no password was given", hint="type it, or pipe it in")
    made = hash_password(password)
    if not workspace.screen.as_json:
        workspace.screen.text(made + "\n")
    workspace.finish({"hash": made})
