"""The `ed25519-nkey` algorithm for PyJWT, and its v1 ancestor `ed25519` for reading.

The key object says which bytes were signed, because the scheme follows the version in the
body, not the header (claims spec §2.5): v2 signs `header.payload`, v1 the payload alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import jwt
from jwt.algorithms import Algorithm

from issuer.errors import Defect
from issuer.keys.nkeys import PublicKey, verify
from issuer.tokens.signer import Signer

NAME: Final = "ed25519-nkey"
V1_NAME: Final = "ed25519"


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A public key and the token version whose signature it is to check."""

    public: PublicKey
    version: int = 2


class NKeyAlgorithm(Algorithm):
    """Ed25519 with keys in nkey form; a `Signer` signs, a `VerifyKey` verifies."""

    def prepare_key(self, key: Signer | VerifyKey) -> Signer | VerifyKey:
        return key

    def sign(self, msg: bytes, key: Signer | VerifyKey) -> bytes:
        if isinstance(key, VerifyKey):
            raise Defect("a public key cannot sign")
        return key.sign(msg)

    def verify(self, msg: bytes, key: Signer | VerifyKey, sig: bytes) -> bool:
        if not isinstance(key, VerifyKey):
            key = VerifyKey(key.public)
        if key.version <= 1:
            msg = msg.partition(b".")[2]
        return verify(key.public, msg, sig)

    @staticmethod
    def to_jwk(key_obj: Any, as_dict: bool = False) -> Any:  # noqa: FBT001, FBT002  PyJWT's signature
        raise Defect("nkeys have no JWK form here")

    @staticmethod
    def from_jwk(jwk: Any) -> Any:
        raise Defect("nkeys have no JWK form here")


def jws(*spellings: str) -> jwt.PyJWS:
    """A PyJWT codec that knows nothing but our algorithm, under these spellings of its name."""
    codec = jwt.PyJWS(algorithms=[])
    for spelling in spellings or (NAME, V1_NAME):
        codec.register_algorithm(spelling, NKeyAlgorithm())
    return codec


def register() -> None:
    """Make plain `jwt.encode` and `jwt.decode` know `ed25519-nkey`; twice does no harm."""
    try:
        jwt.register_algorithm(NAME, NKeyAlgorithm())
    except ValueError:
        return
