"""The configured directories: which one a login is for, which of them work, and why the others do not.

Exactly one directory must claim a login; nothing is ever tried at one after another. A directory that cannot
start does not stop the others. What is meant for it is still meant for it: such a login is told that the
directory is down, and is not taken by another one that would have had to share it.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, cast, runtime_checkable

import msgspec

from callout.directories.directory import Credentials, Directory
from callout.directories.openers import Ledgers, Opener, Settings
from callout.directories.reading import DirectorySettingsError, child, nearest
from callout.refusals import DirectoryDownError, LoginRefusedError, Reason
from issuer.errors import AccreditError

log = logging.getLogger("accredit.callout")

OPENERS: Final[Mapping[str, str]] = {
    "certificates": "callout.directories.openers:certificates",
    "keys": "callout.directories.openers:keys",
    "ldap": "callout.directories.openers:ldap",
    "nkeys": "callout.directories.openers:nkeys",
    "oidc": "callout.directories.openers:oidc",
    "passwords": "callout.directories.openers:passwords",
}
"""Kind, and where its opener is: `module:name`, imported when one is opened."""
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds."""

    start: float = 10.0
    """A directory that is not ready by then is disabled, and tried again."""
    close: float = 5.0
    retry: float = 1.0
    """Before the second attempt; each further pause is twice as long, less up to a quarter by chance."""
    longest_retry: float = 300.0


class Configured(msgspec.Struct, frozen=True, kw_only=True):
    """One directory as the configuration has it; its own settings are read when it is opened."""

    name: str
    kind: str
    settings: Settings
    at: str
    """The JSON pointer to it."""

    def __repr__(self) -> str:
        return f"Configured({self.name!r}, {self.kind!r})"


class DirectoryState(msgspec.Struct, frozen=True, kw_only=True):
    """How one directory is doing, for the console and metrics. Times are seconds since 1970."""

    name: str
    kind: str
    ready: bool
    reason: str = ""
    """Why it is disabled; where it stands in the configuration comes first, if that is at fault."""
    code: str = ""
    hint: str = ""
    attempts: int = 0
    since: float = 0.0
    """When it became ready, or disabled."""
    next_attempt: float | None = None
    keys_at: float | None = None
    """When the keys were read by which it judges tokens, if it has any."""
    keys_stale: bool = False
    """Whether those are older than they should be, because nobody tells newer ones."""


@runtime_checkable
class HoldsKeys(Protocol):
    """A directory that judges by keys somebody publishes."""

    @property
    def keys_at(self) -> float | None: ...

    def keys_stale(self, now: float) -> bool: ...


def read_directories(
    documents: Sequence[Any], *, at: str = "/directories", openers: Mapping[str, str] = OPENERS
) -> tuple[Configured, ...]:
    """The list of directories from plain data: `{name, kind, …}` each.

    Raises:
        DirectorySettingsError: a name that is missing, taken or none; a kind that is unknown. With those, it
            could not be said for whom a login is.
    """
    found: dict[str, Configured] = {}
    for number, document in enumerate(documents):
        place = child(at, number)
        if not isinstance(document, Mapping):
            raise DirectorySettingsError("is no mapping", at=place, hint="write members by name")
        for member in ("name", "kind"):
            if not isinstance(document.get(member), str):
                raise DirectorySettingsError(f"lacks a {member}", at=place, hint=f"add {member}:")
        name, kind = document["name"], document["kind"]
        if not NAME.fullmatch(name):
            raise DirectorySettingsError(
                f"{name!r} is no plain name", at=child(place, "name"), hint="use letters, digits and dashes"
            )
        if name in found:
            raise DirectorySettingsError(
                f"{name!r} is the name of two directories", at=child(place, "name"), hint=found[name].at
            )
        if kind not in openers:
            raise DirectorySettingsError(
                f"{kind!r} is no kind of directory", at=child(place, "kind"), hint=nearest(kind, openers)
            )
        settings = {member: value for member, value in document.items() if member != "kind"}
        found[name] = Configured(name=name, kind=kind, settings=settings, at=place)
    return tuple(found.values())


class _Slot:
    """One configured directory and what became of it."""

    __slots__ = ("attempts", "configured", "directory", "fault", "next_attempt", "ready", "since")

    def __init__(self, configured: Configured) -> None:
        self.configured = configured
        self.directory: Directory | None = None
        """Also while it is not ready: what it claims is known from its settings."""
        self.ready = False
        self.fault: AccreditError = DirectoryDownError("is not started")
        self.attempts = 0
        self.since = 0.0
        self.next_attempt: float | None = None

    def reason(self) -> str:
        return f"{self.configured.name}: {self.fault}"


