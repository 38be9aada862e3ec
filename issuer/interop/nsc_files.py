"""Files of an nsc store, which anybody may have written: bounded, and never out of the folder."""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from issuer.errors import PeerError

TOKEN_BYTES: Final = 1_048_576 + 4096  # the longest token there is, and its armour
KEY_BYTES: Final = 4096
CREDS_BYTES: Final = TOKEN_BYTES + KEY_BYTES
NOTE_BYTES: Final = 65_536
MOST_NAME: Final = 256
LINK: Final = "is a symbolic link"
# What most file systems take for one component, less the longest ending nsc adds.
MOST_NAME_BYTES: Final = 255 - len(".creds")


class FileFault(PeerError):
    """One file of the store that cannot be taken as it is; the others can."""

    code = "nsc.file"


class FileMissing(FileFault):
    """There is nothing of that name."""

    code = "nsc.file-missing"


def read_file(path: Path, most: int) -> str:
    """The text of a plain file of limited size.

    Raises:
        FileFault: a link, a pipe, too large, not there, not text.
    """
    # A pipe must not make us wait, and a link may lead anywhere.
    handle = _open(path, os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise FileFault("is not a plain file", at=str(path))
        with open(handle, "rb", closefd=False) as file:
            data = file.read(most + 1)
    except OSError as fault:
        raise FileFault(_reason(fault), at=str(path)) from None
    finally:
        os.close(handle)
    if len(data) > most:
        raise FileFault(f"is larger than {most} bytes", at=str(path))
    if not data.strip():
        raise FileFault("is empty", at=str(path))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileFault("is not text", at=str(path)) from None


@dataclass(frozen=True, slots=True)
class Listing:
    """What is in one folder, by name. `links` are those that lead to folders, or nowhere."""

    folders: tuple[Path, ...] = ()
    files: tuple[Path, ...] = ()
    links: tuple[Path, ...] = ()

    def ending(self, ending: str) -> list[Path]:
        """The files of one ending, links to files included: they are refused when read."""
        return [path for path in self.files if path.name.endswith(ending)]


def listing(path: Path) -> Listing:
    """What is in a folder; a folder that is not there is empty.

    Raises:
        FileFault: a link, not a folder, not readable.
    """
    try:
        handle = _open(path, os.O_DIRECTORY)
    except FileMissing:
        return Listing()
    folders, files, links = [], [], []
    try:
        with os.scandir(handle) as found:
            for entry in found:
                place = path / entry.name
                if entry.is_dir(follow_symlinks=False):
                    folders.append(place)
                elif entry.is_symlink() and not os.path.isfile(place):  # noqa: PTH113  never raises
                    links.append(place)
                else:
                    files.append(place)
    except OSError as fault:
        raise FileFault(_reason(fault), at=str(path)) from None
    finally:
        os.close(handle)
    return Listing(tuple(sorted(folders)), tuple(sorted(files)), tuple(sorted(links)))


def walk(path: Path, ending: str, depth: int, refuse: Callable[[Path, str], None]) -> Iterator[Path]:
    """The files of one ending below a folder, however they are arranged; faults are told to `refuse`."""
    try:
        found = listing(path)
    except FileFault as fault:
        refuse(path, fault.message)
        return
    for link in found.links:
        refuse(link, LINK)
    yield from found.ending(ending)
    if depth > 0:
        for folder in found.folders:
            yield from walk(folder, ending, depth - 1, refuse)


def shown(path: Path) -> str:
    """A path as text that any output can carry: names of strangers may be no text at all."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


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


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags)
    except FileNotFoundError as fault:
        raise FileMissing(_reason(fault), at=str(path)) from None
    except OSError as fault:
        # Path.is_symlink would raise where the folder above may not be read.
        reason = LINK if os.path.islink(path) else _reason(fault)  # noqa: PTH114
        raise FileFault(reason, at=str(path)) from None


def _reason(fault: OSError) -> str:
    if fault.errno == errno.ENOTDIR:
        return "is not a folder"
    return (fault.strerror or "cannot be read").lower()
