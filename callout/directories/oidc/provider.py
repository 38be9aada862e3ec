"""What an issuer publishes, fetched when it must be and believed as long as it may be.

- One question at a time, for however many wait for its answer; nobody's patience ends it for others.
- A `kid` nobody knows asks again, but not more often than every `pause_unknown` seconds; after a
  failure nothing asks for `pause_failure` seconds.
- An answer replaces the keys whole: one that is withdrawn is gone with it.
- Keys stay in use while the issuer does not answer, up to `stale` seconds after its last answer.
- Shortly before keys lose their freshness they are asked for again while logins go on with them.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Final
from urllib.parse import urlsplit

import msgspec

from callout.directories.fetching import Fetch, Fetched
from callout.directories.jwks import KeySet, KeySetError, VerificationKey, read_key_set
from callout.directories.oidc.settings import KeyTimes, OidcSettings
from callout.refusals import DirectoryDownError, LoginRefusedError, Reason
from issuer.claims.wire import ClaimSyntaxError, strict_object

log = logging.getLogger("accredit.callout")

WELL_KNOWN: Final = "/.well-known/openid-configuration"
DISCOVERY_FRESH: Final = 3600
"""Seconds; where the keys lie changes less often than the keys."""
_EARLY: Final = 0.8
_CLOCK_STEP: Final = 60
MARGIN: Final = 0.05
"""Seconds before a deadline at which waiting ends, so that there is time left to say so."""


class IssuerMismatchError(DirectoryDownError):
    """The place we were sent to for this issuer speaks for another one, or sends us where we may not go."""

    code = "directory.issuer-mismatch"


class Published(msgspec.Struct, frozen=True):
    """Keys, when they were asked for and for how many seconds they are fresh."""

    keys: KeySet
    at: float
    fresh: float

    def age(self, now: float) -> float:
        age = now - self.at
        # A clock that went back would make old keys young; then nothing is known of their age.
        return age if age > -_CLOCK_STEP else math.inf


class Provider:
    """The published keys of one issuer. `now` is the time of day, `deadline` on the loop's clock."""

    def __init__(self, settings: OidcSettings, fetch: Fetch) -> None:
        self._settings = settings
        self._times = settings.keys
        self._fetch = fetch
        self._published: Published | None = None
        self._place: tuple[str, float] | None = None
        self._running: asyncio.Task[None] | None = None
        self._begun = 0.0
        self._asked: float | None = None
        self.fault: DirectoryDownError | None = None
        """Why the last question was not answered; None if it was."""

    @property
    def published(self) -> Published | None:
        """What is held, whatever its age."""
        return self._published

    def stale(self, now: float) -> bool:
        """Whether the keys are older than they should be because the issuer does not answer."""
        held = self._published
        return held is not None and self.fault is not None and held.age(now) >= held.fresh

    def fresh_keys(self, now: float) -> KeySet | None:
        """The keys in force, if nobody needs to be asked; no waiting."""
        held = self._published
        if held is None:
            return None
        age = held.age(now)
        if age >= held.fresh:
            return None
        if age > held.fresh * _EARLY and self._running is None and self._may_ask(now):
            self._ask(now)
        return held.keys

    async def key(self, kid: str | None, algorithm: str, *, now: float, deadline: float) -> VerificationKey:
        """The key a token names.

        Raises:
            LoginRefusedError: the issuer has published none by that name, or not for that algorithm.
            DirectoryDownError: the issuer did not answer, and what it said last is too old or lacks the key.
        """
        keys = self.fresh_keys(now)
        named = keys.named(kid) if keys is not None else ()
        if not named:
            named = (await self.keys(kid, now=now, deadline=deadline)).named(kid)
        if not named:
            raise LoginRefusedError(
                Reason.UNKNOWN_KEY,
                f"the issuer has no key {kid[:80]!r}" if kid is not None else "it names none of several keys",
            )
        fitting = [key for key in named if algorithm in key.algorithms]
        if len(fitting) != 1:
            raise LoginRefusedError(Reason.ALGORITHM, f"{algorithm} does not fit the key it names")
        return fitting[0]

    async def keys(self, kid: str | None, *, now: float, deadline: float) -> KeySet:
        """The keys in force, asked for again if they are old or have none by that name.

        Raises:
            DirectoryDownError: see `key`.
        """
        held = self._usable(now)
        known = held is not None and bool(held.keys.named(kid))
        task = self._running
        if task is None and self._may_ask(now):
            task = self._ask(now)
        if task is not None:
            until = deadline - MARGIN
            if known:
                # The old ones would do: whoever hangs costs only the first ones their patience.
                until = min(until, self._begun + self._times.patience)
            await _wait(task, until)
        answered = task is not None and task.done() and self.fault is None
        held = self._usable(now)
        if held is None:
            raise self._down()
        if (
            not held.keys.named(kid)
            and not answered
            and (self.fault is not None or self._running is not None)
        ):
            raise self._down()
        return held.keys

    async def close(self) -> None:
        task, self._running = self._running, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def _usable(self, now: float) -> Published | None:
        held = self._published
        return held if held is not None and held.age(now) < self._times.stale else None

    def _may_ask(self, now: float) -> bool:
        if self._asked is None:
            return True
        since = now - self._asked
        if since < 0:
            return True  # the clock went back; one question more than usual
        if self.fault is not None:
            return since >= self._times.pause_failure
        held = self._published
        return since >= self._times.pause_unknown or held is None or held.age(now) >= held.fresh

    def _ask(self, now: float) -> asyncio.Task[None]:
        loop = asyncio.get_running_loop()
        self._asked, self._begun = now, loop.time()
        self._running = loop.create_task(self._refresh(now), name=f"keys of {self._settings.name}")
        return self._running

    async def _refresh(self, now: float) -> None:
        try:
            published = await self._read(now)
        except DirectoryDownError as fault:
            # Where the keys lie may be what changed.
            self._place = None
            if self.fault is None:
                log.warning("oidc %s: keys not had: %s", self._settings.name, fault)
            self.fault = fault
        else:
            before = self._published
            self.fault = None
            if before is not None and before.keys.digest == published.keys.digest:
                # The same objects, so that what was verified with them is still known to be.
                self._published = msgspec.structs.replace(published, keys=before.keys)
            else:
                self._published = published
                log.info("oidc %s: %d keys", self._settings.name, len(published.keys))
                for words in published.keys.faults:
                    log.info("oidc %s: left out: %s", self._settings.name, words)
        finally:
            self._running = None

    async def _read(self, now: float) -> Published:
        end = asyncio.get_running_loop().time() + self._settings.fetch.total
        if self._place is None or not 0 <= now - self._place[1] < DISCOVERY_FRESH:
            self._place = (await self._discovered(end), now)
        place = self._place[0]
        answer = await self._fetch(place, deadline=end)
        if not answer.ok:
            raise DirectoryDownError(f"{self._settings.name}: {place} answered {answer.status}")
        try:
            keys = read_key_set(answer.body)
        except KeySetError as error:
            raise DirectoryDownError(f"{self._settings.name}: {error.message}") from None
        return Published(keys, now, freshness(answer, self._times))

    async def _discovered(self, end: float) -> str:
        """Where the keys lie (OpenID Connect Discovery §4)."""
        name, issuer = self._settings.name, self._settings.issuer
        # §4.1: a slash at the end goes; but not from the issuer that is compared.
        answer = await self._fetch(issuer.removesuffix("/") + WELL_KNOWN, deadline=end)
        if not answer.ok:
            raise DirectoryDownError(f"{name}: discovery answered {answer.status}")
        try:
            said = strict_object(answer.body)
        except ClaimSyntaxError as error:
            raise DirectoryDownError(f"{name}: discovery {error.message}") from None
        found, place = said.get("issuer"), said.get("jwks_uri")
        if found != issuer:
            # §4.3; else one issuer could have us take its keys for another's.
            raise IssuerMismatchError(
                f"{name}: asked for {issuer}, and {str(found)[:200]!r} answered",
                at="issuer",
                hint="configure the issuer exactly as its discovery document has it",
            )
        if not isinstance(place, str) or not self._may_lie(place):
            raise IssuerMismatchError(
                f"{name}: its keys lie at {str(place)[:200]!r}, which is not the issuer's host",
                at="hosts",
                hint="name that host in `hosts` if it is the issuer's",
            )
        return place

    def _may_lie(self, place: str) -> bool:
        try:
            there, here = urlsplit(place), urlsplit(self._settings.issuer)
            origin = (there.scheme, there.hostname, there.port)
        except ValueError:
            return False
        if origin == (here.scheme, here.hostname, here.port):
            return True
        return there.scheme == "https" and there.netloc in self._settings.hosts

    def _down(self) -> DirectoryDownError:
        return self.fault or DirectoryDownError(f"{self._settings.name}: the issuer did not answer in time")


async def _wait(task: asyncio.Task[None], until: float) -> None:
    # Not wait_for: that would cancel it for everybody else.
    left = until - asyncio.get_running_loop().time()
    await asyncio.wait({task}, timeout=max(left, 0.0))


def freshness(answer: Fetched, times: KeyTimes) -> float:
    """For how many seconds an answer is fresh, by its Cache-Control and within our bounds (RFC 9111 §5.2)."""
    said = [part.strip().lower() for part in answer.headers.get("cache-control", "").split(",")]
    if {"no-cache", "no-store"} & {part.partition("=")[0] for part in said}:
        return times.least_fresh
    for part in said:
        name, _, value = part.partition("=")
        value = value.strip('"')
        if name == "max-age" and value.isascii() and value.isdigit():
            age = answer.headers.get("age", "0")
            spent = int(age) if age.isascii() and age.isdigit() and len(age) < 10 else 0
            left = int(value) - spent if len(value) < 10 else times.most_fresh
            return max(times.least_fresh, min(left, times.most_fresh))
    return times.fresh