class Directories:
    """All configured directories. For one event loop."""

    def __init__(
        self,
        configured: Sequence[Configured],
        *,
        ledgers: Ledgers | None = None,
        openers: Mapping[str, str] = OPENERS,
        times: Times | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` tells the time of day for `state`."""
        self._slots = {each.name: _Slot(each) for each in configured}
        self._ledgers = ledgers or Ledgers()
        self._openers = openers
        self._times = times or Times()
        self._clock = clock
        self._retries: set[asyncio.Task[None]] = set()
        self._started = False

    async def start(self) -> None:
        """Start all at once; those that fail are tried again in the background. Raises nothing of theirs."""
        if self._started:
            return
        self._started = True
        await asyncio.gather(*(self._attempt(slot) for slot in self._slots.values()))
        for slot in self._slots.values():
            if not slot.ready:
                task = asyncio.get_running_loop().create_task(self._retry(slot))
                self._retries.add(task)
                task.add_done_callback(self._retries.discard)

    async def close(self) -> None:
        """End the attempts, then every directory, each within its time."""
        retries = list(self._retries)
        for task in retries:
            task.cancel()
        await asyncio.gather(*retries, return_exceptions=True)
        await asyncio.gather(*(self._closed(slot) for slot in self._slots.values()))
        self._started = False

    def choose(self, credentials: Credentials) -> Directory:
        """The one directory these credentials are for; it is ready.

        Raises:
            LoginRefusedError: they are for none, or for several.
            DirectoryDownError: the one they are for is disabled.
        """
        slots = self._slots.values()
        claiming = [
            slot for slot in slots if slot.directory is not None and slot.directory.claims(credentials)
        ]
        if len(claiming) > 1:
            names = " and ".join(slot.configured.name for slot in claiming)
            raise LoginRefusedError(
                Reason.SEVERAL_DIRECTORIES,
                f"it is claimed by {names}",
                hint="show one credential, or make their realms, issuers and defaults differ",
            )
        if not claiming:
            raise self._nobody(credentials)
        slot = claiming[0]
        if slot.directory is None or not slot.ready:
            raise DirectoryDownError(
                f"{slot.configured.name} is disabled: {slot.fault}", hint=slot.fault.hint
            )
        return slot.directory

    def state(self) -> tuple[DirectoryState, ...]:
        """How each is doing, in the order of the configuration."""
        return tuple(self._state(slot) for slot in self._slots.values())

    def _state(self, slot: _Slot) -> DirectoryState:
        directory = slot.directory
        holder: HoldsKeys | None = directory if isinstance(directory, HoldsKeys) else None
        return DirectoryState(
            name=slot.configured.name,
            kind=slot.configured.kind,
            ready=slot.ready,
            reason="" if slot.ready else str(slot.fault),
            code="" if slot.ready else slot.fault.code,
            hint="" if slot.ready else slot.fault.hint or "",
            attempts=slot.attempts,
            since=slot.since,
            next_attempt=slot.next_attempt,
            keys_at=holder.keys_at if holder is not None else None,
            keys_stale=holder is not None and holder.keys_stale(self._clock()),
        )

    def _nobody(self, credentials: Credentials) -> LoginRefusedError:
        shown = (
            credentials.user,
            credentials.password,
            credentials.token,
            credentials.nkey,
            credentials.certificates,
        )
        if not any(shown):
            return LoginRefusedError(Reason.NO_CREDENTIALS, "nothing is shown but the door's own token")
        # What a directory claims is not known until its settings can be read.
        unread = [slot.reason() for slot in self._slots.values() if slot.directory is None]
        return LoginRefusedError(
            Reason.NO_DIRECTORY,
            "no directory claims it" + (f"; not asked: {'; '.join(unread)}" if unread else ""),
        )

    async def _attempt(self, slot: _Slot) -> None:
        slot.attempts += 1
        slot.next_attempt = None
        fault = await self._fault(slot)
        ready = fault is None
        if fault is not None:
            slot.fault = fault
            log.warning("directory %s is disabled: %s", slot.configured.name, fault)
        elif slot.attempts > 1:
            log.info("directory %s is ready after %d attempts", slot.configured.name, slot.attempts)
        if ready is not slot.ready or slot.attempts == 1:
            slot.since = self._clock()
        slot.ready = ready

    async def _fault(self, slot: _Slot) -> AccreditError | None:
        """Open and start it; why it does not work, if it does not."""
        configured = slot.configured
        try:
            # Anew each time: a secret's file may have been put right.
            directory = self._opener(configured.kind)(configured.settings, configured.at, self._ledgers)
            await self._closed(slot)
            slot.directory = directory
            async with asyncio.timeout(self._times.start):
                await directory.start()
        except AccreditError as fault:
            return fault
        except TimeoutError:
            return DirectoryDownError(f"was not ready within {self._times.start:g} s")
        except ImportError as fault:
            return DirectoryDownError(f"needs {fault.name or 'a library'}, which cannot be imported")
        except Exception as fault:  # noqa: BLE001  a defect in one must not stop the others; it lets nobody in
            # Only what kind: its words may hold a secret.
            return DirectoryDownError(f"failed with {type(fault).__name__}", hint="this is a fault of ours")
        return None

    def _opener(self, kind: str) -> Opener:
        module, _, name = self._openers[kind].partition(":")
        return cast("Opener", getattr(importlib.import_module(module), name))

    async def _retry(self, slot: _Slot) -> None:
        pause = self._times.retry
        while not slot.ready:
            # Not all replicas at the same moment.
            wait = pause * random.uniform(0.75, 1.0)  # noqa: S311  no secret
            slot.next_attempt = self._clock() + wait
            await asyncio.sleep(wait)
            await self._attempt(slot)
            pause = min(pause * 2, self._times.longest_retry)

    async def _closed(self, slot: _Slot) -> None:
        directory, slot.ready = slot.directory, False
        if directory is None:
            return
        try:
            async with asyncio.timeout(self._times.close):
                await directory.close()
        except Exception as fault:  # noqa: BLE001  the others have to be closed as well
            log.warning("directory %s did not close: %s", slot.configured.name, type(fault).__name__)
