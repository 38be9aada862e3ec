"""`accredit generate creds|activation|nkey`."""

from __future__ import annotations

from typing import Any, Final

import click

from issuer.authority.keyholding import TakeSeeds, take_seeds
from issuer.authority.sharing import GenerateActivation, generate_activation
from issuer.authority.users import GenerateCreds, generate_creds
from issuer.cli.files import write_output
from issuer.cli.options import account_option, name_argument, time_options, validity, verb
from issuer.cli.workspace import Workspace
from issuer.keys.creds import decorate_token
from issuer.keys.nkeys import Role, Seed

STDOUT: Final = ("--", "-", None)


def output_option(function: Any) -> Any:
    option = click.option("-o", "--output-file", metavar="FILE", help="a new file, 0600; without it stdout")
    force = click.option("-F", "--force", is_flag=True, help="over a file that exists")
    return option(force(function))


def put(workspace: Workspace, text: str, name: str | None, *, force: bool) -> str | None:
    """Text to a file of the user's alone, or to stdout; the path, if it is a file."""
    if name in STDOUT:
        if not workspace.screen.as_json:
            workspace.screen.text(text)
        return None
    path = write_output(str(name), text, force=force)
    workspace.screen.say(f"wrote {path}")
    return str(path)


@verb()
@name_argument("user")
@account_option
@output_option
def creds(workspace: Workspace, *, name: str, account: str | None, **values: Any) -> None:
    """The creds file of a user: its token and seed. That it was given out is an event."""
    act = GenerateCreds(name, workspace.account(account), workspace.operator)
    made = workspace.perform(generate_creds, act)
    path = put(workspace, made.text, values["output_file"], force=values["force"])
    document = {"user": made.user, "public_key": made.public, "path": path}
    workspace.finish(document if path else document | {"creds": made.text})


@verb()
@account_option
@click.option("-s", "--subject", required=True, metavar="SUBJECT", help="of the private export")
@click.option(
    "-t", "--target-account", "target", required=True, metavar="NAME", help="who may import: name or key"
)
@click.option("-r", "--service", is_flag=True, help="of a service; else of a stream")
@click.option("--push", "push", is_flag=True, hidden=True)
@time_options
@output_option
def activation(workspace: Workspace, *, account: str | None, **values: Any) -> None:
    """Leave for one account to import a private export."""
    act = GenerateActivation(
        workspace.account(account),
        values["subject"],
        values["target"],
        values["service"],
        workspace.operator,
        validity(values, workspace.now),
    )
    outcome = workspace.perform(generate_activation, act)
    text = decorate_token("activation", outcome.token or "")
    path = put(workspace, text, values["output_file"], force=values["force"])
    document = {"subject": outcome.name, "target": outcome.public, "path": path, "token": outcome.token}
    workspace.finish(document)
    for note in outcome.notes:
        workspace.screen.note(note)


@verb()
@click.option("-o", "--operator-key", "operator_key", is_flag=True, help="an operator key")
@click.option("-a", "--account", is_flag=True, help="an account key")
@click.option("-u", "--user", is_flag=True, help="a user key")
@click.option("-x", "--curve", is_flag=True, help="a curve key")
@click.option("-S", "--store", is_flag=True, help="take the seeds into custody instead of showing them")
def nkey(workspace: Workspace, *, store: bool, **values: Any) -> None:
    """New key pairs: seed, then public key. Needs no store unless -S."""
    flags = {"operator_key": Role.OPERATOR, "account": Role.ACCOUNT, "user": Role.USER, "curve": Role.CURVE}
    roles = [role for flag, role in flags.items() if values[flag]]
    if not roles:
        raise click.UsageError("which kind? -o, -a, -u or -x")
    seeds = [Seed.generate(role) for role in roles]
    if store:
        workspace.perform(take_seeds, TakeSeeds(seeds, "generated"))
    if workspace.screen.as_json:
        workspace.screen.document([
            {"kind": str(seed.role), "public_key": seed.public, "seed": None if store else seed.reveal()}
            for seed in seeds
        ])  # fmt: skip
        return
    for seed in seeds:
        workspace.screen.text(seed.public if store else f"{seed.reveal()}\n{seed.public}")
