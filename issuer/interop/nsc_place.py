"""Where an nsc store and its keystore are, from whichever of their folders somebody names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from issuer.errors import NotFound
from issuer.interop.nsc_files import NOTE_BYTES, FileFault, files, folders, read_file
from issuer.interop.nsc_keystore import is_keystore

ACCOUNTS: Final = "accounts"
CONFIG: Final = "nsc.json"
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
    if keys is not None and not keys.expanduser().is_dir():
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


def is_operator_folder(folder: Path) -> bool:
    """Whether a folder is one operator's: it says so itself, or has its token and accounts."""
    if (folder / f"{folder.name}.jwt").exists() and (folder / "users").is_dir():
        return False  # an account's
    if (folder / ".nsc").exists():
        return True
    return (folder / ACCOUNTS).is_dir() and bool(files(folder, ".jwt"))


def _holds_operators(folder: Path) -> bool:
    return any(map(is_operator_folder, folders(folder)))


def _candidates(root: Path) -> Iterator[Path]:
    for below in _BELOW:
        yield root / below
    # A config folder names the stores it is for.
    try:
        config: Any = json.loads(read_file(root / CONFIG, NOTE_BYTES))
    except (FileFault, ValueError, RecursionError):
        return
    named = config.get("store_root") if isinstance(config, dict) else None
    if isinstance(named, str) and named:
        yield Path(named)


def _keystore(stores: Path, environment: Mapping[str, str]) -> Path | None:
    """Beside the store first: keys of the same copy. Then where nsc itself would look."""
    places = [stores.parent / "keys", stores, stores.parent, stores.parent / "nkeys"]
    if environment.get("NKEYS_PATH"):
        places.append(Path(environment["NKEYS_PATH"]))
    home = environment.get("HOME")
    data = environment.get("XDG_DATA_HOME") or (f"{home}/.local/share" if home else None)
    if data:
        places.append(Path(data) / "nats/nsc/keys")
    if home:
        places.append(Path(home) / ".nkeys")
    return next((place for place in places if is_keystore(place)), None)
