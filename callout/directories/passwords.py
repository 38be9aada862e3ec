"""Users and passwords that are kept by us: of devices that can show nothing better (MQTT), of a few people.

Passwords are short or chosen, so their hashes are slow on purpose. That must not stop the door: hashes are
made in a few threads, several attempts with one password wait for one hash, and an answer is remembered for
a while as a digest under a key that lives as long as the process. A wrong password that is remembered
costs nothing and counts once: a device with an old password guesses nothing, however often it comes back.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

import msgspec

from callout.directories.directory import Credentials
from callout.directories.enrolled import Enrolled, admit, identity_of
from callout.directories.keys import is_key
from callout.directories.lockout import Limits, Lockout
from callout.directories.reading import DirectorySettingsError
from callout.directories.scrypt import (
    Cost,
    PasswordHashError,
    StoredHash,
    decoy,
    fits_in,
    prepared,
    read_hash,
)
from callout.refusals import DirectoryDownError, LoginRefusedError, Reason
from issuer.grants import Identity

MAX_USER: Final = 256
MAX_REMEMBERED: Final = 50_000
MARGIN: Final = 0.01
"""Seconds before the deadline by which the answer is given."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
# Each begins or ends the name of another directory's realm.
_REALM_MARKS: Final = frozenset(":\\@")
_JWT: Final = re.compile(r"eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class StoredPassword(Enrolled, frozen=True, kw_only=True):
    """A user, and the hash of its password."""

    user: str
    """Without the directory's name before it."""
    hash: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < len(self.user) <= MAX_USER or not self.user.isprintable():
            raise DirectorySettingsError("is empty, too long, or has control characters", at="user")
        try:
            read_hash(self.hash)
        except PasswordHashError as fault:
            fault.at = "hash"
            raise

    def __repr__(self) -> str:
        return f"StoredPassword(user={self.user!r}, …)"


class PasswordLedger(Protocol):
    """Where users are found. Asked on the event loop: it answers from memory, and raises nothing."""

    def password(self, user: str) -> StoredPassword | None:
        """The user of exactly this name, shut and ended ones too."""


class ListedPasswords:
    """Users as a file or a test lists them."""

    def __init__(self, users: Mapping[str, StoredPassword]) -> None:
        self._users = dict(users)

    def password(self, user: str) -> StoredPassword | None:
        return self._users.get(user)


class PasswordSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One directory of users. Times are seconds."""

    name: str
    """Of the directory; `name:user` is ours."""
    default: bool = False
    """A user name with no realm, suffix or prefix at all is ours."""
    entries: tuple[StoredPassword, ...] | None = None
    """The users, where they are listed here and nowhere else."""
    cost: Cost = Cost()
    """What new hashes cost. Users nobody knows are answered after as long."""
    remembered: int = 300
    """For so long an answer is remembered; 0: every login costs a hash."""
    lockout: Limits = Limits()
    threads: int = 2
    """So many hashes at once; each takes `cost.memory` bytes."""
    waiting: int = 128
    """So many more may wait; who comes then is told that nothing could be found out."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise DirectorySettingsError(f"{self.name!r} is no plain name", at="name")
        if self.entries is not None and len({entry.user for entry in self.entries}) != len(self.entries):
            raise DirectorySettingsError("holds one user twice", at="entries")
        for low, value, high, at in (
            (0, self.remembered, 86_400, "remembered"),
            (1, self.threads, 64, "threads"),
            (0, self.waiting, 100_000, "waiting"),
            (1, self.lockout.failures, 1000, "lockout/failures"),
            (self.lockout.failures, self.lockout.failures_anywhere, 100_000, "lockout/failures_anywhere"),
            (1, self.lockout.window, 7 * 86_400, "lockout/window"),
        ):
            if not low <= value <= high:
                raise DirectorySettingsError(f"is {value}, not between {low} and {high}", at=at)


class PasswordDirectory:
    """The users of one directory, as a `Directory`. For one event loop."""

    def __init__(self, settings: PasswordSettings, ledger: PasswordLedger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._decoy = decoy(settings.cost)
        self._lockout = Lockout(settings.lockout)
        self._key = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, tuple[bool, float]] = OrderedDict()
        self._under_way: dict[bytes, asyncio.Task[bool]] = {}
        self._threads: ThreadPoolExecutor | None = None

    @property
    def name(self) -> str:
        return self._settings.name

    async def start(self) -> None:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._settings.threads, f"passwords-{self.name}")

    async def close(self) -> None:
        """Give up what is waiting; a hash that is being made ends by itself."""
        for task in list(self._under_way.values()):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, DirectoryDownError):
                await task
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    def claims(self, credentials: Credentials) -> bool:
        user = self._user(credentials)
        if user is None or not credentials.password:
            # A name alone is a label beside a certificate or a key.
            return False
        if user != credentials.user:
            return True
        # Without a realm a name is often no more than a label beside a token or a key.
        return not is_key(credentials.password) and not _JWT.fullmatch(credentials.password)

    async def identify(self, credentials: Credentials, *, now: float, deadline: float) -> Identity:
        user, password = self._user(credentials) or "", credentials.password
        if credentials.token not in {"", password}:
            # MQTT servers give the password as both; two that differ leave open whose login it is.
            raise LoginRefusedError(Reason.CREDENTIALS_MALFORMED, "a password and a token are shown")
        if not 0 < len(user) <= MAX_USER or not password:
            raise _wrong("a user or a password is missing, or too long")
        if not fits_in(password):
            raise LoginRefusedError(Reason.CREDENTIALS_TOO_LARGE, "the password is too long to be one")
        entry = self._ledger.password(user)
        stored = read_hash(entry.hash) if entry is not None and entry.user == user else self._decoy
        if not await self._fits(user, password, stored, credentials.address, now=now, deadline=deadline):
            raise _wrong("the password is wrong, or there is no such user")
        if entry is None or stored is self._decoy:
            raise _wrong("there is no such user")
        admit(entry, address=credentials.address, now=now)
        return identity_of(
            entry,
            directory=self.name,
            issuer=f"passwords:{self.name}",
            own_id=entry.user,
            # Not of the password: a digest of that could be guessed from.
            credential=entry.hash.encode(),
            methods=("pwd",),
            authenticated_at=int(now),
        )

    def _user(self, credentials: Credentials) -> str | None:
        """The user this directory is asked about, without its name; None if it is not."""
        realm, found, user = credentials.user.partition(":")
        if found and realm == self.name:
            return user
        if self._settings.default and credentials.user and not _REALM_MARKS & set(credentials.user):
            return credentials.user
        return None

    async def _fits(
        self, user: str, password: str, stored: StoredHash, address: str, *, now: float, deadline: float
    ) -> bool:
        digest = self._digest(user, password, stored)
        known = self._recall(digest, now)
        if known is not None:
            return known
        task = self._under_way.get(digest)
        if task is None:
            task = self._begin(user, password, stored, address, digest, now)
        try:
            async with asyncio.timeout_at(deadline - MARGIN):
                # The hash goes on when its caller has gone: the next try finds the answer.
                return await asyncio.shield(task)
        except TimeoutError:
            raise DirectoryDownError(f"{self.name}: the password was not checked in time") from None
        except asyncio.CancelledError:
            if task.cancelled():
                raise DirectoryDownError(f"{self.name} is closing") from None
            raise

    def _begin(
        self, user: str, password: str, stored: StoredHash, address: str, digest: bytes, now: float
    ) -> asyncio.Task[bool]:
        if self._threads is None:
            raise DirectoryDownError(f"{self.name} is not started")
        if len(self._under_way) >= self._settings.threads + self._settings.waiting:
            raise DirectoryDownError(f"{self.name}: {len(self._under_way)} passwords wait to be checked")
        if not self._lockout.begin(user, address, now=now):
            raise LoginRefusedError(
                Reason.GUARDED,
                "too many wrong passwords for this user lately",
                at=user,
                hint=f"they are forgotten after {self._settings.lockout.window} s",
            )
        work = self._check(self._threads, user, password, stored, address, digest, now)
        task = self._under_way[digest] = asyncio.get_running_loop().create_task(work)
        # Somebody may always have looked at it, or a failure nobody waited for would be complained about.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    async def _check(
        self,
        threads: ThreadPoolExecutor,
        user: str,
        password: str,
        stored: StoredHash,
        address: str,
        digest: bytes,
        now: float,
    ) -> bool:
        decided = False
        try:
            fits = await asyncio.get_running_loop().run_in_executor(threads, stored.fits, password)
            decided = True
        except (MemoryError, ValueError, RuntimeError) as fault:
            raise DirectoryDownError(f"{self.name}: no hash could be made: {type(fault).__name__}") from None
        finally:
            if not decided:
                self._lockout.undecided(user, address, now=now)
            self._under_way.pop(digest, None)
        if fits:
            self._lockout.right(user, address, now=now)
        self._remember(digest, fits=fits, now=now)
        return fits

    def _digest(self, user: str, password: str, stored: StoredHash) -> bytes:
        found = hashlib.blake2b(key=self._key, digest_size=32)
        # With what is stored: a changed password is forgotten at once.
        for part in (user.encode("utf-8", "surrogatepass"), prepared(password), stored.salt, stored.hash):
            found.update(len(part).to_bytes(4, "big") + part)
        return found.digest()

    def _recall(self, digest: bytes, now: float) -> bool | None:
        found = self._remembered.get(digest)
        if found is None:
            return None
        fits, until = found
        # A clock that was put back must not make it last longer.
        if not until - self._settings.remembered <= now < until:
            del self._remembered[digest]
            return None
        return fits

    def _remember(self, digest: bytes, *, fits: bool, now: float) -> None:
        if self._settings.remembered:
            self._remembered[digest] = (fits, now + self._settings.remembered)
            while len(self._remembered) > MAX_REMEMBERED:
                self._remembered.popitem(last=False)


def _wrong(message: str) -> LoginRefusedError:
    return LoginRefusedError(Reason.CREDENTIALS_WRONG, message)
