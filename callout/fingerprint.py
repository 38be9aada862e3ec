"""Tells one credential from another in memory, and gives none away.

Keyed by chance that is made anew in every process: what is kept is worth nothing anywhere else.
"""

from __future__ import annotations

import hashlib

from callout.directories.directory import Credentials

KEY_BYTES = 32
_FIELDS = ("user", "password", "token", "nkey")


def fingerprint(credentials: Credentials, key: bytes) -> bytes:
    """Of what was shown, without what is new at every connection (nonce and signature)."""
    return _digest(key, b"shown", *_shown(credentials))


def fingerprint_here(credentials: Credentials, key: bytes) -> bytes:
    """As `fingerprint`, and of how and from where it was shown: a directory may look at that, too."""
    place = (credentials.address, credentials.connection_type, credentials.mqtt_id)
    return _digest(key, b"shown here", *_shown(credentials), *(_bytes(each) for each in place))


def _shown(credentials: Credentials) -> tuple[bytes, ...]:
    fields = (_bytes(getattr(credentials, name)) for name in _FIELDS)
    return (*fields, *(_bytes(each) for each in credentials.certificates))


def _bytes(text: str) -> bytes:
    # Passwords may hold what is no proper text.
    return text.encode("utf-8", "surrogatepass")


def _digest(key: bytes, *parts: bytes) -> bytes:
    # Each with its length, or the end of one could be taken for the beginning of the next.
    found = hashlib.blake2b(key=key, digest_size=32)
    for part in parts:
        found.update(len(part).to_bytes(8, "big"))
        found.update(part)
    return found.digest()
