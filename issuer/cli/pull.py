"""`accredit pull`: what the servers have, compared with what is signed. The store is not changed.

The store is the truth here, unlike nsc's: an older token on a server is a fault of the server, to
be pushed over, never a reason to forget what was signed. What the store lacks can be written out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from issuer.authority.inspecting import Named, describe_operator
from issuer.claims.account import AccountClaims
from issuer.cli.main import FINDINGS, OK
from issuer.cli.options import account_option, verb
from issuer.cli.servers import Connect, connector, operator_and_urls, server_options, take_server_flags
from issuer.cli.user_creds import make_folder
from issuer.cli.workspace import Workspace
from issuer.delivery import fleet
from issuer.errors import PeerError
from issuer.keys.creds import write_private
from issuer.keys.nkeys import Role, is_public
from issuer.store import hierarchy
from issuer.store.unit import Unit
from issuer.tokens.envelope import decode


@dataclass(frozen=True, slots=True)
class Compared:
    """One account: whether the servers have what is signed."""

    name: str
    public: str
    state: str
    words: str = ""


@verb()
@account_option
@click.option("-A", "--all", "everything", is_flag=True, help="every account (the default)")
@click.option("-F", "--overwrite-newer", is_flag=True, hidden=True)
@click.option("-d", "--dir", "folder", metavar="DIR", help="write what the store lacks there, as PUBLIC.jwt")
@server_options
def pull(workspace: Workspace, *, account: str | None, folder: str | None, **values: Any) -> int:
    """Compare what the servers store with what is signed here. Exits with 7 when they differ."""
    return compare(workspace, values, account=account, folder=folder)


def compare(
    workspace: Workspace, values: dict[str, Any], *, account: str | None = None, folder: str | None = None
) -> int:
    take_server_flags(workspace, values)
    operator, urls = operator_and_urls(workspace)
    stored = asyncio.run(_fetch(connector(workspace, operator.name, urls)))
    known = workspace.ask(_signed, workspace.operator)
    found = [one for one in _compared(known, stored) if account in {None, one.name, one.public}]
    if folder is not None:
        target = Path(folder).expanduser()
        make_folder(target)
        for one in found:
            if one.state == "not-here" and is_public(one.public, Role.ACCOUNT):
                write_private(target / f"{one.public}.jwt", stored[one.public] + "\n", force=True)
    screen = workspace.screen
    if screen.as_json:
        screen.document([
            {"name": one.name or None, "public_key": one.public, "state": one.state, "words": one.words}
            for one in found
        ])  # fmt: skip
    else:
        screen.table(
            ("Account", "Public key", "On the servers", ""),
            [(one.name, one.public, one.state, one.words) for one in found],
        )
    if all(one.state == "same" for one in found):
        return OK
    screen.hint("accredit push -A brings the servers to what is signed")
    return FINDINGS


async def _fetch(connect: Connect) -> dict[str, str]:
    system = await connect()
    try:
        return await fleet.fetch_all(system)
    finally:
        await system.close()


def _signed(unit: Unit, operator: str | None) -> dict[str, tuple[str, str]]:
    """By public key: name and newest token."""
    owner = hierarchy.find_operator(unit, describe_operator(unit, Named(operator)).name)
    return {
        row.public: (row.name, hierarchy.head_token(unit, "account", row.id).token)
        for row in (hierarchy.accounts(unit, owner.id) if owner else ())
    }


def _compared(known: Mapping[str, tuple[str, str]], stored: Mapping[str, str]) -> list[Compared]:
    found = []
    for public, (name, token) in known.items():
        there = stored.get(public)
        if there is None:
            found.append(Compared(name, public, "missing"))
        elif there == token:
            found.append(Compared(name, public, "same"))
        else:
            found.append(Compared(name, public, *_difference(token, there)))
    foreign = "on the servers, but not an account of this operator"
    return [
        *found,
        *(Compared("", public, "not-here", foreign) for public in sorted(stored.keys() - known.keys())),
    ]


def _difference(token: str, there: str) -> tuple[str, str]:
    ours = decode(token, AccountClaims).claims
    try:
        theirs = decode(there, AccountClaims).claims
    except PeerError as fault:
        return "unreadable", fault.message
    if theirs.iat < ours.iat:
        return "older", f"{ours.iat - theirs.iat} s older than the newest signed"
    return "foreign", f"a token of second {theirs.iat} that was not signed here"
