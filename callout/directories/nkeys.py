"""Devices that hold a key pair of their own: an enrolled public key, and a signature over the server's nonce.

The seed never leaves the device, and what it shows is worth nothing on another connection: the nonce is the
server's, and stands in the request that the server signed.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from callout.directories.directory import Credentials
from callout.directories.enrolled import Enrolled, EnrolledDirectory
from callout.directories.reading import DirectorySettingsError
from callout.refusals import LoginRefusedError, Reason
from issuer.errors import AccreditError
from issuer.grants import Identity
from issuer.keys.nkeys import PublicKey, Role, parse_public, verify

MAX_NONCE: Final = 1024
_URLSAFE: Final = re.compile(r"[A-Za-z0-9_-]{86}")
_STANDARD: Final = re.compile(r"[A-Za-z0-9+/]{86}==")


class EnrolledNkey(Enrolled, frozen=True, kw_only=True):
    """A device's public key, and whose device it is."""

    public: PublicKey

    def __post_init__(self) -> None:
        super().__post_init__()
        # A seed in its place is an error that does not repeat it.
        parse_public(self.public, Role.USER, at="public")


class NkeyLedger(Protocol):
    """Where enrolled keys are found. Asked on the event loop: it answers from memory, and raises nothing."""

    def nkey(self, public: str) -> EnrolledNkey | None:
        """The enrolment of this public key, shut and ended ones too."""


class ListedNkeys:
    """Enrolled keys as a file or a test lists them."""

    def __init__(self, nkeys: Mapping[str, EnrolledNkey]) -> None:
        self._nkeys = dict(nkeys)

    def nkey(self, public: str) -> EnrolledNkey | None:
        return self._nkeys.get(public)


class NkeySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One directory of device keys."""

    name: str
    entries: tuple[EnrolledNkey, ...] | None = None
    """The keys, where they are listed here and nowhere else."""

    def __post_init__(self) -> None:
        if self.entries is not None and len({entry.public for entry in self.entries}) != len(self.entries):
            raise DirectorySettingsError("holds one key twice", at="entries")


class NkeyDirectory(EnrolledDirectory[NkeyLedger]):
    """The enrolled keys of one directory, as a `Directory`."""

    realm = "nkeys"

    def __init__(self, settings: NkeySettings, ledger: NkeyLedger) -> None:
        super().__init__(settings.name, ledger)

    def claims(self, credentials: Credentials) -> bool:
        return bool(credentials.nkey) and self._ledger.nkey(credentials.nkey) is not None

    async def identify(self, credentials: Credentials, *, now: float, deadline: float) -> Identity:
        entry = self._ledger.nkey(credentials.nkey)
        if entry is None or entry.public != credentials.nkey:
            raise LoginRefusedError(Reason.UNKNOWN_KEY, "no such device key")
        if not _holds(entry.public, credentials):
            raise LoginRefusedError(
                Reason.CREDENTIALS_WRONG, "the signature over the nonce is not its key's", at=entry.public
            )
        return self._admitted(
            entry,
            credentials,
            now=now,
            own_id=entry.public,
            credential=entry.public.encode(),
            methods=("pop",),  # of a key, in hardware or not: registered beside RFC 8176
            authenticated_at=int(now),
        )


def _holds(public: PublicKey, credentials: Credentials) -> bool:
    signature = _signature(credentials.signature)
    # Over nothing anybody could have signed once for all.
    if signature is None or not 0 < len(credentials.nonce) <= MAX_NONCE:
        return False
    try:
        # What is signed is the nonce as it was sent, not what it encodes (enforcement spec §2.1).
        return verify(public, credentials.nonce.encode("utf-8", "surrogatepass"), signature)
    except AccreditError:
        return False


def _signature(text: str) -> bytes | None:
    """The 64 bytes from base64url without padding or base64 with it, the two forms servers take."""
    if _URLSAFE.fullmatch(text):
        text = text.replace("-", "+").replace("_", "/") + "=="
    elif not _STANDARD.fullmatch(text):
        return None
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return None
