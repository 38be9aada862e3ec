"""API keys for services and devices: `ak_<directory>_<id>_<secret>`.

The prefix lets scanners find a key that leaked, and names the directory, so that nothing is tried. The last
six characters are a checksum over all before: a slip of the pen is found without a look-up, and a text that
only resembles a key is none. Letters and digits alone, so that a double click takes the whole key.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import zlib
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol

import msgspec

from callout.directories.directory import Credentials
from callout.directories.enrolled import Enrolled, EnrolledDirectory
from callout.directories.reading import DirectorySettingsError
from callout.refusals import LoginRefusedError, Reason
from issuer.grants import Attribute, Identity, Kind

PREFIX: Final = "ak_"
SECRET_BYTES: Final = 32
ID_BYTES: Final = 9
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_LENGTH: Final = 43  # 62**43 > 2**256
_ID_LENGTH: Final = 13  # 62**13 > 2**72
_CHECKSUM_LENGTH: Final = 6  # 62**6 > 2**32
# An underscore in a name would let two directories claim one key.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_KEY: Final = re.compile(
    rf"ak_(?P<directory>{_NAME.pattern})_(?P<id>{_ID.pattern})_(?P<secret>[A-Za-z0-9]{{43}}[A-Za-z0-9]{{6}})"
)
_HASH: Final = re.compile(r"[0-9a-f]{64}")
MAX_KEY: Final = 200
_NOBODY: Final = "0" * 64


class StoredKey(Enrolled, frozen=True, kw_only=True):
    """What is kept of an API key: nothing that it could be made from."""

    id: str
    hash: str
    """SHA-256 of the whole key, in hex."""
    kind: Kind = Kind.SERVICE

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _ID.fullmatch(self.id):
            raise DirectorySettingsError("is not 1 to 64 letters, digits and dashes", at="id")
        if not _HASH.fullmatch(self.hash):
            # Perhaps it is the key itself: not a letter of it is repeated.
            raise DirectorySettingsError(
                "is not the SHA-256 of a key in 64 hex digits", at="hash", hint="store what generate gives"
            )
        if self.kind is Kind.PERSON:
            raise DirectorySettingsError("is a person, and people have no API keys", at="kind")


class KeyLedger(Protocol):
    """Where stored keys are found. Asked on the event loop: it answers from memory, and raises nothing."""

    def key(self, key_id: str) -> StoredKey | None:
        """The key of this id, shut and ended ones too."""


class ListedKeys:
    """Stored keys as a file or a test lists them."""

    def __init__(self, keys: Mapping[str, StoredKey]) -> None:
        self._keys = dict(keys)

    def key(self, key_id: str) -> StoredKey | None:
        return self._keys.get(key_id)


class KeySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One directory of API keys."""

    name: str
    """Of the directory, and part of each of its keys."""
    entries: tuple[StoredKey, ...] | None = None
    """The keys, where they are listed here and nowhere else."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise DirectorySettingsError(
                f"{self.name!r} cannot be part of a key", at="name", hint="use letters, digits and dashes"
            )
        if self.entries is not None and len({entry.id for entry in self.entries}) != len(self.entries):
            raise DirectorySettingsError("holds two keys of one id", at="entries")


class _Parts(NamedTuple):
    directory: str
    id: str


def generate(
    directory: str,
    *,
    now: int,
    key_id: str = "",
    subject: str = "",
    name: str = "",
    kind: Kind = Kind.SERVICE,
    groups: tuple[str, ...] = (),
    attributes: Mapping[str, Attribute] | None = None,
    networks: tuple[str, ...] = (),
    expires_at: int | None = None,
    rand: Callable[[int], bytes] = secrets.token_bytes,
) -> tuple[str, StoredKey]:
    """A new key: its text, to be shown once and kept by nobody but its owner, and what is stored of it.

    Raises:
        DirectorySettingsError: the directory's name, or what shall be known of its owner, cannot stand.
    """
    if not _NAME.fullmatch(directory):
        raise DirectorySettingsError(f"{directory!r} cannot be part of a key", at="name")
    key_id = key_id or _base62(int.from_bytes(rand(ID_BYTES), "big"), _ID_LENGTH)
    body = f"{PREFIX}{directory}_{key_id}_" + _base62(
        int.from_bytes(rand(SECRET_BYTES), "big"), _SECRET_LENGTH
    )
    text = body + _checksum(body)
    stored = StoredKey(
        id=key_id,
        hash=_hashed(text),
        subject=subject,
        name=name,
        kind=kind,
        groups=groups,
        attributes=attributes or {},
        networks=networks,
        expires_at=expires_at,
        made_at=now,
    )
    return text, stored


def is_key(text: str) -> bool:
    """Whether it is an API key of some directory, checksum and all: then it is nobody's password."""
    return _parts(text) is not None


class KeyDirectory(EnrolledDirectory[KeyLedger]):
    """The API keys of one directory, as a `Directory`."""

    realm = "keys"

    def __init__(self, settings: KeySettings, ledger: KeyLedger) -> None:
        super().__init__(settings.name, ledger)
        self._prefix = f"{PREFIX}{settings.name}_"

    def claims(self, credentials: Credentials) -> bool:
        return bool(self._shown(credentials))

    async def identify(self, credentials: Credentials, *, now: float, deadline: float) -> Identity:
        shown = self._shown(credentials)
        if len(set(shown)) != 1:
            # MQTT servers give the password as both; two that differ leave open whose login it is.
            raise LoginRefusedError(Reason.CREDENTIALS_MALFORMED, f"{len(set(shown))} API keys are shown")
        parts = _parts(shown[0])
        if parts is None or parts.directory != self._name:
            raise LoginRefusedError(
                Reason.CREDENTIALS_MALFORMED,
                "it begins as an API key and is none, or a character of it is wrong",
                hint="copy the key again, whole",
            )
        stored = self._ledger.key(parts.id)
        # A key is 256 random bits: nobody guesses one from its hash, however fast that is, so a slow hash
        # for passwords would only make logins dear. What is compared in constant time is the hash.
        right = hmac.compare_digest(_hashed(shown[0]), stored.hash if stored is not None else _NOBODY)
        if stored is None or not right or stored.id != parts.id:
            raise LoginRefusedError(Reason.CREDENTIALS_WRONG, "no such API key", at=parts.id)
        return self._admitted(
            stored,
            credentials,
            now=now,
            own_id=stored.id,
            credential=stored.hash.encode(),
            methods=(),  # RFC 8176 has no word for it
            # Whoever shows a key proves no more than that it was made: a denial of all that was proved
            # before some second takes in the keys that are older, and not those made since.
            authenticated_at=stored.made_at,
        )

    def _shown(self, credentials: Credentials) -> list[str]:
        return [text for text in (credentials.token, credentials.password) if text.startswith(self._prefix)]


def _parts(text: str) -> _Parts | None:
    if len(text) > MAX_KEY:
        return None
    found = _KEY.fullmatch(text)
    if found is None or _checksum(text[:-_CHECKSUM_LENGTH]) != text[-_CHECKSUM_LENGTH:]:
        return None
    return _Parts(found["directory"], found["id"])


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
