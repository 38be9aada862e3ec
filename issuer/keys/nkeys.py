"""NKeys: Ed25519 and X25519 keys in their checked base32 spelling (NATS ADR-14, RFC 8032, RFC 7748).

Reading is stricter than the reference library: exact length, exact prefix byte, canonical
text. Every fault has its own error, and no error repeats the text it refused, because a
text in the wrong place is often a seed.
"""

from __future__ import annotations

import binascii
import hmac
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import Final, NewType, NoReturn

import nacl.utils
from nacl.bindings import crypto_scalarmult_base, crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from issuer.errors import PeerError

PublicKey = NewType("PublicKey", str)
"""The text of a public key that has been checked: 56 characters, first one names the role."""


class Role(StrEnum):
    """What a key speaks for."""

    OPERATOR = "operator"
    ACCOUNT = "account"
    USER = "user"
    SERVER = "server"
    CLUSTER = "cluster"
    CURVE = "curve"

    @property
    def letter(self) -> str:
        """First character of its public keys, second of its seeds."""
        return _LETTER[self]


_LETTER: Final = {
    Role.OPERATOR: "O",
    Role.ACCOUNT: "A",
    Role.USER: "U",
    Role.SERVER: "N",
    Role.CLUSTER: "C",
    Role.CURVE: "X",
}
_ROLE_OF_LETTER: Final = {letter: role for role, letter in _LETTER.items()}

_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_PAIRS: Final = [first + second for first in _ALPHABET for second in _ALPHABET]
_AS_DIGITS: Final = bytes.maketrans(_ALPHABET.encode(), b"0123456789abcdefghijklmnopqrstuv")
_ALPHABET_BYTES: Final = _ALPHABET.encode()

# A prefix byte is the alphabet position of its letter, moved into the high five bits.
_PREFIX: Final = {role: _ALPHABET.index(letter) << 3 for role, letter in _LETTER.items()}
_ROLE_OF_PREFIX: Final = {prefix: role for role, prefix in _PREFIX.items()}
_SEED_MARK: Final = _ALPHABET.index("S") << 3
_PUBLIC_HEADER: Final = {role: bytes([prefix]) for role, prefix in _PREFIX.items()}
_SEED_HEADER: Final = {
    role: bytes([_SEED_MARK | prefix >> 5, (prefix & 31) << 3]) for role, prefix in _PREFIX.items()
}

_RAW: Final = 32
_PUBLIC_TEXT: Final = 56
_SEED_TEXT: Final = 58
_SIGNATURE: Final = 64


class KeyFormatError(PeerError):
    """A text that should be a key is not one."""

    code = "key.malformed"


class KeyPrefixError(KeyFormatError):
    """The leading letters name no known kind of key, or not this form of key."""

    code = "key.prefix"


class KeyChecksumError(KeyFormatError):
    """The checksum does not match: a character was mistyped or lost."""

    code = "key.checksum"


class KeyLengthError(KeyFormatError):
    """Too short or too long."""

    code = "key.length"


class KeyAlphabetError(KeyFormatError):
    """A character outside A-Z and 2-7, or spare bits set in the last one."""

    code = "key.alphabet"


class KeyRoleError(KeyFormatError):
    """A sound key, but of a role that has no place here."""

    code = "key.role"


