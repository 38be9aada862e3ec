"""What a credential was given the last time: its class and account, for when not all can come in at once.

In bounded memory, by a keyed digest. It only says who goes first; what somebody is given is decided anew
at every login. A public key alone is no secret that anybody could not show, so what is remembered of it
counts only from where it was shown.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import Final

import msgspec

from callout.directories.directory import Credentials
from callout.fingerprint import KEY_BYTES, fingerprint, fingerprint_here
from callout.policy.model import Priority

MAX_KEPT: Final = 100_000


class Standing(msgspec.Struct, frozen=True):
    """Of one credential."""

    priority: Priority
    account: str


class Standings:
    """Those of one process; the one not seen for longest is forgotten first."""

    def __init__(self, *, key: bytes | None = None, most: int = MAX_KEPT) -> None:
        self._key = key or secrets.token_bytes(KEY_BYTES)
        self._most = most
        self._kept: OrderedDict[bytes, Standing] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, credentials: Credentials) -> Standing | None:
        if not self._kept:
            return None
        return self._kept.get(self._name(credentials))

    def note(self, credentials: Credentials, standing: Standing) -> None:
        """What it was given just now."""
        name = self._name(credentials)
        self._kept[name] = standing
        self._kept.move_to_end(name)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def forget(self, credentials: Credentials) -> None:
        """It was given nothing."""
        if self._kept:
            self._kept.pop(self._name(credentials), None)

    def _name(self, credentials: Credentials) -> bytes:
        secret = credentials.password or credentials.token or credentials.certificates
        return (fingerprint if secret else fingerprint_here)(credentials, self._key)
