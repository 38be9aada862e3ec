"""Seeds at rest: each under its own data key, the data keys under the master key.

Both layers are XChaCha20-Poly1305 and bound to the row, the purpose and the public key: a sealed
seed copied into another row does not open. Changing the master key rewraps the data keys only.

Layout: version 1 | master key id 8 | nonce 24 | data key 32 + tag 16 | seed 32 + tag 16.
"""

from __future__ import annotations

from typing import Final

import nacl.utils
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt as _decrypt,
)
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_encrypt as _encrypt,
)
from nacl.exceptions import CryptoError

from issuer.custody.master import MasterKey
from issuer.errors import Refused
from issuer.keys.nkeys import PublicKey, Seed, role_of

_VERSION: Final = b"\x01"
_ID: Final = 8
_NONCE: Final = 24
_KEY: Final = 32
_TAG: Final = 16
_HEAD: Final = 1 + _ID + _NONCE
_WRAPPED: Final = _HEAD + _KEY + _TAG
_SIZE: Final = _WRAPPED + _KEY + _TAG
# A data key seals one seed once, so this nonce never meets the same key twice.
_ZERO_NONCE: Final = bytes(_NONCE)


class SealBroken(Refused):
    """A sealed seed that does not open: changed, moved, or under another master key."""

    code = "custody.sealed"


def seal_seed(master: MasterKey, seed: Seed, *, row_id: int, kind: str) -> bytes:
    """Seal a seed for one row."""
    fresh = nacl.utils.random(_NONCE + _KEY)
    nonce, data_key = fresh[:_NONCE], fresh[_NONCE:]
    bound = _bound(row_id, kind, seed.public)
    return b"".join(
        (
            _VERSION,
            master.mark,
            nonce,
            _encrypt(data_key, bound, nonce, master.raw),
            _encrypt(seed.raw, bound, _ZERO_NONCE, data_key),
        )
    )


def open_seed(master: MasterKey, blob: bytes, *, row_id: int, kind: str, public: PublicKey) -> Seed:
    """Open what `seal_seed` made for this row, purpose and key.

    Raises:
        SealBroken: it is not that, or the master key is another.
    """
    bound = _bound(row_id, kind, public)
    data_key = _data_key(master, blob, bound, public)
    try:
        raw = _decrypt(blob[_WRAPPED:], bound, _ZERO_NONCE, data_key)
    except CryptoError:
        raise _broken(public) from None
    seed = Seed.from_raw(role_of(public), raw)
    if seed.public != public:
        raise _broken(public)
    return seed


def rewrap(
    old: MasterKey, new: MasterKey, blob: bytes, *, row_id: int, kind: str, public: PublicKey
) -> bytes:
    """The same sealed seed under another master key; the seed itself is not opened."""
    bound = _bound(row_id, kind, public)
    data_key = _data_key(old, blob, bound, public)
    nonce = nacl.utils.random(_NONCE)
    wrapped = _encrypt(data_key, bound, nonce, new.raw)
    return b"".join((_VERSION, new.mark, nonce, wrapped, blob[_WRAPPED:]))


def _data_key(master: MasterKey, blob: bytes, bound: bytes, public: str) -> bytes:
    if len(blob) != _SIZE or blob[:1] != _VERSION:
        raise _broken(public)
    sealed_by = blob[1 : 1 + _ID].hex()
    if sealed_by != master.key_id:
        raise SealBroken(
            f"the seed of {public} is sealed with another master key",
            hint=f"wanted the master key {sealed_by}, have {master.key_id}",
        )
    try:
        return _decrypt(blob[_HEAD:_WRAPPED], bound, blob[1 + _ID : _HEAD], master.raw)
    except CryptoError:
        raise _broken(public) from None


def _bound(row_id: int, kind: str, public: str) -> bytes:
    return f"accredit seed v1|{row_id}|{kind}|{public}".encode()


def _broken(public: str) -> SealBroken:
    return SealBroken(
        f"the sealed seed of {public} was changed or belongs elsewhere",
        hint="restore the store from a backup",
    )
