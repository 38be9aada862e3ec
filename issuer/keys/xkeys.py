"""Sealing between two curve keys: NaCl box under an `xkv1` header (NATS ADR-26).

Both ends derive the same box key, so an opened message proves that one of the two wrote
it, not which.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import nacl.exceptions
import nacl.utils
from nacl.bindings import crypto_box_beforenm, crypto_box_easy_afternm, crypto_box_open_easy_afternm

from issuer.errors import PeerError
from issuer.keys.nkeys import KeyFormatError, PublicKey, Role, Seed, parse_public, raw_public

_VERSION: Final = b"xkv1"
_NONCE: Final = 24
_HEADER: Final = len(_VERSION) + _NONCE


class SealError(PeerError):
    """Sealing or opening failed."""

    code = "xkey.malformed"


class SealedTooShortError(SealError):
    """Not even a header and one byte."""

    code = "xkey.length"


class SealedVersionError(SealError):
    """Another version of sealing, or no sealed message at all."""

    code = "xkey.version"


class SealKeyError(SealError):
    """A key that cannot seal or open."""

    code = "xkey.key"


class SealBrokenError(SealError):
    """Altered on the way, or sealed between other keys."""

    code = "xkey.unopened"


def seal(message: bytes, *, sender: Seed, recipient: PublicKey, nonce: bytes | None = None) -> bytes:
    """Seal for `recipient`; a nonce is given only by tests, and never twice."""
    _check_curve(sender, "sender")
    _point(recipient, "recipient")
    if nonce is None:
        nonce = nacl.utils.random(_NONCE)
    try:
        return _VERSION + nonce + crypto_box_easy_afternm(message, nonce, _box_key(sender, recipient))
    except nacl.exceptions.RuntimeError:
        raise SealKeyError("the recipient's public key is a weak point on the curve") from None


def open_sealed(sealed: bytes, *, recipient: Seed, sender: PublicKey) -> bytes:
    """Open what `sender` sealed for `recipient`."""
    _check_curve(recipient, "recipient")
    if len(sealed) <= _HEADER:
        raise SealedTooShortError(f"a sealed message has more than {_HEADER} bytes, this has {len(sealed)}")
    if not sealed.startswith(_VERSION):
        raise SealedVersionError("not sealed in the version this build reads, xkv1")
    _point(sender, "sender")
    try:
        key = _box_key(recipient, sender)
        return crypto_box_open_easy_afternm(sealed[_HEADER:], sealed[len(_VERSION) : _HEADER], key)
    except nacl.exceptions.CryptoError:
        raise SealBrokenError(
            "the sealed message does not open with these keys",
            hint="it was sealed for another key, by another key, or altered on the way",
        ) from None


# A service and a server seal each answer and question between the same two keys, and to agree on theirs
# costs six times what the sealing does. It is no more secret than the seed it is kept beside.
@lru_cache(maxsize=256)
def _box_key(ours: Seed, theirs: PublicKey) -> bytes:
    return crypto_box_beforenm(raw_public(theirs), ours.raw)


def _check_curve(seed: Seed, whose: str) -> None:
    if seed.role is not Role.CURVE:
        raise SealKeyError(f"the {whose} is of role {seed.role}, only curve keys seal and open")


def _point(public: PublicKey, whose: str) -> bytes:
    try:
        return raw_public(parse_public(public, Role.CURVE))
    except KeyFormatError as fault:
        raise SealKeyError(f"the {whose} is not a curve public key: {fault.message}") from None
