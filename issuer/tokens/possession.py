"""What the owner of a user key signs to have a token exchanged: the same bytes on both sides.

It binds three things: our challenge, so that it was signed just now; the key, so that the token is
for whoever signed; and the token that is shown, so that a signature cannot go with another one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final

from issuer.keys.nkeys import PublicKey

# Servers have users sign a nonce of theirs; none of those begins like this.
_DOMAIN: Final = "accredit-token-exchange-v1"
_SIGNATURE_TEXT: Final = 86


def challenged(nonce: str, public: PublicKey, subject_token: str) -> bytes:
    """The bytes to sign; a nonce and a key have no line ends in them."""
    digest = hashlib.sha256(subject_token.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{_DOMAIN}\n{nonce}\n{public}\n{digest}".encode("utf-8", "surrogatepass")


def signature_text(signature: bytes) -> str:
    """base64url without padding (RFC 4648 §5)."""
    return base64.urlsafe_b64encode(signature).rstrip(b"=").decode()


def signature_bytes(text: str) -> bytes | None:
    """The signature, or None if the text is none, or is not the one it is written with."""
    if len(text) != _SIGNATURE_TEXT or not text.isascii():
        return None
    try:
        found = base64.urlsafe_b64decode(text + "==")
    except (ValueError, binascii.Error):
        return None
    return found if signature_text(found) == text else None
