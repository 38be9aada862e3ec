"""`accredit import nsc|account|user`: what was made elsewhere, taken in as it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from issuer.authority.adoption import (
    AdoptAccount,
    Adoption,
    AdoptStore,
    AdoptUser,
    adopt_account,
    adopt_store,
    adopt_user,
)
from issuer.claims.operator import OperatorClaims
from issuer.cli.files import key_or_seed, read_text
from issuer.cli.options import account_option, verb
from issuer.cli.workspace import Workspace
from issuer.errors import NotFound
from issuer.interop.nsc import FoundOperator, Inventory, read_store
from issuer.interop.nsc_place import locate
from issuer.keys.creds import CredsMissingError, parse_creds, parse_decorated_token
from issuer.keys.nkeys import Role, Seed
from issuer.tokens.envelope import decode


@verb()
@click.argument("folder", metavar="[DIR]", required=False)
@click.option("-d", "--dir", "named", metavar="DIR", help="the store: its folder, or one operator's in it")
@click.option("--keys-dir", metavar="DIR", help="the keystore, if it is not beside the store")
@click.option("--only", metavar="NAME", help="this operator of the store only")
@click.option("--overwrite", is_flag=True, help="its tokens win over newer ones here")
@click.option("--skip-clashes", is_flag=True, help="leave out what collides with what is here")
def import_nsc(workspace: Workspace, *, folder: str | None, named: str | None, **values: Any) -> None:
    """Take in an nsc store: operators, accounts, users, keys; every token byte for byte."""
    source = folder or named
    if not source:
        raise click.UsageError("which store? name its folder, ~/.local/share/nats/nsc as a rule")
    keys_dir = Path(values["keys_dir"]) if values["keys_dir"] else None
    place = locate(Path(source), keys=keys_dir, environment=os.environ)
    inventory = read_store(place.stores, place.keys, operator=values["only"] or place.operator)
    workspace.create()
    total = sum(
        1 + len(one.accounts) + sum(len(a.users) for a in one.accounts) for one in inventory.operators
    )
    with workspace.screen.progress("taking in", total) as progress:
        act = AdoptStore(
            inventory,
            source=str(place.stores),
            overwrite=values["overwrite"],
            skip_clashes=values["skip_clashes"],
            progress=progress.at,
        )
        adoption = workspace.perform(adopt_store, act)
    if len(inventory.operators) == 1 and workspace.operator is None:
        workspace.select(operator=inventory.operators[0].claims.name)
    _report(workspace, adoption)
    if place.keys is None:
        workspace.screen.note("no keystore was found: seeds come in with --keys-dir, or accredit import keys")


def adopt_operator(workspace: Workspace, source: str, *, overwrite: bool) -> None:
    """`accredit add operator -u FILE`: an operator whose key others keep."""
    read = decode(parse_decorated_token(read_text(source)), OperatorClaims)
    workspace.create()
    inventory = Inventory(operators=(FoundOperator(source, read.token, read.claims),))
    act = AdoptStore(inventory, source=source, overwrite=overwrite)
    adoption = workspace.perform(adopt_store, act)
    workspace.select(operator=read.claims.name or read.claims.sub)
    _report(workspace, adoption)


@verb()
@click.argument("file_argument", metavar="FILE", required=False)
@click.option("-j", "--file", metavar="FILE", help="the account's token; - for stdin")
@click.option("-k", "--seed-file", metavar="FILE", help="its seed")
@click.option("--overwrite", is_flag=True, help="even over a newer one here")
@click.option("--force", is_flag=True, help="sign one of another operator with ours")
@click.option("--skip", is_flag=True, hidden=True)
def import_account(
    workspace: Workspace, *, file: str | None, file_argument: str | None, **values: Any
) -> None:
    """Take in an account token."""
    source = file or file_argument
    if not source:
        raise click.UsageError("which file? name it, or - for stdin")
    act = AdoptAccount(
        parse_decorated_token(read_text(source)),
        operator=workspace.operator,
        seed=_seed(values["seed_file"], Role.ACCOUNT),
        overwrite=values["overwrite"],
        sign_anew=values["force"],
        source=source,
    )
    outcome = workspace.perform(adopt_account, act)
    workspace.show("imported", "account", outcome)


@verb()
@click.argument("file_argument", metavar="FILE", required=False)
@click.option("-f", "--file", metavar="FILE", help="the user's token or creds file; - for stdin")
@click.option("-k", "--seed-file", metavar="FILE", help="its seed, if the file has none")
@click.option("--overwrite", is_flag=True, help="even over a newer one here")
@click.option("--skip", is_flag=True, hidden=True)
@account_option
def import_user(
    workspace: Workspace, *, file: str | None, file_argument: str | None, account: str | None, **values: Any
) -> None:
    """Take in a user: its token alone, or a creds file with its seed. The token says whose it is."""
    source = file or file_argument
    if not source:
        raise click.UsageError("which file? name it, or - for stdin")
    if account:
        workspace.screen.note("the account is the one whose key signed the user: -a is ignored")
    token, seed = _creds(read_text(source))
    act = AdoptUser(
        token,
        operator=workspace.operator,
        seed=seed or _seed(values["seed_file"], Role.USER),
        overwrite=values["overwrite"],
        source=source,
    )
    outcome = workspace.perform(adopt_user, act)
    workspace.show("imported", "user", outcome)


def _creds(text: str) -> tuple[str, Seed | None]:
    try:
        return parse_creds(text)
    except CredsMissingError:
        return parse_decorated_token(text), None


def _seed(name: str | None, role: Role) -> Seed | None:
    seed, other = key_or_seed(name, role)
    if other is not None:
        raise NotFound("there is no such file", at=other)
    return seed


def _report(workspace: Workspace, adoption: Adoption) -> None:
    screen = workspace.screen
    workspace.finish({
        "changed": adoption.changed,
        "keys": adoption.keys,
        "taken": [
            {"kind": one.kind, "name": one.name, "public_key": one.public, "state": one.state}
            for one in adoption.adopted
        ],
        "left_out": [{"path": one.path, "reason": one.reason} for one in adoption.left_out],
    })  # fmt: skip
    for one in adoption.left_out:
        screen.warn(f"left out {one.path}: {one.reason}")
    for kind in ("operator", "account", "user"):
        fresh, newer = adoption.count(kind, "new"), adoption.count(kind, "updated")
        older = adoption.count(kind, "older")
        words = f"{fresh} {kind}s taken in" + (f", {newer} brought up to date" if newer else "")
        screen.say(words + (f", {older} older than here and not taken" if older else ""))
    screen.say(f"{adoption.keys} keys taken into custody")
