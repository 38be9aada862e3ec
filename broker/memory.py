"""User tokens that verified, remembered by their hash: a storm of known users costs no second proof.

What is remembered is only that the signature of this very text fits; time, revocation and all
else is asked each time, and a connection's own signature is never remembered.
"""

from __future__ import annotations

import hashlib
from typing import Final

from issuer.claims.user import UserClaims
from issuer.tokens.envelope import Verified, decode

MAX_TOKENS: Final = 50_000


class TokenMemory:
    """Verified user tokens, the oldest forgotten first."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[bytes, Verified[UserClaims]] = {}

    def read(self, text: str) -> Verified[UserClaims]:
        """The claims of a token whose signature fits.

        Raises:
            TokenError: it does not, or is no user token.
        """
        key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        known = self._known.get(key)
        if known is None:
            known = decode(text, UserClaims)
            if len(self._known) >= MAX_TOKENS:
                del self._known[next(iter(self._known))]
            self._known[key] = known
        return known
