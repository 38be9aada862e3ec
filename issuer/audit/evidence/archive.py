"""A zip file that is written once, in order, with a hash of each file: the outside of a bundle."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

from issuer.errors import AlreadyExists, Unavailable

# Level 6 takes three times as long for a tenth less.
_LEVEL: Final = 2
# The same evidence makes the same file.
_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = 0o100644 << 16


class NotWritten(Unavailable):
    """The bundle could not be written."""

    code = "audit.bundle-unwritable"


class Archive:
    """The files written so far, with size and SHA-256."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file
        self.files: dict[str, tuple[int, str]] = {}

    def add(self, name: str, pieces: Iterable[bytes]) -> int:
        """One file; how many pieces it had."""
        info = zipfile.ZipInfo(name, _NO_TIME)
        info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, _MODE
        digest, size, count = sha256(), 0, 0
        with self._file.open(info, "w", force_zip64=True) as file:
            for piece in pieces:
                digest.update(piece)
                file.write(piece)
                size += len(piece)
                count += 1
        self.files[name] = (size, digest.hexdigest())
        return count


@contextmanager
def new_archive(path: Path, *, force: bool = False) -> Iterator[Archive]:
    """An archive for its owner alone, which is there when all of it is, or not at all.

    Raises:
        AlreadyExists: there is such a file.
        NotWritten: the disk is full, the folder is not ours.
    """
    if path.exists() and not force:
        raise AlreadyExists("there is such a file already", at=str(path), hint="--force writes over it")
    partial = path.with_name(f".{path.name}.part")
    try:
        with _private(partial) as raw:
            with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as file:
                yield Archive(file)
            raw.flush()
            os.fsync(raw.fileno())
        partial.replace(path)
    except OSError as fault:
        raise NotWritten(f"cannot write: {fault.strerror}", at=str(path)) from None
    finally:
        partial.unlink(missing_ok=True)


def _private(path: Path) -> IO[bytes]:
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")
