"""`accredit doctor` and `accredit migrate`: is this installation what it should be?"""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from issuer.cli.main import FINDINGS, OK
from issuer.cli.options import verb
from issuer.cli.workspace import Workspace
from issuer.errors import AccreditError

PACKAGES: Final = ("issuer", "callout", "broker", "web")
_DISTRIBUTION: Final = "accredit"
_OLDEST_PYTHON: Final = (3, 11)


@dataclass(frozen=True, slots=True)
class Examined:
    """One thing looked at: `good` None says that it could not be told."""

    what: str
    good: bool | None
    words: str
    hint: str = ""


@verb()
def doctor(workspace: Workspace) -> int:
    """Look for what is wrong here: packages, folders, keys, the store. Exits with 7 if anything is."""
    found = [one for look in (_python, _packages, _folders, _store) for one in _guarded(look, workspace)]
    screen = workspace.screen
    if screen.as_json:
        screen.document([
            {"what": one.what, "good": one.good, "words": one.words, "hint": one.hint or None}
            for one in found
        ])  # fmt: skip
    else:
        marks = {True: "ok", False: "WRONG", None: "-"}
        screen.table(("", "What", "Found"), [(marks[one.good], one.what, one.words) for one in found])
    for one in found:
        if one.hint:
            screen.hint(f"{one.what}: {one.hint}")
    return FINDINGS if any(one.good is False for one in found) else OK


@verb()
@click.option(
    "--app-role",
    metavar="ROLE",
    help="on PostgreSQL: the role services connect as gets what they need, no more",
)
def migrate(workspace: Workspace, app_role: str | None) -> None:
    """Bring the store to this version. Take a backup first; nobody else may write meanwhile."""
    workspace.create()
    if app_role is not None:
        from issuer.store.application_role import grant_application_role

        grant_application_role(workspace.settings.database, app_role)
        workspace.screen.say(f"role {app_role} may add to the logs and the tokens, and change none of them")
    workspace.screen.say(f"store {workspace.database.url} is at this version")
    workspace.finish({"database": workspace.database.url})


def _guarded(look: Callable[[Workspace], Iterator[Examined]], workspace: Workspace) -> Iterator[Examined]:
    """What was found, an error of ours as a finding among it."""
    try:
        yield from look(workspace)
    except AccreditError as fault:
        yield Examined(look.__name__.strip("_"), good=False, words=str(fault), hint=fault.hint or "")


def _python(_: Workspace) -> Iterator[Examined]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Examined("python", sys.version_info >= _OLDEST_PYTHON, f"{version}, {sys.executable}")


def _packages(_: Workspace) -> Iterator[Examined]:
    for name in PACKAGES:
        yield examine_package(name)


def examine_package(name: str) -> Examined:
    """Whether a package is the one our distribution installed.

    Others ship packages called `web` and `broker`; the last one installed wins without a word.
    """
    from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
    from importlib.util import find_spec

    what = f"package {name}"
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        return Examined(
            what, good=False, words="is not there", hint="install accredit anew, in an environment of its own"
        )
    origin = Path(spec.origin).resolve()
    owners = set(packages_distributions().get(name, ())) - {_DISTRIBUTION}
    try:
        ours = distribution(_DISTRIBUTION)
    except PackageNotFoundError:
        return Examined(what, good=None, words=f"{origin}, not installed: a bare source tree")
    recorded = {Path(str(file.locate())).resolve() for file in ours.files or () if file.name == "__init__.py"}
    home = Path(__file__).resolve().parents[2]
    # Installed: the file the distribution recorded. Editable: the tree this very file is in.
    if origin in recorded or origin.parent.parent == home:
        if owners and origin in recorded:
            others = ", ".join(sorted(owners))
            words = f"also installed by {others}: whichever comes last overwrites the other"
            return Examined(
                what, good=False, words=words, hint="install accredit in an environment of its own"
            )
        return Examined(what, good=True, words=str(origin.parent))
    owner = ", ".join(sorted(owners)) or "nobody we know"
    hint = f"it belongs to {owner}; install accredit in an environment of its own"
    return Examined(what, good=False, words=f"{origin} is not ours", hint=hint)


def _folders(workspace: Workspace) -> Iterator[Examined]:
    settings = workspace.settings
    yield Examined("settings", good=True, words=str(settings.config_file or "no file, defaults"))
    folder = settings.data_dir
    if not folder.is_dir():
        yield Examined("data folder", good=None, words=f"{folder} is not there yet", hint="accredit init")
        return
    yield _private("data folder", folder)
    if settings.master_key_file.exists():
        yield _private("master key", settings.master_key_file)
        if settings.master_key_file.parent == folder and settings.source("database") == "default":
            words = "lies beside the database: who copies the folder has both"
            yield Examined(
                "custody",
                good=None,
                words=words,
                hint="ACCREDIT_MASTER_KEY_FILE on another disk, or init --passphrase",
            )


def _private(what: str, path: Path) -> Examined:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return Examined(
            what, good=False, words=f"{path} is open to others ({mode:o})", hint=f"chmod go= {path}"
        )
    return Examined(what, good=True, words=str(path))


def _store(workspace: Workspace) -> Iterator[Examined]:
    from issuer.audit.checking import check_all
    from issuer.store import hierarchy, outbox
    from issuer.store.unit import Log

    database = workspace.database
    yield Examined("store", good=True, words=database.url)
    with database.reading() as unit:
        walks = [check_all(unit, log) for log in Log]
        waiting = len(outbox.pending(unit))
        operators = sum(1 for _ in hierarchy.operators(unit))
    for log, walked in zip(Log, walks, strict=True):
        words = f"{walked.events} events under {walked.checkpoints} checkpoints, whole"
        yield Examined(f"log {log.value}", good=walked.fault is None, words=str(walked.fault or words))
    yield Examined(
        "operators",
        good=True if operators else None,
        words=str(operators),
        hint="" if operators else "accredit init",
    )
    words = f"{waiting} accounts wait to be delivered" if waiting else "nothing waits"
    yield Examined(
        "delivery", good=None if waiting else True, words=words, hint="accredit push" if waiting else ""
    )
    yield Examined("keys", good=True, words=f"master key {workspace.authority.keyring.master_key_id}")
