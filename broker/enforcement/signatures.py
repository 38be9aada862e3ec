"""Signatures as clients send them: base64 of one kind or another, over the nonce as text."""

from __future__ import annotations

import binascii
from typing import Final

from issuer.keys.nkeys import PublicKey, verify

# What is no letter of the url-safe alphabet becomes what is no letter of any.
_FROM_URLSAFE: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
_PADDING: Final = (b"", b"", b"==", b"=")


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
    return _decoded(_plain(text)) if raw is None else raw


def urlsafe_bytes(text: str) -> bytes | None:
    plain = _plain(text)
    return _decoded(plain.translate(_FROM_URLSAFE) + _PADDING[len(plain) % 4])


def _plain(text: str) -> bytes:
    # Go's decoder passes over line ends. A letter beyond ASCII stays one that is no base64.
    return text.encode("ascii", "replace").replace(b"\r", b"").replace(b"\n", b"")


def _decoded(data: bytes) -> bytes | None:
    try:
        return binascii.a2b_base64(data, strict_mode=True)
    except ValueError:
        return None
