"""Signed notes: a text and lines of signatures, by keys that have names (C2SP signed-note v1). Pure.

Three kinds of signature are known: the log's own (Ed25519), and what witnesses put beside it, by
Ed25519 or by ML-DSA-44 (C2SP tlog-cosignature). Lines of other keys are kept and not looked at.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256
from typing import Final

from issuer.audit.checkpoint import Checkpoint, parse_checkpoint
from issuer.errors import PeerError, Refused
from issuer.keys.nkeys import Role, encode_public, verify

_DASH: Final = "\u2014 "
_MOST_SIGNATURES: Final = 64
_ID: Final = 4
_TIME: Final = 8
_ML_DSA_44_PUBLIC: Final = 1312


class NoteFormatError(PeerError):
    """Not a signed note, or not a key that verifies one."""

    code = "audit.note"


class NoteNotSigned(Refused):
    """A note that nobody we know signed, or whose signature is not theirs."""

    code = "audit.note-signature"


class Kind(IntEnum):
    """What a key signs and how: the byte in its id."""

    ED25519 = 0x01
    COSIGNATURE = 0x04
    COSIGNATURE_ML_DSA_44 = 0x06


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """Whose signatures are known by what key; `raw` is the public key without its kind."""

    name: str
    kind: Kind
    raw: bytes

    @property
    def id(self) -> bytes:
        return key_id(self.name, self.kind, self.raw)

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{b64encode(bytes([self.kind]) + self.raw).decode()}"


@dataclass(frozen=True, slots=True)
class Signature:
    """A line under a note. `raw` is what follows the key's id."""

    name: str
    id: bytes
    raw: bytes

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {b64encode(self.id + self.raw).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text, which ends with its newline, and who signed it."""

    text: str
    signatures: tuple[Signature, ...] = field(default=())

    def __str__(self) -> str:
        return self.text + "\n" + "".join(map(str, self.signatures))

    def by(self, key: VerifierKey) -> tuple[Signature, ...]:
        """What this key, by its name and id, is said to have signed."""
        return tuple(each for each in self.signatures if (each.name, each.id) == (key.name, key.id))


def key_id(name: str, kind: Kind, raw: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + bytes([kind]) + raw).digest()[:_ID]


def parse_vkey(text: str) -> VerifierKey:
    """A key as it is handed around: name, id, kind and key.

    Raises:
        NoteFormatError: it is not one, or its id is another's.
    """
    name, _, rest = text.strip().partition("+")
    told, _, encoded = rest.partition("+")
    raw = _base64(encoded, "the key")
    if not _is_name(name) or not raw or raw[0] not in set(Kind):
        raise NoteFormatError("not a key that verifies notes", hint="name+id+key")
    key = VerifierKey(name, Kind(raw[0]), raw[1:])
    size = _ML_DSA_44_PUBLIC if key.kind is Kind.COSIGNATURE_ML_DSA_44 else 32
    if len(key.raw) != size or key.id.hex() != told:
        raise NoteFormatError(f"the key of {name} is damaged: its id does not fit")
    return key


def parse_note(text: str) -> Note:
    """
    Raises:
        NoteFormatError: it is not a signed note.
    """
    body, gap, lines = text.rpartition("\n\n")
    if not gap or not lines.endswith("\n") or "\r" in text or not body:
        raise NoteFormatError("not a signed note: no signatures under a text")
    if any(ord(letter) < 0x20 and letter != "\n" for letter in text):
        raise NoteFormatError("not a signed note: control characters")
    signatures = tuple(map(_signature, lines.removesuffix("\n").split("\n")))
    if len(signatures) > _MOST_SIGNATURES:
        raise NoteFormatError(f"more than {_MOST_SIGNATURES} signatures under one note")
    return Note(body + "\n", signatures)


def sign_note(text: str, name: str, public: bytes, sign: Callable[[bytes], bytes]) -> Note:
    """A text signed by an Ed25519 key."""
    return Note(text, (Signature(name, key_id(name, Kind.ED25519, public), sign(text.encode())),))


def cosign(checkpoint: Note, key: VerifierKey, sign: Callable[[bytes], bytes], now: int) -> Signature:
    """A witness's signature of a checkpoint that it has found to go on with what it saw before."""
    message = _cosigned(checkpoint, key, now)
    return Signature(key.name, key.id, now.to_bytes(_TIME) + sign(message))


def signed_by(note: Note, keys: Iterable[VerifierKey]) -> list[tuple[VerifierKey, int]]:
    """Which of these keys signed a note, and when, in unix seconds, if they say so (else 0).

    Raises:
        NoteNotSigned: a line bears the name and id of a key, and it is not that key's signature.
    """
    found = []
    for key in keys:
        for line in note.by(key):
            found.append((key, _checked(note, key, line)))
            break
    return found


def opened_by(note: Note, key: VerifierKey) -> str:
    """The text of a note that this key signed.

    Raises:
        NoteNotSigned: it did not.
    """
    if not signed_by(note, (key,)):
        raise NoteNotSigned(f"{key.name} has not signed this", hint="is it the right key?")
    return note.text


def _checked(note: Note, key: VerifierKey, line: Signature) -> int:
    raw, at = line.raw, 0
    if key.kind is Kind.ED25519:
        message = note.text.encode()
    else:
        if len(raw) <= _TIME:
            raise _not_theirs(key)
        at = int.from_bytes(raw[:_TIME])
        raw, message = raw[_TIME:], _cosigned(note, key, at)
    if not _verifies(key, message, raw):
        raise _not_theirs(key)
    return at


def _not_theirs(key: VerifierKey) -> NoteNotSigned:
    return NoteNotSigned(f"what bears the name of {key.name} is not its signature")


def _cosigned(note: Note, key: VerifierKey, now: int) -> bytes:
    """The message a cosignature is over."""
    if key.kind is Kind.COSIGNATURE:
        return f"cosignature/v1\ntime {now}\n{note.text}".encode()
    checkpoint: Checkpoint = parse_checkpoint(note.text)
    return b"".join(
        (
            b"subtree/v1\n\x00",
            _opaque(key.name),
            now.to_bytes(8),
            _opaque(checkpoint.origin),
            bytes(8),
            checkpoint.size.to_bytes(8),
            checkpoint.root,
        )
    )


def _opaque(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(1) + raw


def _verifies(key: VerifierKey, message: bytes, signature: bytes) -> bool:
    if key.kind is not Kind.COSIGNATURE_ML_DSA_44:
        return verify(encode_public(Role.SERVER, key.raw), message, signature)
    # Not at the top: nobody needs it but who has such a witness, and old releases do not have it.
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

    try:
        MLDSA44PublicKey.from_public_bytes(key.raw).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _signature(line: str) -> Signature:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    raw = _base64(encoded, f"the signature of {name!r}")
    if not line.startswith(_DASH) or not _is_name(name) or len(raw) <= _ID:
        raise NoteFormatError("not a signed note: a line is not a signature")
    return Signature(name, raw[:_ID], raw[_ID:])


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(letter.isspace() for letter in name)


def _base64(text: str, what: str) -> bytes:
    try:
        raw = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteFormatError(f"{what} is not base64") from None
    if b64encode(raw).decode() != text:
        raise NoteFormatError(f"{what} is not base64 as it should be written")
    return raw
