"""Where an nsc store and its keystore are, from whichever of their folders somebody names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from issuer.errors import NotFound
from issuer.interop.nsc_files import NOTE_BYTES, FileFault, listing, read_file
from issuer.interop.nsc_keystore import is_keystore

ACCOUNTS: Final = "accounts"
CONFIG: Final = "nsc.json"
_NSC: Final = "nats/nsc"
_BELOW: Final = ("", "stores", "nats", "nsc/stores", "nats/nsc/stores", ".local/share/nats/nsc/stores")


@dataclass(frozen=True, slots=True)
class Place:
    """A stores folder, its keystore if one was found, and the operator if one was named by its folder."""

    stores: Path
    keys: Path | None
    operator: str | None = None


def locate(folder: Path, *, keys: Path | None = None, environment: Mapping[str, str] | None = None) -> Place:
    """The store at or in a folder; `keys` names the keystore, else it is looked for.

    Raises:
        NotFound: there is no store, or no keystore where one was named.
    """
    try:
        root = folder.expanduser().resolve(strict=True)
    except (OSError, RuntimeError):
        raise NotFound("there is no such folder", at=str(folder)) from None
    if keys is not None and not os.path.isdir(keys.expanduser()):  # noqa: PTH112  never raises
        raise NotFound("there is no such folder", at=str(keys))
    operator = None
    if is_operator_folder(root):
        stores, operator = root.parent, root.name
    else:
        found = next((place for place in _candidates(root) if _holds_operators(place)), None)
        if found is None:
            raise NotFound(
                "holds no nsc store",
                at=str(folder),
                hint="name the folder with the operators in it, nats/nsc/stores as a rule",
            )
        stores = found
    named = keys.expanduser().resolve() if keys is not None else None
    return Place(stores, named or _keystore(stores, environment or {}), operator)


def default_locations(environment: Mapping[str, str], home: Path) -> Place:
    """Where nsc itself would look, and write to, with such an environment (nsc spec §2.1).

    The folders need not exist. That nsc prefers a store it is called from within is not looked at.
    """
    config = _set(environment, "XDG_CONFIG_HOME", home) or home / ".config"
    note = _set(environment, "NSC_HOME", home)
    if note is None:
        note = _newest(config / _NSC, home / ".nsc", CONFIG)
    stores = None if "NSC_CWD_ONLY" in environment else _store_root(note / CONFIG)
    if stores is None:
        data = _set(environment, "XDG_DATA_HOME", home) or home / ".local/share"
        stores = _newest(data / _NSC / "stores", home / ".nsc/nats")
    return Place(stores, _default_keys(environment, home))


def _default_keys(environment: Mapping[str, str], home: Path) -> Path:
    data = _set(environment, "XDG_DATA_HOME", home) or home / ".local/share"
    return _set(environment, "NKEYS_PATH", home) or _newest(data / _NSC / "keys", home / ".nkeys")


def _set(environment: Mapping[str, str], name: str, home: Path) -> Path | None:
    text = environment.get(name)
    if not text:
        return None
    return home / text[2:] if text.startswith("~/") else Path(text)


def _newest(new: Path, old: Path, holding: str = "") -> Path:
    """The place of today, unless only that of long ago is there."""
    return old if (old / holding).exists() and not (new / holding).exists() else new


def is_operator_folder(folder: Path) -> bool:
    """Whether a folder is one operator's: it says so itself, or has its token and accounts."""
    try:
        inside = listing(folder)
    except FileFault:
        return False
    folders = {path.name for path in inside.folders}
    tokens = inside.ending(".jwt")
    if "users" in folders and folder / f"{folder.name}.jwt" in tokens:
        return False  # an account's
    # Links count, so that they are told when the operator is read.
    noted = os.path.lexists(folder / ".nsc")
    return noted or (os.path.lexists(folder / ACCOUNTS) and bool(tokens))


def _holds_operators(folder: Path) -> bool:
    """A link holds none: `locate` stays within the folder it was given."""
    try:
        return any(map(is_operator_folder, listing(folder).folders))
    except FileFault:
        return False


def _candidates(root: Path) -> Iterator[Path]:
    for below in _BELOW:
        yield root / below
    # A config folder names the stores it is for.
    named = _store_root(root / CONFIG)
    if named is not None:
        yield named.resolve()


def _store_root(path: Path) -> Path | None:
    try:
        config: Any = json.loads(read_file(path, NOTE_BYTES))
    except (FileFault, ValueError, RecursionError):
        return None
    named = config.get("store_root") if isinstance(config, dict) else None
    # A path with a NUL is none.
    return Path(named) if isinstance(named, str) and named and "\0" not in named else None


def _keystore(stores: Path, environment: Mapping[str, str]) -> Path | None:
    """Beside the store first: keys of the same copy. Then where nsc itself would look."""
    places = [stores.parent / "keys", stores, stores.parent, stores.parent / "nkeys"]
    # Without a home only what the environment names itself can be there.
    if environment:
        usual = _default_keys(environment, Path(environment.get("HOME") or os.devnull))
        places.append(usual.resolve())
    return next((place for place in places if is_keystore(place)), None)
