"""`accredit import nsc|account|user`, `accredit export nsc`: from other tools, and to them."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from issuer.authority.adoption import (
    AdoptAccount,
    AdoptStore,
    AdoptUser,
    adopt_account,
    adopt_store,
    adopt_user,
)
from issuer.authority.leaving import ExportStore, export_store
from issuer.claims.operator import OperatorClaims
from issuer.cli.files import read_text
from issuer.cli.options import verb
from issuer.cli.workspace import Workspace
from issuer.interop.nsc import FoundOperator, Inventory, read_store
from issuer.interop.nsc_place import locate
from issuer.interop.nsc_write import NscExport, Written, write_store
from issuer.keys.creds import CredsMissingError, parse_decorated_seed, parse_decorated_token
from issuer.keys.nkeys import Role, Seed
from issuer.settings import without_password
from issuer.store.engine import NoStore
from issuer.tokens.envelope import decode

if TYPE_CHECKING:
    from issuer.authority.taking import Adoption

_MANY = 20


@verb()
@click.argument("folder", metavar="DIR", required=False)
@click.option("-d", "--dir", "named", metavar="DIR", help="as DIR")
@click.option(
    "--keys-dir", "--keystore-dir", "keys", metavar="DIR", help="the keystore, if it is not beside the store"
)
@click.option("--only", "--operator", "only", metavar="NAME", help="this operator of the store only")
@click.option("--overwrite", is_flag=True, help="take tokens that are older than ours too")
@click.option("--skip-clashes", is_flag=True, help="leave out what collides with what is here")
@click.option("--dry-run", is_flag=True, help="only say what is there")
def import_nsc(workspace: Workspace, *, folder: str | None, named: str | None, **values: Any) -> None:
    """Take in a whole nsc store with its keys: tokens stay as they are, seeds are sealed.

    DIR is what nsc calls home, its stores folder, or one operator in it. Nothing there is changed.
    Doing it again takes what nsc has changed since.
    """
    source = folder or named
    if not source:
        raise click.UsageError("which store? name its folder, ~/.local/share/nats/nsc as a rule")
    keys = Path(values["keys"]) if values["keys"] else None
    place = locate(Path(source), keys=keys, environment=os.environ)
    inventory = read_store(place.stores, place.keys, operator=values["only"] or place.operator)
    if place.keys is None:
        workspace.screen.warn(
            "no keystore was found: seeds come in with --keys-dir, or later with accredit import keys"
        )
    if values["dry_run"]:
        _show_inventory(workspace, inventory)
        return
    _ready(workspace)
    total = sum(1 + len(one.accounts) + sum(len(each.users) for each in one.accounts)
                for one in inventory.operators)  # fmt: skip
    with workspace.screen.progress("taking in", total) as progress:
        act = AdoptStore(
            inventory,
            source=str(place.stores),
            overwrite=values["overwrite"],
            skip_clashes=values["skip_clashes"],
            progress=progress.at,
        )
        adoption = workspace.perform(adopt_store, act)
    taken = [one.name for one in adoption.adopted if one.kind == "operator"]
    if len(taken) == 1 and workspace.operator is None:
        workspace.select(operator=taken[0])
    _show_adoption(workspace, inventory, adoption)


def adopt_operator(workspace: Workspace, source: str, *, overwrite: bool) -> None:
    """`accredit add operator -u FILE`: an operator whose key others keep."""
    read = decode(parse_decorated_token(read_text(source)), OperatorClaims)
    _ready(workspace)
    inventory = Inventory(operators=(FoundOperator(source, read.token, read.claims),))
    act = AdoptStore(inventory, source=source, overwrite=overwrite)
    adoption = workspace.perform(adopt_store, act)
    for one in adoption.adopted:
        workspace.select(operator=one.name)
    _show_adoption(workspace, inventory, adoption)


@verb()
@click.argument("file_argument", metavar="FILE", required=False)
@click.option("-j", "--file", "file_option", metavar="FILE", help="a token, - for stdin")
@click.option("-k", "--seed-file", metavar="FILE", help="its seed")
@click.option("--overwrite", is_flag=True, help="take it even where ours is newer")
@click.option("-F", "--force", is_flag=True, help="sign it with our operator's key if another signed it")
@click.option("--skip", is_flag=True, hidden=True)
def import_account(workspace: Workspace, **values: Any) -> None:
    """Take in an account token, and its seed."""
    name, text = _content(values)
    act = AdoptAccount(
        parse_decorated_token(text),
        workspace.operator,
        _seed(text, values["seed_file"], Role.ACCOUNT),
        overwrite=values["overwrite"],
        sign_anew=values["force"],
        source=name,
    )
    outcome = workspace.perform(adopt_account, act)
    workspace.show("took in", "account", outcome)
    if outcome.changed:
        workspace.remind_of_push(outcome.name)


@verb()
@click.argument("file_argument", metavar="FILE", required=False)
@click.option("-f", "--file", "file_option", metavar="FILE", help="a token or creds file, - for stdin")
@click.option("-k", "--seed-file", metavar="FILE", help="its seed, if the file has none")
@click.option("--overwrite", is_flag=True, help="take it even where ours is newer")
@click.option("--skip", is_flag=True, hidden=True)
@click.option("-a", "--account", metavar="NAME", hidden=True)
def import_user(workspace: Workspace, **values: Any) -> None:
    """Take in a user token or creds file; it goes to the account whose key signed it."""
    if values["account"]:
        workspace.screen.note("the account is the one whose key signed the user: -a is ignored")
    name, text = _content(values)
    act = AdoptUser(
        parse_decorated_token(text),
        workspace.operator,
        _seed(text, values["seed_file"], Role.USER),
        overwrite=values["overwrite"],
        source=name,
    )
    workspace.show("took in", "user", workspace.perform(adopt_user, act))


@verb()
@click.argument("folder", metavar="DIR", required=False)
@click.option("-d", "--dir", "named", metavar="DIR", help="as DIR")
@click.option(
    "--without-seeds",
    "--no-seeds",
    "without_seeds",
    is_flag=True,
    help="tokens alone: nsc can show and check, not sign",
)
def export_nsc(workspace: Workspace, *, folder: str | None, named: str | None, without_seeds: bool) -> None:
    """Write a store that nsc works with, in a new folder. Seeds are not sealed there."""
    folder = folder or named
    if not folder:
        raise click.UsageError("where to? name a new folder")
    target = Path(folder)
    made: list[Path] = []

    def write(export: NscExport) -> Written:
        # A second attempt at one act finds what the first left.
        _discard(made)
        written = write_store(target, export, with_seeds=not without_seeds)
        made.append(written.path)
        return written

    act = ExportStore(
        write,
        workspace.operator,
        with_seeds=not without_seeds,
        selected=workspace.settings.account or "",
    )
    try:
        written = workspace.perform(export_store, act)
    except BaseException:
        # What no event tells of is not left lying about.
        _discard(made)
        raise
    path = written.path
    workspace.finish({
        "path": str(path),
        "accounts": written.accounts,
        "users": written.users,
        "keys": written.keys,
        "creds": written.creds,
    })  # fmt: skip
    screen = workspace.screen
    screen.say(f"wrote {written.accounts} accounts, {written.users} users and {written.keys} seeds to {path}")
    if written.keys:
        screen.note("the seeds are not sealed there: whoever reads the folder can sign")
    screen.hint(
        f"nsc --config-dir {path} --data-dir {path / 'stores'} --keystore-dir {path / 'keys'} list accounts"
    )


def _ready(workspace: Workspace) -> None:
    """Open the store; the first import may well be what founds it."""
    try:
        _ = workspace.database
    except NoStore:
        workspace.create()
        workspace.screen.say(f"store {without_password(workspace.settings.database)}")


def _content(values: dict[str, Any]) -> tuple[str, str]:
    name = values["file_option"] or values["file_argument"]
    if not name:
        raise click.UsageError("which file? - is stdin")
    return name, read_text(name)


def _seed(text: str, seed_file: str | None, role: Role) -> Seed | None:
    try:
        return parse_decorated_seed(read_text(seed_file) if seed_file else text, role)
    except CredsMissingError:
        if seed_file:
            raise
        return None


def _discard(made: list[Path]) -> None:
    while made:
        shutil.rmtree(made.pop(), ignore_errors=True)


def _show_inventory(workspace: Workspace, inventory: Inventory) -> None:
    """What a store holds, before anything is taken."""
    rows: list[tuple[Any, ...]] = [
        ("operator", one.name, one.public, None, one.seed is not None, one.path)
        for one in inventory.operators
    ]
    rows += [
        ("account", each.name, each.public, len(each.users), each.seed is not None, each.path)
        for one in inventory.operators
        for each in one.accounts
    ]
    left = [asdict(file) for file in inventory.quarantined]
    left += [{"path": one.path, "reason": "no account's key signed it"} for one in inventory.orphans]
    if workspace.screen.as_json:
        names = ("kind", "name", "public_key", "users", "seed", "path")
        workspace.screen.document({
            "found": [dict(zip(names, row, strict=True)) for row in rows],
            "left_out": left,
            "clashes": [asdict(clash) for clash in inventory.clashes],
            "unused_keys": list(inventory.unused),
        })  # fmt: skip
        return
    workspace.screen.table(("Kind", "Name", "Key", "Users", "Seed", "File"), rows)
    if left:
        found = [(file["path"], file["reason"]) for file in left]
        workspace.screen.table(("File", "Why it would be left out"), found, title="Left out")
    _warn_of_clashes(workspace, inventory)


def _show_adoption(workspace: Workspace, inventory: Inventory, adoption: Adoption) -> None:
    screen = workspace.screen
    if screen.as_json:
        screen.document({
            "changed": adoption.changed,
            "taken": [
                {"kind": one.kind, "name": one.name, "public_key": one.public, "state": one.state}
                for one in adoption.adopted
            ],
            "keys": adoption.keys,
            "left_out": [asdict(one) for one in adoption.left_out],
            "unused_keys": list(inventory.unused),
        })  # fmt: skip
    if adoption.changed:
        kinds = [f"{adoption.count(kind)} {kind}s" for kind in ("operator", "account", "user")]
        screen.say(f"took in {', '.join(kinds)} and {adoption.keys} seeds")
    else:
        screen.say("all of it that can be taken is here already: nothing changed")
    older = [one for one in adoption.adopted if one.state == "older"]
    for one in older[:_MANY]:
        screen.warn(f"{one.kind} {one.name}: a newer token is here, this one was not taken")
    if older:
        screen.hint("--overwrite takes older tokens too")
    for left in adoption.left_out[:_MANY]:
        screen.warn(f"left out {left.path}: {left.reason}")
    if len(adoption.left_out) > _MANY:
        screen.warn(f"left out {len(adoption.left_out) - _MANY} more: --json lists them all")
    _warn_of_clashes(workspace, inventory)
    if inventory.unused:
        screen.note(
            f"{len(inventory.unused)} keys of the keystore belong to nothing in the store and were not taken"
        )
    if adoption.changed:
        screen.hint("servers that lack these accounts get them by: accredit push -A")


def _warn_of_clashes(workspace: Workspace, inventory: Inventory) -> None:
    for clash in inventory.clashes[:_MANY]:
        workspace.screen.warn(f"{clash.kind}s of one name: {', '.join(clash.paths)}")
