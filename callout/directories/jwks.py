"""A key set as an issuer publishes it (RFC 7517), read into keys that can verify and nothing else.

What a key may be used for is settled here, once: its type and curve say which algorithms it fits, its
`alg`, `use` and `key_ops` narrow that. A token chooses among the keys by `kid`, which is compared and
never interpreted.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from joserfc import jwk, jws
from joserfc.errors import JoseError

from issuer.claims.wire import ClaimSyntaxError, strict_object
from issuer.errors import PeerError

MAX_KEYS: Final = 100
"""Okta publishes 2, Entra about 10; each costs a parse of some 50 µs."""
RSA_BITS: Final = range(2048, 8192 + 1)
"""Below is weak (NIST SP 800-131A), above is slow enough to be an attack."""

_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_FITS: Final[dict[tuple[str, str], frozenset[str]]] = {
    ("RSA", ""): _RSA,
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA", "Ed25519"}),
    ("OKP", "Ed448"): frozenset({"EdDSA", "Ed448"}),
}
ALGORITHMS: Final = frozenset().union(*_FITS.values())
"""All that may be configured. None has a secret for a key: whoever checks one could also sign."""
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class KeySetError(PeerError):
    """An answer that is no key set."""

    code = "oidc.key-set"


class VerificationKey(msgspec.Struct, frozen=True, kw_only=True):
    """One public key."""

    kid: str
    algorithms: frozenset[str]
    """What a signature by it may be."""
    public: Any
    """joserfc's; opaque to everybody else."""
    thumbprint: str

    def __repr__(self) -> str:
        return f"VerificationKey({self.kid!r}, {sorted(self.algorithms)})"

    def verifies(self, algorithm: str, message: bytes, signature: bytes) -> bool:
        """Whether `signature` over `message` is this key's.

        The algorithm must be one the caller allows; here it must fit the key.
        """
        if algorithm not in self.algorithms:
            return False
        try:
            model = jws.JWSRegistry.algorithms[algorithm]
            model.check_key(self.public)
            return bool(model.verify(message, signature, self.public))
        except (JoseError, ValueError, TypeError, KeyError):
            return False


class KeySet(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of one issuer at one time."""

    keys: Mapping[str, tuple[VerificationKey, ...]] = {}
    """By `kid`; "" for those without one. Several under one `kid` differ in what they fit."""
    digest: str = ""
    """Changes when a key comes, goes or changes."""
    faults: tuple[str, ...] = ()
    """Why other keys in the answer were left out."""

    def named(self, kid: str | None) -> tuple[VerificationKey, ...]:
        """The keys a token can mean; one without `kid` can mean only the one key there is.

        OpenID Connect Core §10.1 demands a `kid` where there are several keys.
        """
        if kid is not None:
            return self.keys.get(kid, ())
        only = next(iter(self.keys.values()), ()) if len(self.keys) == 1 else ()
        return only if len(only) == 1 else ()

    def __len__(self) -> int:
        return sum(len(keys) for keys in self.keys.values())


def read_key_set(body: bytes) -> KeySet:
    """Read a key set; keys that cannot verify signatures are left out, with the reason.

    A set without keys is a set: an issuer that has withdrawn all of them means it.

    Raises:
        KeySetError: it is none.
    """
    try:
        listed = strict_object(body).get("keys")
    except ClaimSyntaxError as error:
        raise KeySetError(f"the key set {error.message}") from None
    if not isinstance(listed, list):
        raise KeySetError("the key set has no list of keys")
    if len(listed) > MAX_KEYS:
        raise KeySetError(f"the key set has {len(listed)} keys; {MAX_KEYS} are the most")
    keys: dict[str, tuple[VerificationKey, ...]] = {}
    faults = []
    for place, entry in enumerate(listed):
        try:
            key = _key(entry)
        except KeySetError as fault:
            faults.append(f"/keys/{place} {fault.message}")
            continue
        beside = keys.get(key.kid, ())
        if any(key.thumbprint == other.thumbprint for other in beside):
            continue
        keys[key.kid] = (*beside, key)
    return KeySet(keys=keys, digest=_digest(keys), faults=tuple(faults))


def _key(entry: Any) -> VerificationKey:
    if not isinstance(entry, dict):
        raise KeySetError("is no key")
    kid = entry.get("kid", "")
    if not isinstance(kid, str):
        raise KeySetError("has a kid that is no text")
    kind = (str(entry.get("kty")), "" if entry.get("kty") == "RSA" else str(entry.get("crv")))
    algorithms = _FITS.get(kind)
    if algorithms is None:
        raise KeySetError(f"is of type {' '.join(kind)[:40]!r}, which verifies nothing we take")
    if entry.get("use", "sig") != "sig":
        raise KeySetError("is not for signatures")
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise KeySetError("is not for verifying")
    if _PRIVATE & entry.keys():
        # Everybody has it now, so it proves nothing.
        raise KeySetError("is published with its private half")
    if "alg" in entry:
        algorithms = frozenset(name for name in algorithms if name == entry["alg"])
        if not algorithms:
            raise KeySetError("names an algorithm that does not fit it")
    # Without what is settled above, so that joserfc does not settle it again in its own way: it takes
    # EdDSA and Ed25519 for different things.
    plain = {name: entry[name] for name in ("kty", "crv", "n", "e", "x", "y") if name in entry}
    try:
        if kind[0] == "RSA":
            # Before it is loaded: joserfc warns of short keys and loads them.
            bits = int.from_bytes(base64.urlsafe_b64decode(f"{plain['n']}==")).bit_length()
            if bits not in RSA_BITS:
                raise KeySetError(f"is an RSA key of {bits} bits")
        public = jwk.import_key(plain)
        thumbprint = public.thumbprint()
    except (JoseError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise KeySetError(f"does not load: {type(error).__name__}") from None
    return VerificationKey(kid=kid, algorithms=algorithms, public=public, thumbprint=thumbprint)


def _digest(keys: Mapping[str, tuple[VerificationKey, ...]]) -> str:
    lines = sorted(
        f"{kid}\0{key.thumbprint}\0{' '.join(sorted(key.algorithms))}"
        for kid, named in keys.items()
        for key in named
    )
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()