def b32(data: bytes) -> str:
    """RFC 4648 base32 without padding; about half the cost of `base64.b32encode`."""
    short = -len(data) % 5
    number = int.from_bytes(data, "big") << (8 * short)
    pairs = _PAIRS
    text = "".join([pairs[number >> shift & 1023] for shift in _shifts(len(data) + short)])
    return text[: (len(data) * 8 + 4) // 5] if short else text


@lru_cache(maxsize=128)
def _shifts(size: int) -> range:
    return range(size * 8 - 10, -1, -10)


def parse_public(text: str, *roles: Role, at: str | None = None) -> PublicKey:
    """Check a public key; with roles given, it must have one of them."""
    try:
        role = _read_public(text)[0]
    except KeyFormatError as fault:
        fault.at = at
        raise
    _require_role(role, roles, "key", at)
    return PublicKey(text)


def is_public(text: str, *roles: Role) -> bool:
    """Whether `parse_public` would take it."""
    try:
        parse_public(text, *roles)
    except KeyFormatError:
        return False
    return True


def role_of(public: PublicKey) -> Role:
    """The role a checked public key names in its first letter."""
    try:
        return _ROLE_OF_LETTER[public[:1]]
    except KeyError:
        raise KeyPrefixError("not the text of a public key") from None


def raw_public(public: PublicKey) -> bytes:
    """The 32 bytes inside a public key."""
    return _read_public(public)[1]


def encode_public(role: Role, raw32: bytes) -> PublicKey:
    """The text of a public key."""
    if len(raw32) != _RAW:
        raise KeyLengthError(f"a public key has {_RAW} bytes, not {len(raw32)}")
    return PublicKey(_checked(_PUBLIC_HEADER[role] + raw32))


def verify(public: PublicKey, message: bytes, signature: bytes) -> bool:
    """Whether this key made this signature; a curve key never signs anything."""
    if len(signature) != _SIGNATURE or public[:1] == "X":
        return False
    try:
        crypto_sign_open(signature + message, _read_public(public)[1])
    except BadSignatureError:
        return False
    return True


def _checked(body: bytes) -> str:
    # The checksum is CRC-16/XMODEM stored low byte first; crc_hqx is that CRC.
    return b32(body + binascii.crc_hqx(body, 0).to_bytes(2, "little"))


# Issuers, accounts and servers repeat on every token; failures raise and so are never kept.
@lru_cache(maxsize=4096)
def _read_public(text: str) -> tuple[Role, bytes]:
    _check_alphabet(text)
    if text[:1] in ("S", "P"):
        kind = "seed" if text[0] == "S" else "private key"
        raise KeyPrefixError(
            f"a {kind} was given where a public key is wanted",
            hint=f"give the public key, and treat that {kind} as exposed",
        )
    body = _unchecked(text, _PUBLIC_TEXT, "public key")
    role = _ROLE_OF_PREFIX.get(body[0])
    if role is None:
        raise KeyPrefixError("the prefix names no kind of public key")
    return role, body[1:]


def _read_seed(text: str) -> tuple[Role, bytes]:
    _check_alphabet(text)
    if text[:1] not in ("S", ""):
        raise KeyPrefixError("not a seed, and perhaps a public key", hint="seeds start with S")
    body = _unchecked(text, _SEED_TEXT, "seed")
    prefix = (body[0] & 7) << 5 | body[1] >> 3
    role = _ROLE_OF_PREFIX.get(prefix)
    if role is None or body[:2] != _SEED_HEADER[role]:
        raise KeyPrefixError("the prefix names no kind of seed")
    return role, body[2:]


def _check_alphabet(text: str) -> None:
    # Asked before encoding: a UnicodeEncodeError would carry the whole text along.
    if not text.isascii() or text.encode().translate(None, _ALPHABET_BYTES):
        place = next(i for i, c in enumerate(text, 1) if c not in _ALPHABET)
        raise KeyAlphabetError(
            f"character {place} of {len(text)} is not one of A-Z and 2-7",
            hint="keys are written in upper case, without spaces and without padding",
        )


def _unchecked(text: str, length: int, noun: str) -> bytes:
    if len(text) != length:
        raise KeyLengthError(f"a {noun} has {length} characters, not {len(text)}")
    number = int(text.encode().translate(_AS_DIGITS), 32)
    spare = length * 5 % 8
    if number & ((1 << spare) - 1):
        raise KeyAlphabetError(f"the last character of the {noun} is not the one its key is written with")
    data = (number >> spare).to_bytes(length * 5 // 8, "big")
    body = data[:-2]
    if binascii.crc_hqx(body, 0) != int.from_bytes(data[-2:], "little"):
        raise KeyChecksumError(
            f"the checksum of the {noun} does not match", hint="a character is wrong: copy it again"
        )
    return body


def _require_role(role: Role, roles: tuple[Role, ...], noun: str, at: str | None) -> None:
    if roles and role not in roles:
        wanted = " or ".join(roles)
        raise KeyRoleError(f"this is {_article(role)} {noun}, wanted {_article(wanted)} {noun}", at=at)


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeio" else f"a {noun}"


class Seed:
    """The secret half of a key: it signs, and tells its text only when asked by `reveal`.

    Python cannot wipe memory: the bytes stay in the process until they are reused.
    """

    __slots__ = ("_public", "_raw", "_role", "_secret")
    _public: PublicKey
    _raw: bytes
    _role: Role
    _secret: bytes

    def __init__(self) -> None:
        raise TypeError("use Seed.parse, Seed.generate or Seed.from_raw")

    @classmethod
    def parse(cls, text: str, *roles: Role, at: str | None = None) -> Seed:
        """Read a seed text exactly; whoever reads a file strips the line end first."""
        try:
            role, raw = _read_seed(text)
        except KeyFormatError as fault:
            fault.at = at
            raise
        _require_role(role, roles, "seed", at)
        return cls.from_raw(role, raw)

    @classmethod
    def generate(cls, role: Role, *, rand: Callable[[int], bytes] = nacl.utils.random) -> Seed:
        """A new key from 32 random bytes."""
        return cls.from_raw(role, rand(_RAW))

    @classmethod
    def from_raw(cls, role: Role, raw32: bytes) -> Seed:
        """The key of these 32 bytes: an RFC 8032 seed, or for a curve key an RFC 7748 scalar."""
        if len(raw32) != _RAW:
            raise KeyLengthError(f"a seed holds {_RAW} bytes, not {len(raw32)}")
        if role is Role.CURVE:
            point = crypto_scalarmult_base(raw32)
            secret = raw32
        else:
            point, secret = crypto_sign_seed_keypair(raw32)
        self = object.__new__(cls)
        self._role = role
        self._raw = raw32
        self._secret = secret
        self._public = PublicKey(_checked(_PUBLIC_HEADER[role] + point))
        return self

    @property
    def role(self) -> Role:
        return self._role

    @property
    def public(self) -> PublicKey:
        return self._public

    @property
    def raw(self) -> bytes:
        """The 32 secret bytes."""
        return self._raw

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature, 64 bytes."""
        if self._role is Role.CURVE:
            raise KeyRoleError("a curve key cannot sign", hint="curve keys only seal and open")
        return crypto_sign(message, self._secret)[:_SIGNATURE]

    def reveal(self) -> str:
        """The seed as text, to be written where only its owner reads."""
        return _checked(_SEED_HEADER[self._role] + self._raw)

    def __repr__(self) -> str:
        return f"Seed({self._public[:4]}…, hidden)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Seed):
            return NotImplemented
        return self._role is other._role and hmac.compare_digest(self._raw, other._raw)

    def __hash__(self) -> int:
        return hash(self._public)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a seed is not serialised: reveal it on purpose instead")
