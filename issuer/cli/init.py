"""`accredit init`: from nothing to a hierarchy somebody can connect with."""

from __future__ import annotations

import re
from typing import Any

import click

from issuer.authority.founding import Found, found
from issuer.authority.operators import SYSTEM_ACCOUNT, SYSTEM_USER
from issuer.cli.options import split, verb
from issuer.cli.user_creds import keep_creds
from issuer.cli.workspace import Workspace, choose_passphrase

_DEFAULT_NAME = "accredit"


@verb()
@click.option("-n", "--name", metavar="NAME", help="operator name; the account and user get it too")
@click.argument("name_argument", metavar="NAME", required=False)
@click.option("-d", "--dir", "directory", metavar="DIR", help="as --data-dir")
@click.option(
    "-u", "--url", "urls", multiple=True, metavar="URLS", help="where clients reach the servers: nats://…"
)
@click.option("-o", "--remote-operator", hidden=True)
@click.option("--account", metavar="NAME", help="name of the first account")
@click.option("--user", metavar="NAME", help="name of the first user")
@click.option(
    "--generate-signing-key", is_flag=True, help="let a signing key sign accounts, not the identity"
)
@click.option("--passphrase", is_flag=True, help="seal seeds with a passphrase instead of a key file")
@click.option("--empty", is_flag=True, help="make the store and nothing in it")
def init(workspace: Workspace, **values: Any) -> None:
    """Found an operator with its system account, a first account and a first user."""
    if values["remote_operator"]:
        raise click.UsageError(
            "operators kept by others come in with: accredit import nsc, or add operator -u"
        )
    if values["directory"]:
        workspace.use(data_dir=values["directory"])
    workspace.create(choose_passphrase if values["passphrase"] else None)
    settings = workspace.settings
    workspace.screen.say(f"store {workspace.database.url}")
    if values["empty"]:
        workspace.finish({"data_dir": str(settings.data_dir), "database": workspace.database.url})
        return
    name = values["name"] or values["name_argument"] or _DEFAULT_NAME
    account, user = values["account"] or name, values["user"] or _user_name(values["account"] or name)
    made = workspace.perform(
        found,
        Found(name, account, user, split(values["urls"]), signing_key=values["generate_signing_key"]),
    )
    workspace.select(operator=name, account=account)
    paths = {
        "system": str(keep_creds(workspace, name, SYSTEM_ACCOUNT, SYSTEM_USER)),
        "user": str(keep_creds(workspace, name, account, user)),
    }
    screen = workspace.screen
    for kind, outcome in (("operator", made.operator), ("account", made.account), ("user", made.user)):
        screen.say(f"added {kind} {outcome.name} {outcome.public}")
    screen.say(f"creds {paths['user']}")
    screen.hint(
        "a server's configuration: accredit generate config --nats-resolver; or all in one: accredit up"
    )
    workspace.finish({
        "data_dir": str(settings.data_dir),
        "database": workspace.database.url,
        "operator": {"name": made.operator.name, "public_key": made.operator.public},
        "account": {"name": made.account.name, "public_key": made.account.public},
        "user": {"name": made.user.name, "public_key": made.user.public},
        "creds": paths,
    })  # fmt: skip


def _user_name(name: str) -> str:
    """A user name that is one plain token, so that templates may use it."""
    return re.sub(r"[.*>\s]+", "-", name).strip("-") or "user"
