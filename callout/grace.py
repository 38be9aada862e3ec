"""Who may still come in while his directory gives no answer: whoever it knew a short while ago.

A binding says for how long (`grace`); without it nobody. What is kept is whom this process proved, with
which credentials, when, and from where: shown is the same again, or it is somebody else. Kept in memory,
by a keyed digest, and gone with the process. Pure; for one thread; times are seconds since 1970.

It says only that somebody was known. Denials, the policy of today and the end of the proof itself
(`Identity.expires_at`) hold as ever, and what is given does not outlive the grace. A directory that says no
is no directory that is down: what was known is forgotten then.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import Final

import msgspec

from callout.directories.directory import Credentials
from callout.fingerprint import KEY_BYTES, fingerprint_here
from issuer.grants import Identity

MAX_KEPT: Final = 50_000


class Known(msgspec.Struct, frozen=True):
    """Somebody, as his directory last vouched for him."""

    identity: Identity
    proved_at: float
    grace: int
    """Seconds, as the policy had it then."""

    def until(self, grace: int) -> float:
        """The end, by a policy that says `grace` now: the shorter of both counts."""
        end = self.proved_at + min(grace, self.grace)
        expires = self.identity.expires_at
        return end if expires is None else min(end, expires)


class Acquaintances:
    """Those of one process; the one proved longest ago is forgotten first."""

    def __init__(self, *, key: bytes | None = None, most: int = MAX_KEPT) -> None:
        self._key = key or secrets.token_bytes(KEY_BYTES)
        self._most = most
        self._kept: OrderedDict[bytes, Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def proved(self, credentials: Credentials, identity: Identity, *, grace: int, now: float) -> None:
        """A directory has just vouched for somebody whose binding gives `grace`."""
        if credentials.nkey:
            return  # a key proves itself anew at every connection, which only its directory can check
        name = fingerprint_here(credentials, self._key)
        if grace <= 0:
            self._kept.pop(name, None)
            return
        self._kept[name] = Known(identity, now, grace)
        self._kept.move_to_end(name)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def recall(self, credentials: Credentials, *, now: float) -> Known | None:
        """Whoever showed exactly these, if his grace is not over."""
        if not self._kept or credentials.nkey:
            return None
        name = fingerprint_here(credentials, self._key)
        known = self._kept.get(name)
        if known is None:
            return None
        # A clock that was set back proves nothing: what seems to lie ahead is not relied on.
        if not known.proved_at <= now < known.until(known.grace):
            del self._kept[name]
            return None
        return known

    def forget(self, credentials: Credentials) -> None:
        """His directory, or the policy, said no."""
        if self._kept:
            self._kept.pop(fingerprint_here(credentials, self._key), None)


class Outages:
    """Which directories give no answer, so that one outage is told once."""

    def __init__(self) -> None:
        self._down: set[str] = set()

    def begins(self, directory: str) -> bool:
        """Whether this is the first that is heard of it."""
        if directory in self._down:
            return False
        self._down.add(directory)
        return True

    def ends(self, directory: str) -> bool:
        """It has answered; whether it was down before."""
        if directory not in self._down:
            return False
        self._down.discard(directory)
        return True
