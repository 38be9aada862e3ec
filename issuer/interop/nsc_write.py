"""An nsc store, written: the folders nsc makes itself, all of them or none.

Tokens go out byte for byte. A store is made beside its place and moved there when it is whole. Users
are taken as they come, so that a store of any size can be written.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from issuer.errors import AlreadyExists, Refused, Unavailable
from issuer.interop.nsc_files import folded, name_fault
from issuer.interop.nsc_keystore import CREDS, ENDING
from issuer.interop.nsc_place import ACCOUNTS, CONFIG
from issuer.keys.creds import format_creds
from issuer.keys.nkeys import Seed
from issuer.tokens.envelope import MAX_BYTES

_VERSION: Final = "1"
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_IGNORED: Final = "# keys and creds belong in no repository\n**/*.nk\n**/*.creds\n"


class ExportRefused(Refused):
    """A store that nsc could not keep apart, or would write elsewhere."""

    code = "nsc.export"


class TargetTaken(AlreadyExists):
    """A store is never written over anything."""

    code = "nsc.target"


@dataclass(frozen=True, slots=True)
class LeavingUser:
    """A user, and its seed when it is to go along."""

    name: str
    token: str
    seed: Seed | None = None


@dataclass(frozen=True, slots=True)
class LeavingAccount:
    """An account with its seeds; `users` is read once."""

    name: str
    token: str
    seeds: tuple[Seed, ...] = ()
    users: Iterable[LeavingUser] = ()


@dataclass(frozen=True, slots=True)
class NscExport:
    """One operator and everything below it, ready to be written.

    `managed` tells nsc that the operator's key is kept elsewhere: it then signs accounts with their own
    keys, which servers of this operator refuse. So it is never set merely because seeds stay here.
    """

    operator: str
    token: str
    seeds: tuple[Seed, ...] = ()
    accounts: Iterable[LeavingAccount] = ()
    managed: bool = False
    selected: str = ""


@dataclass(slots=True)
class Written:
    """What was written, in numbers."""

    path: Path
    accounts: int = 0
    users: int = 0
    keys: int = 0
    creds: int = 0


def write_store(target: Path, export: NscExport, *, with_seeds: bool) -> Written:
    """Write a store: `target`/stores, `target`/keys and the configuration that joins them.

    Raises:
        TargetTaken: something is there already.
        ExportRefused: a name nsc cannot keep, or two that are one file on some disks.
    """
    target = Path(os.path.abspath(target.expanduser()))  # noqa: PTH100  a link stays a link
    making = target.with_name(f".making.{secrets.token_hex(8)}")
    try:
        _require_free(target)
        # Only the last folder is ours to make: a mistyped path should not grow a tree.
        making.mkdir(mode=0o700)
        try:
            written = _fill(making, target, export, with_seeds=with_seeds)
            # Once for all files: until the move nothing of them counts.
            os.sync()
            making.rename(target)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
        _settle(target.parent)
    except OSError as fault:
        raise Unavailable(f"cannot write: {(fault.strerror or '').lower()}", at=str(target)) from None
    return written


def _require_free(target: Path) -> None:
    if target.is_symlink():
        raise TargetTaken("is a symbolic link", at=str(target), hint="name the folder it points to")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise TargetTaken("is there already and not empty", at=str(target), hint="name a new folder")


def _fill(root: Path, target: Path, export: NscExport, *, with_seeds: bool) -> Written:
    written = Written(target)
    operator = _component(export.operator, "operator")
    if export.managed and with_seeds and export.seeds:
        raise ExportRefused("a managed operator's keys are kept elsewhere, these would go along", at=operator)
    keys = _folder(root, "keys")
    stores = _folder(root, "stores")
    home = _folder(stores, operator)
    note = {"managed": export.managed, "name": operator, "kind": "operator", "version": _VERSION}
    _put(home / ".nsc", _json(note))
    _put_token(home / f"{operator}.jwt", export.token)
    _put(keys / ".gitignore", _IGNORED)
    if with_seeds:
        _put_seeds(keys, export.seeds, written)
    accounts = _folder(home, ACCOUNTS)
    seen: dict[str, str] = {}
    for account in export.accounts:
        name = _component(account.name, "account")
        _require_distinct(seen, name, "account")
        place = _folder(accounts, name)
        _put_token(place / f"{name}.jwt", account.token)
        if with_seeds:
            _put_seeds(keys, account.seeds, written)
        _write_users(place, keys, (operator, name), account.users, written, with_seeds=with_seeds)
        written.accounts += 1
    config = {"store_root": str(target / "stores"), "operator": operator, "account": export.selected}
    _put(root / CONFIG, _json(config))
    return written


def _write_users(
    place: Path,
    keys: Path,
    owner: tuple[str, str],
    users: Iterable[LeavingUser],
    written: Written,
    *,
    with_seeds: bool,
) -> None:
    seen: dict[str, str] = {}
    for user in users:
        name = _component(user.name, "user")
        _require_distinct(seen, name, "user")
        _put_token(_folder(place, "users") / f"{name}.jwt", user.token)
        written.users += 1
        if with_seeds and user.seed is not None:
            _put_seeds(keys, (user.seed,), written)
            _put(_folder(keys, CREDS, *owner) / f"{name}.creds", format_creds(user.token, user.seed))
            written.creds += 1


def _put_token(path: Path, token: str) -> None:
    """A bare token, as nsc expects it: one more line end, and clients cannot read the creds (nsc#584)."""
    if not _TOKEN.fullmatch(token) or len(token) > MAX_BYTES:
        raise ExportRefused("is not a token that nsc can read", at=path.name)
    _put(path, token)


def _put_seeds(keys: Path, seeds: Iterable[Seed], written: Written) -> None:
    for seed in seeds:
        public = seed.public
        path = _folder(keys, "keys", public[0], public[1:3]) / f"{public}{ENDING}"
        # Two accounts may name one signing key.
        if not path.exists():
            _put(path, seed.reveal())
            written.keys += 1


def _component(name: str, what: str) -> str:
    """The name as nsc makes a file of it. Another one would be another thing to nsc: no repairs."""
    fault = name_fault(name)
    if fault is not None:
        raise ExportRefused(f"the {what} {fault}", at=name, hint=f"rename the {what} first")
    return name.strip()


def _require_distinct(seen: dict[str, str], name: str, what: str) -> None:
    other = seen.get(folded(name))
    seen[folded(name)] = name
    if other is not None:
        raise ExportRefused(
            f"the {what}s {other!r} and {name!r} are one file where letter cases do not count",
            at=name,
            hint=f"rename one {what} first",
        )


def _folder(root: Path, *names: str) -> Path:
    for name in names:
        root = root / name
        root.mkdir(mode=0o700, exist_ok=True)
    return root


def _put(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)


def _settle(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
