"""Challenges that nobody stores: whoever shows one again shows that we made it, and when.

A challenge is its end, some chance, and a MAC over both. The key of the MAC is derived from a signature
by a key that all replicas hold (the account's, which signs the callout's answers): Ed25519 signatures
are deterministic (RFC 8032 §5.1.6), so replicas agree without telling each other anything, and nothing
new has to be kept. When that key is changed, the challenges of the last minute are void.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import heapq
import hmac
from collections.abc import Callable
from typing import Final

from issuer.tokens.signer import Signer

RANDOM_BYTES: Final = 16
LEEWAY: Final = 5
"""Seconds by which the clocks of replicas may differ."""
MOST_SPENT: Final = 100_000
_VERSION: Final = b"\x01"
_TIME: Final = 8
_MAC: Final = 32
_LENGTH: Final = 76
_PURPOSE: Final = b"accredit token exchange: the key of challenges, version 1"


class Challenges:
    """Makes and knows the challenges of all replicas."""

    def __init__(self, signer: Callable[[], Signer], *, seconds: int) -> None:
        """`signer` is asked each time: its key may be changed while we run."""
        self._signer = signer
        self._seconds = seconds
        self._kept: tuple[str, bytes] = ("", b"")

    @property
    def seconds(self) -> int:
        return self._seconds

    def new(self, *, now: int, chance: bytes) -> str:
        """A new one; `chance` are `RANDOM_BYTES` that nobody can foresee."""
        body = _VERSION + (now + self._seconds).to_bytes(_TIME, "big") + chance
        return base64.urlsafe_b64encode(body + self._mac(body)).decode()

    def end(self, nonce: str, *, now: int) -> int | None:
        """The second it ends at; None if we did not make it, or its time is over."""
        if len(nonce) != _LENGTH or not nonce.isascii():
            return None
        try:
            data = base64.urlsafe_b64decode(nonce)
        except (ValueError, binascii.Error):
            return None
        if base64.urlsafe_b64encode(data).decode() != nonce:
            # Readers take other spellings too; one that was used must not come again in another.
            return None
        body, mac = data[:-_MAC], data[-_MAC:]
        if not hmac.compare_digest(mac, self._mac(body)):
            return None
        end = int.from_bytes(body[1 : 1 + _TIME], "big")
        return end if now <= end <= now + self._seconds + LEEWAY else None

    def _mac(self, body: bytes) -> bytes:
        signer = self._signer()
        public, key = self._kept
        if public != signer.public:
            key = hashlib.sha256(signer.sign(_PURPOSE)).digest()
            self._kept = (signer.public, key)
        return hmac.digest(key, body, "sha256")


class Spent:
    """The challenges that were used here, until they are over. Each is good once in each replica."""

    def __init__(self, most: int = MOST_SPENT) -> None:
        self._known: set[str] = set()
        self._order: list[tuple[int, str]] = []
        self._most = most

    def __len__(self) -> int:
        return len(self._known)

    def spend(self, nonce: str, *, until: int, now: int) -> bool:
        """Note it; False if it was there already, or if there is no room to note it."""
        while self._order and self._order[0][0] < now:
            self._known.discard(heapq.heappop(self._order)[1])
        if nonce in self._known or len(self._known) >= self._most:
            return False
        self._known.add(nonce)
        heapq.heappush(self._order, (until, nonce))
        return True
