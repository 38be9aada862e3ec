"""Who can sign: the boundary between tokens and wherever a key really lives."""

from __future__ import annotations

from typing import Protocol

from issuer.keys.nkeys import PublicKey, Seed


class Signer(Protocol):
    """Something that holds a private key and lends its signature, never the key."""

    @property
    def public(self) -> PublicKey:
        """The key its signatures verify with."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature over `message` itself, no pre-hash.

        Raises:
            Unavailable: the custodian of the key cannot be reached.
        """
        ...


class SeedSigner:
    """A key in this process's memory."""

    __slots__ = ("_seed", "public", "sign")

    def __init__(self, seed: Seed) -> None:
        self._seed = seed
        self.public = seed.public
        self.sign = seed.sign  # the method itself: bulk issuing feels one call more

    def __repr__(self) -> str:
        return f"SeedSigner({self.public})"
