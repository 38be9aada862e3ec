"""Files of an nsc store, which anybody may have written: bounded, and never out of the folder."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from issuer.errors import PeerError

TOKEN_BYTES: Final = 1_048_576 + 4096  # the longest token there is, and its armour
KEY_BYTES: Final = 4096
CREDS_BYTES: Final = TOKEN_BYTES + KEY_BYTES
NOTE_BYTES: Final = 65_536
MOST_NAME: Final = 256
# What most file systems take for one component, less the longest ending nsc adds.
MOST_NAME_BYTES: Final = 255 - len(".creds")


class FileFault(PeerError):
    """One file of the store that cannot be taken as it is; the others can."""

    code = "nsc.file"


def read_file(path: Path, most: int) -> str:
    """The text of a plain file of limited size.

    Raises:
        FileFault: a link, a pipe, too large, not there, not text.
    """
    try:
        # A pipe must not make us wait, and a link may lead anywhere.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as fault:
        reason = "is a symbolic link" if path.is_symlink() else (fault.strerror or "cannot be read").lower()
        raise FileFault(reason, at=str(path)) from None
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise FileFault("is not a plain file", at=str(path))
        try:
            data = file.read(most + 1)
        except OSError as fault:
            raise FileFault((fault.strerror or "cannot be read").lower(), at=str(path)) from None
    if len(data) > most:
        raise FileFault(f"is larger than {most} bytes", at=str(path))
    if not data.strip():
        raise FileFault("is empty", at=str(path))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileFault("is not text", at=str(path)) from None


def folders(path: Path) -> list[Path]:
    """The folders in a folder, by name; links to folders are none."""
    return sorted(Path(entry.path) for entry in _entries(path) if entry.is_dir(follow_symlinks=False))


def files(path: Path, ending: str) -> list[Path]:
    """The files of one ending in a folder, by name, links included: they are refused when read."""
    return sorted(
        Path(entry.path)
        for entry in _entries(path)
        if entry.name.endswith(ending)
        and not entry.is_dir(follow_symlinks=False)
        # What a Mac leaves beside every file on a foreign disk.
        and not entry.name.startswith("._")
    )


def links(path: Path) -> list[Path]:
    """Links to folders in a folder: not followed, but worth a word."""
    return sorted(Path(entry.path) for entry in _entries(path) if entry.is_symlink() and entry.is_dir())


def walk(path: Path, ending: str, depth: int) -> Iterator[Path]:
    """The files of one ending below a folder, however they are arranged."""
    yield from files(path, ending)
    if depth > 0:
        for folder in folders(path):
            yield from walk(folder, ending, depth - 1)


def name_fault(name: str) -> str | None:
    """Why a name may not be one component of a path, or None. nsc itself lets `..` pass."""
    if not name.strip():
        return "has no name"
    if len(name) > MOST_NAME or len(name.encode(errors="replace")) > MOST_NAME_BYTES:
        return "has a name too long for a file"
    if name.strip() in {".", ".."} or "/" in name or "\\" in name:
        return f"has a name that leads out of its folder: {name!r}"
    if not name.isprintable():
        return f"has a name with characters that cannot be shown: {name!r}"
    return None


def folded(name: str) -> str:
    """What two names share that are one file on a disk that does not tell letter cases apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.strip()).casefold())


def _entries(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as fault:
        raise FileFault((fault.strerror or "cannot be read").lower(), at=str(path)) from None
