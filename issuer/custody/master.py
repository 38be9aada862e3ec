"""The master key: where it comes from, and whether it is the one this store was sealed with.

From the environment, a file only its owner can read, or a passphrase asked for. It is 32 bytes
and is never shown; what may be shown of it is its `key_id`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

import nacl.utils

from issuer.errors import NotFound, PeerError, Refused, Unavailable
from issuer.store.keys import CustodyRecord

SIZE: Final = 32
SALT_SIZE: Final = 16
# Argon2id, libsodium's "moderate" limits: 256 MiB and three passes, about a second.
_PASSES: Final = 3
_MEMORY: Final = 256 * 1024 * 1024
_ID_CONTEXT: Final = b"accredit master key id v1"
_CHECK_CONTEXT: Final = b"accredit master key check v1"


class MasterKeyMissing(NotFound):
    """No source gave a master key."""

    code = "custody.no-master-key"


class MasterKeyMalformed(PeerError):
    """What was given as master key is not one."""

    code = "custody.master-key"


class MasterKeyExposed(Refused):
    """Others can read the file the master key is in."""

    code = "custody.exposed"


class WrongMasterKey(Refused):
    """A master key, but not the one this store was sealed with."""

    code = "custody.wrong-master-key"


class MasterKeyUnreadable(Unavailable):
    """The file cannot be read or made."""

    code = "custody.unreadable"


class MasterKey:
    """32 secret bytes that neither print nor travel."""

    __slots__ = ("_raw", "key_id", "mark")
    key_id: str
    mark: bytes

    def __init__(self, raw: bytes) -> None:
        if len(raw) != SIZE:
            raise MasterKeyMalformed(f"a master key has {SIZE} bytes, not {len(raw)}")
        self._raw = bytes(raw)
        # What a sealed seed says it was sealed with.
        self.mark = hmac.digest(self._raw, _ID_CONTEXT, "sha256")[:8]
        self.key_id = self.mark.hex()

    @classmethod
    def generate(cls) -> MasterKey:
        return cls(nacl.utils.random(SIZE))

    @property
    def raw(self) -> bytes:
        """The secret bytes, for sealing alone."""
        return self._raw

    def __repr__(self) -> str:
        return f"MasterKey({self.key_id}, hidden)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MasterKey):
            return NotImplemented
        return hmac.compare_digest(self._raw, other._raw)

    def __hash__(self) -> int:
        return hash(self.key_id)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a master key is not serialised")


def load_master_key(
    *,
    file: Path | None = None,
    environment: str | None = None,
    ask: Callable[[], str] | None = None,
    record: CustodyRecord | None = None,
) -> MasterKey:
    """The master key from the first source there is: environment value, file, question.

    `record` is what the store noted when it was sealed: it gives passphrases their salt, and the
    key is held against it.

    Raises:
        MasterKeyMissing: no source, or the file is not there.
        WrongMasterKey: it does not fit the record.
    """
    if environment:
        key = parse_master_key(environment, at="ACCREDIT_MASTER_KEY")
    elif file is not None and (ask is None or file.exists()):
        key = read_master_key_file(file)
    elif ask is not None:
        if record is None:
            raise MasterKeyMissing("the store has no salt for a passphrase yet", hint="accredit init")
        key = derive_master_key(ask(), record.salt)
    else:
        raise MasterKeyMissing(
            "no master key was given", hint="set ACCREDIT_MASTER_KEY or name a file with --master-key"
        )
    if record is not None:
        check_master_key(key, record)
    return key


def parse_master_key(text: str, *, at: str | None = None) -> MasterKey:
    """A master key from base64; the text is not repeated in any error."""
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise MasterKeyMalformed("the master key is not base64", at=at) from None
    if len(raw) != SIZE:
        raise MasterKeyMalformed(f"a master key has {SIZE} bytes, not {len(raw)}", at=at)
    return MasterKey(raw)


def read_master_key_file(path: Path) -> MasterKey:
    """A master key from a file of its owner alone.

    Raises:
        MasterKeyExposed: group or others have any right to the file.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise MasterKeyMissing(
            "the master key file is not there", at=str(path), hint="accredit init"
        ) from None
    except OSError as fault:
        raise MasterKeyUnreadable(f"cannot read the master key: {fault.strerror}", at=str(path)) from None
    try:
        # Asked of the open file: between a look at the path and opening it, it could change.
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode):
            raise MasterKeyUnreadable("the master key is not in a plain file", at=str(path))
        if stat.S_IMODE(state.st_mode) & 0o077:
            raise MasterKeyExposed(
                "others can read the master key file", at=str(path), hint=f"chmod 600 {path}"
            )
        text = os.read(handle, 1024)
    finally:
        os.close(handle)
    try:
        return parse_master_key(text.decode("ascii"), at=str(path))
    except UnicodeDecodeError:
        raise MasterKeyMalformed("the master key is not base64", at=str(path)) from None


def create_master_key_file(path: Path) -> MasterKey:
    """A new master key in a new file, 0600; an existing file is never touched.

    Raises:
        MasterKeyUnreadable: the file exists or cannot be made.
    """
    key = MasterKey.generate()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as fault:
        raise MasterKeyUnreadable(f"cannot make the master key: {fault.strerror}", at=str(path)) from None
    with os.fdopen(handle, "wb") as file:
        file.write(base64.b64encode(key.raw) + b"\n")
        file.flush()
        # A store sealed with a key that a power cut took is lost for good.
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return key


def derive_master_key(passphrase: str, salt: bytes) -> MasterKey:
    """A master key from a passphrase, slowly on purpose (Argon2id, RFC 9106)."""
    from nacl.pwhash import argon2id

    if not passphrase:
        raise MasterKeyMalformed("the passphrase is empty")
    return MasterKey(argon2id.kdf(SIZE, passphrase.encode(), salt, opslimit=_PASSES, memlimit=_MEMORY))


def new_salt() -> bytes:
    return nacl.utils.random(SALT_SIZE)


def new_record(key: MasterKey, salt: bytes, now: int) -> CustodyRecord:
    """What to note of a master key: enough to recognise it, nothing to find it by."""
    return CustodyRecord(salt, _verifier(key, salt), now)


def check_master_key(key: MasterKey, record: CustodyRecord) -> None:
    """Hold a key against the record.

    Raises:
        WrongMasterKey: another key sealed this store.
    """
    if not hmac.compare_digest(_verifier(key, record.salt), record.verifier):
        raise WrongMasterKey(
            "this is not the master key the store was sealed with",
            at="master key",
            hint=f"the key given has the id {key.key_id}",
        )


def _verifier(key: MasterKey, salt: bytes) -> bytes:
    return hashlib.sha256(hmac.digest(key.raw, _CHECK_CONTEXT + salt, "sha256")).digest()
