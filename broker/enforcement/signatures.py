"""Signatures as clients send them: base64 of one kind or another, over the nonce as text."""

from __future__ import annotations

import binascii
from typing import Final

from issuer.keys.nkeys import PublicKey, verify

_FROM_URLSAFE: Final = str.maketrans({"-": "+", "_": "/", "+": "!", "/": "!", "=": "!"})
_PADDING: Final = ("", "", "==", "=")


def signature_holds(public: PublicKey, nonce: str, signature: str) -> bool:
    """Whether a client's signature over the nonce is that of this key (enforcement spec §2.1)."""
    raw = signature_bytes(signature)
    return raw is not None and verify(public, signed(nonce), raw)


def signed(nonce: str) -> bytes:
    """What is signed: the nonce as it was sent, not what it encodes."""
    return nonce.encode("utf-8", "surrogateescape")


def signature_bytes(text: str) -> bytes | None:
    """A signature from url-safe base64 without padding, else from standard base64 with it."""
    raw = urlsafe_bytes(text)
    return _decoded(_without_line_ends(text)) if raw is None else raw


def urlsafe_bytes(text: str) -> bytes | None:
    plain = _without_line_ends(text)
    return _decoded(plain.translate(_FROM_URLSAFE) + _PADDING[len(plain) % 4])


def _without_line_ends(text: str) -> str:
    # Go's decoder passes over them.
    return text.replace("\r", "").replace("\n", "")


def _decoded(text: str) -> bytes | None:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return None
