"""Tokens whose signature was verified already: a fleet that reconnects shows the same ones again.

Only the signature is remembered. Everything that can change, the time above all, is judged again; and
nothing is remembered beyond the key set it was verified with, so a withdrawn key takes its tokens along.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec

from callout.directories.oidc.claims import Claims

MAX_BYTES: Final = 8 * 1024
"""A larger token is verified each time: parsed, it may take a hundred times its size."""


class Remembered(msgspec.Struct, frozen=True):
    """A token that was taken."""

    typ: str
    claims: Claims
    exp: float


class VerifiedTokens:
    """The last `most` tokens by digest, all of one key set."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys = ""
        self._tokens: OrderedDict[bytes, Remembered] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tokens)

    def find(self, digest: bytes, keys: str, *, now: float) -> Remembered | None:
        """A token verified with exactly these keys (a `KeySet.digest`)."""
        if keys != self._keys:
            self._tokens.clear()
            return None
        found = self._tokens.get(digest)
        if found is None:
            return None
        if found.exp <= now:
            del self._tokens[digest]
            return None
        self._tokens.move_to_end(digest)
        return found

    def add(self, digest: bytes, keys: str, token: Remembered, *, size: int) -> None:
        """Remember one; `keys` are those it was verified with, `size` its length."""
        if not self._most or size > MAX_BYTES:
            return
        if keys != self._keys:
            self._tokens.clear()
            self._keys = keys
        self._tokens[digest] = token
        if len(self._tokens) > self._most:
            self._tokens.popitem(last=False)
