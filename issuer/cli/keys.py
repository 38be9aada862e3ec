"""`accredit list keys`, `accredit import keys`, `accredit export keys`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from issuer.authority.inspecting import key_rows
from issuer.authority.keyholding import GiveSeeds, TakeSeeds, give_seeds, take_seeds
from issuer.cli.files import FileMalformed, NoFile, read_text
from issuer.cli.options import verb
from issuer.cli.user_creds import make_folder
from issuer.cli.workspace import Workspace
from issuer.errors import NotFound
from issuer.keys.creds import CredsMissingError, parse_decorated_seed, write_private
from issuer.keys.nkeys import Seed
from issuer.store.unit import Unit

_SUFFIXES = (".nk", ".creds", ".seed", ".txt", "")
_MOST_BYTES = 64 * 1024


def _filters(function: Any) -> Any:
    for option in (
        click.option("--not-referenced", is_flag=True, help="keys that no operator or account mentions"),
        click.option("-f", "--filter", "pattern", metavar="TEXT", help="keys or names that hold this"),
        click.option("--user", metavar="NAME", help="of this user"),
        click.option("--account", metavar="NAME", help="of this account"),
        click.option("-A", "--all", "everything", is_flag=True, help="all of them (the default)"),
        click.option("-x", "--curve", "--curves", "curves", is_flag=True, help="curve keys"),
        click.option("-u", "--users", is_flag=True, help="user keys"),
        click.option("-a", "--accounts", is_flag=True, help="account keys"),
        click.option("-o", "operators", is_flag=True, help="operator keys"),
    ):
        function = option(function)
    return function


@verb()
@_filters
@click.option("-S", "--show-seeds", is_flag=True, help="show the seeds too; an event says so")
def list_keys(workspace: Workspace, *, show_seeds: bool, **values: Any) -> None:
    """List every key: whose it is, and whether its seed is stored here."""
    rows = _chosen(workspace, values)
    if show_seeds:
        seeds: dict[str, str] = {}

        def give(seed: Seed) -> None:
            seeds[seed.public] = seed.reveal()

        workspace.perform(
            give_seeds, GiveSeeds([row["pub"] for row in rows if row["stored"]], give, shown=True)
        )
        rows = [row | {"seed": seeds.get(row["pub"])} for row in rows]
    if workspace.screen.as_json:
        workspace.screen.document(rows)
        return
    workspace.screen.table(
        ("Entity", "Kind", "Key", "Signing", "Seed here", *(("Seed",) if show_seeds else ())),
        [
            (row["name"] + (f" (role {row['role']})" if row["role"] else ""), row["expected_kind"],
             row["pub"], row["signing"], row["stored"], *((row["seed"],) if show_seeds else ()))
            for row in rows
        ],
    )  # fmt: skip


@verb()
@click.argument("paths", metavar="FILES", nargs=-1)
@click.option("-d", "--dir", "folder", metavar="DIR", help="every seed in this folder")
@click.option("-R", "--recurse", is_flag=True, help="and in the folders in it")
def import_keys(workspace: Workspace, *, paths: tuple[str, ...], folder: str | None, recurse: bool) -> None:
    """Take seeds into custody from files: bare seeds, decorated ones, creds; - for stdin."""
    found: dict[str, Seed] = {}
    for name in paths:
        seed = parse_decorated_seed(read_text(name, most=_MOST_BYTES))
        found[seed.public] = seed
    for path in _candidates(folder, recurse=recurse):
        # A folder may hold other things; only what was named must be a seed.
        with contextlib.suppress(CredsMissingError, FileMalformed):
            seed = parse_decorated_seed(read_text(str(path), most=_MOST_BYTES))
            found[seed.public] = seed
    if not found:
        raise click.UsageError("which seeds? name files, or a folder with -d")
    taken = workspace.perform(take_seeds, TakeSeeds(list(found.values()), folder or ", ".join(paths)))
    if workspace.screen.as_json:
        workspace.screen.document([
            {"public_key": one.public, "kind": str(one.role), "name": one.name or None, "known": one.known}
            for one in taken
        ])  # fmt: skip
    for one in taken:
        whose = one.name or "nobody's so far"
        workspace.screen.say(f"{'had' if one.known else 'took'} {one.role} key {one.public} ({whose})")


@verb()
@_filters
@click.option("-d", "--dir", "folder", metavar="DIR", required=True, help="where to write them")
@click.option("-F", "--force", is_flag=True, help="over files that exist")
@click.option("--include-jwts", is_flag=True, hidden=True)
@click.option("-R", "--remove", is_flag=True, hidden=True)
def export_keys(workspace: Workspace, *, folder: str, force: bool, **values: Any) -> None:
    """Write seeds to files PUBLIC.nk, as nsc reads them. They are not sealed there."""
    if values.pop("remove") or values.pop("include_jwts"):
        raise click.UsageError("not done here: a whole store goes out with accredit export nsc DIR")
    rows = [row for row in _chosen(workspace, values) if row["stored"]]
    if not rows:
        raise NotFound("no stored key fits", hint="accredit list keys")
    target = Path(folder).expanduser()
    make_folder(target)
    with workspace.screen.progress("writing", len(rows)) as progress:
        written: list[str] = []

        def give(seed: Seed) -> None:
            path = target / f"{seed.public}.nk"
            write_private(path, seed.reveal(), force=force)
            written.append(str(path))
            progress.at(len(written))

        try:
            workspace.perform(give_seeds, GiveSeeds([row["pub"] for row in rows], give, str(target)))
        except BaseException:
            # What no event tells of is not left lying about.
            if not force:
                for path in written:
                    os.unlink(path)  # noqa: PTH108
            raise
    workspace.finish(written)
    workspace.screen.say(f"wrote {len(written)} seeds to {target}; they are not sealed there")


def _chosen(workspace: Workspace, values: dict[str, Any]) -> list[dict[str, Any]]:
    kinds = {
        kind
        for kind, flag in (
            ("operator", "operators"), ("account", "accounts"), ("user", "users"), ("curve", "curves"),
        )
        if values[flag]
    }  # fmt: skip
    kinds = set() if values["everything"] else kinds
    pattern = values["pattern"]

    def fits(row: dict[str, Any]) -> bool:
        if kinds and row["expected_kind"] not in kinds:
            return False
        if values["account"] and not (
            row["name"] == values["account"] and row["expected_kind"] in {"account", "curve"}
        ):
            return False
        if values["user"] and not (row["name"] == values["user"] and row["expected_kind"] == "user"):
            return False
        if values["not_referenced"] and row["referenced"]:
            return False
        return not pattern or pattern in row["pub"] or pattern in row["name"]

    return workspace.ask(_rows, fits)


def _rows(unit: Unit, fits: Any) -> list[dict[str, Any]]:
    return [row for row in key_rows(unit) if fits(row)]


def _candidates(folder: str | None, *, recurse: bool) -> Iterator[Path]:
    if folder is None:
        return
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise NoFile("there is no such folder", at=folder)
    for path in sorted(root.rglob("*") if recurse else root.iterdir()):
        if path.suffix in _SUFFIXES and path.is_file() and path.stat().st_size <= _MOST_BYTES:
            yield path
