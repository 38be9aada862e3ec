"""`accredit add operator|account`."""

from __future__ import annotations

from typing import Any

import click

from issuer.authority.accounts import AddAccount, add_account
from issuer.authority.operators import SYSTEM_ACCOUNT, SYSTEM_USER, AddOperator, add_operator
from issuer.claims.operator import OperatorClaims
from issuer.cli.files import key_or_seed, read_text
from issuer.cli.options import (
    name_argument,
    permission_change,
    permission_options,
    split,
    tag_options,
    time_options,
    validity,
    verb,
)
from issuer.cli.user_creds import keep_creds
from issuer.cli.workspace import Workspace
from issuer.keys.creds import parse_decorated_token
from issuer.keys.nkeys import Role
from issuer.tokens.envelope import decode


@verb()
@name_argument("operator", required=False)
@click.option("-u", "--url", "source", metavar="FILE", help="take in the token of an operator others keep")
@click.option(
    "--generate-signing-key", is_flag=True, help="let a signing key sign accounts, not the identity"
)
@click.option(
    "-s", "--sys", "system", is_flag=True, help=f"also account {SYSTEM_ACCOUNT} with a user and its creds"
)
@click.option("-k", "--seed-file", metavar="FILE", help="the operator's seed, if it exists")
@click.option("--force", is_flag=True, hidden=True)
@tag_options(removing=False)
@time_options
def operator(workspace: Workspace, *, name: str | None, **values: Any) -> None:
    """A new operator, which becomes the selected one."""
    if values["source"]:
        _adopt(workspace, values["source"], overwrite=values["force"])
        return
    if not name:
        raise click.UsageError("which operator? give its name")
    workspace.create()
    seed, public = key_or_seed(values["seed_file"], Role.OPERATOR)
    if public is not None:
        raise click.UsageError(
            f"no seed file {public!r}; an operator known by its public key comes in with -u"
        )
    act = AddOperator(
        name,
        system=values["system"],
        signing_key=values["generate_signing_key"],
        seed=seed,
        tags=split(values["tags"]),
        validity=validity(values, workspace.now),
    )
    outcome = workspace.perform(add_operator, act)
    workspace.select(operator=outcome.name)
    more = {}
    if values["system"]:
        path = keep_creds(workspace, outcome.name, SYSTEM_ACCOUNT, SYSTEM_USER)
        workspace.screen.say(f"creds {path}")
        more["creds"] = str(path)
    workspace.show("added", "operator", outcome, **more)


def _adopt(workspace: Workspace, source: str, *, overwrite: bool) -> None:
    """Take in an operator whose key others keep."""
    from issuer.authority.adoption import AdoptStore, adopt_store
    from issuer.interop.nsc import FoundOperator, Inventory, named

    read = decode(parse_decorated_token(read_text(source)), OperatorClaims)
    workspace.create()
    inventory = Inventory(operators=(FoundOperator(source, read.token, read.claims),))
    adoption = workspace.perform(adopt_store, AdoptStore(inventory, source=source, overwrite=overwrite))
    workspace.select(operator=named(read.claims))
    for one in adoption.adopted:
        workspace.screen.say(f"took in {one.kind} {one.name} {one.public} ({one.state})")
    workspace.finish([
        {"kind": one.kind, "name": one.name, "public_key": one.public, "state": one.state}
        for one in adoption.adopted
    ])  # fmt: skip


@verb()
@name_argument("account")
@click.option(
    "-k", "--public-key", metavar="KEY", help="its public key, or a file with its seed; else a new key"
)
@permission_options(removing=False)
@tag_options(removing=False)
@time_options
def account(workspace: Workspace, *, name: str, **values: Any) -> None:
    """A new account, which becomes the selected one. Permissions are defaults of its users."""
    seed, public = key_or_seed(values["public_key"], Role.ACCOUNT)
    act = AddAccount(
        name,
        operator=workspace.operator,
        seed=seed,
        public_key=public,
        permissions=permission_change(values),
        tags=split(values["tags"]),
        validity=validity(values, workspace.now),
    )
    outcome = workspace.perform(add_account, act)
    workspace.select(account=outcome.name)
    workspace.show("added", "account", outcome)
    workspace.remind_of_push(outcome.name)
