"""Reading what a flag names: seeds, tokens, lists. A file of a stranger is read within bounds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from issuer.errors import NotFound, PeerError, Unavailable
from issuer.keys.creds import parse_decorated_seed, write_private
from issuer.keys.nkeys import Role, Seed

MOST_BYTES: Final = 4 * 1024 * 1024
STDIN: Final = "-"


class FileUnreadable(Unavailable):
    """The file cannot be read."""

    code = "file.unreadable"


class NoFile(NotFound):
    """There is no such file."""

    code = "file.missing"


class FileMalformed(PeerError):
    """The file is not what was expected."""

    code = "file.malformed"


def read_text(name: str, *, most: int = MOST_BYTES) -> str:
    """A whole file, or stdin for `-`.

    Raises:
        NoFile: it is not there.
        FileMalformed: too large, or not text.
    """
    try:
        if name == STDIN:
            data = sys.stdin.buffer.read(most + 1)
        else:
            with Path(name).expanduser().open("rb") as file:
                data = file.read(most + 1)
    except FileNotFoundError:
        raise NoFile("there is no such file", at=name) from None
    except OSError as fault:
        raise FileUnreadable(f"cannot be read: {(fault.strerror or '').lower()}", at=name) from None
    if len(data) > most:
        raise FileMalformed(f"is larger than {most} bytes", at=name)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileMalformed("is not UTF-8 text", at=name) from None


def lines(name: str) -> Iterator[str]:
    """The non-empty lines of a file or of stdin, without comments; of any length."""
    try:
        file = sys.stdin if name == STDIN else Path(name).expanduser().open(encoding="utf-8-sig")
        with file:
            for line in file:
                text = line.strip()
                if text and not text.startswith("#"):
                    yield text
    except FileNotFoundError:
        raise NoFile("there is no such file", at=name) from None
    except UnicodeDecodeError:
        raise FileMalformed("is not UTF-8 text", at=name) from None
    except OSError as fault:
        raise FileUnreadable(f"cannot be read: {(fault.strerror or '').lower()}", at=name) from None


def key_or_seed(text: str | None, role: Role) -> tuple[Seed | None, str | None]:
    """What `-k` names: a public key, or a file with a seed."""
    if text is None:
        return None, None
    if Path(text).expanduser().is_file():
        return parse_decorated_seed(read_text(text), role), None
    return None, text


def write_output(name: str, text: str, *, force: bool = False) -> Path:
    """Write what was asked for to a file of its owner alone."""
    path = Path(name).expanduser()
    write_private(path, text, force=force)
    return path
