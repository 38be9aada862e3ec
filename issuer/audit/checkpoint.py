"""What a log says of itself: its name, its size, and the root over it (C2SP tlog-checkpoint v1).

Pure. Signing one is `audit.note`, keeping them `audit.checkpoints`.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Final

from issuer.audit.tree import HASH
from issuer.errors import PeerError

_LINES: Final = 3


class CheckpointFormatError(PeerError):
    """Not a checkpoint."""

    code = "audit.checkpoint"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree as of some moment. `origin` names the log, `root` is the hash over its `size` leaves."""

    origin: str
    size: int
    root: bytes

    def __str__(self) -> str:
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """The text of a checkpoint, without its signatures; further lines are not looked at.

    Raises:
        CheckpointFormatError: it is not one.
    """
    lines = text.split("\n")
    if len(lines) <= _LINES or lines.pop() or not all(lines):
        raise CheckpointFormatError("a checkpoint has three lines at least, none of them empty")
    origin, size, encoded = lines[:_LINES]
    try:
        root = b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        root = b""
    if len(root) != HASH or b64encode(root).decode() != encoded:
        raise CheckpointFormatError("the root of a checkpoint is 32 bytes in base64")
    if not size.isascii() or not size.isdigit() or str(int(size[:20])) != size:
        raise CheckpointFormatError("the size of a checkpoint is a plain number")
    return Checkpoint(origin, int(size), root)
