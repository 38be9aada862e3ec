"""Passwords as they are stored: `$scrypt$ln=14,r=8,p=5$<salt>$<hash>` (RFC 7914, base64 without padding).

What a hash costs stands in the stored text, bounded when it is read: a ledger that somebody else may write
must not make us take all the memory there is.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
import secrets
import unicodedata
from collections.abc import Callable
from typing import Final

import msgspec

from issuer.errors import PeerError

MAX_PASSWORD: Final = 1024
"""Bytes."""
MAX_MEMORY: Final = 64 * 1024 * 1024
"""Bytes that one hash may take."""
MAX_WORK: Final = 2**21
"""N·r·p: about three times that of `Cost()`."""
_SALT: Final = 16
_HASH: Final = 32
_TEXT: Final = re.compile(
    r"\$scrypt\$ln=(?P<ln>\d{1,2}),r=(?P<r>\d{1,3}),p=(?P<p>\d{1,3})"
    r"\$(?P<salt>[A-Za-z0-9+/]{11,86})\$(?P<hash>[A-Za-z0-9+/]{43,86})"
)


class PasswordHashError(PeerError):
    """A stored password that is none, or would cost too much or too little to check."""

    code = "password.malformed"


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What one check costs: `128·2**ln·r` bytes, and time in proportion to `2**ln·r·p`.

    The default is what OWASP asks for, in its form with the least memory: many are checked at once.
    """

    ln: int = 14
    r: int = 8
    p: int = 5

    def __post_init__(self) -> None:
        if not (10 <= self.ln <= 20 and self.r >= 1 and self.p >= 1):
            raise PasswordHashError("ln is from 10 to 20, r and p are at least 1")
        if self.memory > MAX_MEMORY or (self.r * self.p << self.ln) > MAX_WORK:
            raise PasswordHashError("it would take too much memory or time")

    @property
    def memory(self) -> int:
        return 128 * self.r << self.ln


class StoredHash(msgspec.Struct, frozen=True, kw_only=True):
    """A stored password."""

    cost: Cost
    salt: bytes
    hash: bytes

    def __repr__(self) -> str:
        return f"StoredHash({self.cost})"

    def __str__(self) -> str:
        cost = self.cost
        return f"$scrypt$ln={cost.ln},r={cost.r},p={cost.p}${_b64(self.salt)}${_b64(self.hash)}"

    def fits(self, password: str) -> bool:
        """Whether it is this password's. It takes as long as it costs, whatever the answer."""
        return hmac.compare_digest(_scrypt(password, self.salt, self.cost, len(self.hash)), self.hash)


def read_hash(text: str) -> StoredHash:
    """A stored password from its text.

    Raises:
        PasswordHashError: it is none of ours, or its cost is out of bounds.
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        # Perhaps it is the password itself: not a letter of it is repeated.
        raise PasswordHashError("is no $scrypt$ text", hint="store what hash_password gives")
    cost = Cost(ln=int(found["ln"]), r=int(found["r"]), p=int(found["p"]))
    try:
        return StoredHash(cost=cost, salt=_bytes(found["salt"]), hash=_bytes(found["hash"]))
    except ValueError:
        raise PasswordHashError("is no $scrypt$ text: its base64 is broken") from None


def hash_password(
    password: str, *, cost: Cost | None = None, rand: Callable[[int], bytes] = secrets.token_bytes
) -> str:
    """The text to store for a password.

    Raises:
        PasswordHashError: it is empty, or longer than one can be.
    """
    if not password or not fits_in(password):
        raise PasswordHashError(f"a password has 1 to {MAX_PASSWORD} bytes")
    cost, salt = cost or Cost(), rand(_SALT)
    return str(StoredHash(cost=cost, salt=salt, hash=_scrypt(password, salt, cost, _HASH)))


def decoy(cost: Cost, *, rand: Callable[[int], bytes] = secrets.token_bytes) -> StoredHash:
    """What nobody's password fits, and costs as much to find out."""
    return StoredHash(cost=cost, salt=rand(_SALT), hash=rand(_HASH))


def fits_in(password: str) -> bool:
    """Whether it is short enough to be looked at."""
    return len(password) <= MAX_PASSWORD and len(prepared(password)) <= MAX_PASSWORD


def prepared(password: str) -> bytes:
    """The bytes of a password: keyboards differ in how they make an é (RFC 8265 §4.2.1)."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


def _scrypt(password: str, salt: bytes, cost: Cost, length: int) -> bytes:
    return hashlib.scrypt(
        prepared(password),
        salt=salt,
        n=1 << cost.ln,
        r=cost.r,
        p=cost.p,
        # OpenSSL counts a little more than the big table.
        maxmem=cost.memory + 128 * cost.r * (cost.p + 2) + 65536,
        dklen=length,
    )


def _b64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
