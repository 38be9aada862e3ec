"""Directories that do what no real one can be made to do on demand: hang, fail, come back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from callout.directories.directory import Credentials
from callout.directories.openers import Ledgers
from callout.refusals import DirectoryDownError
from issuer.grants import Identity

PLANTED = "planted-5ecret"
CLOSED: list[str] = []


class Odd:
    """Claims the users whose name begins with its own; fails to start `fails` times, in the way `how` says."""

    left: dict[str, int] = {}

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.name = str(settings["name"])
        self.how = settings.get("how", "")
        self.left.setdefault(self.name, int(settings.get("fails", 1_000_000)))

    async def start(self) -> None:
        if not self.how or self.left[self.name] <= 0:
            return
        self.left[self.name] -= 1
        if self.how == "hangs":
            await asyncio.sleep(60)
        if self.how == "down":
            raise DirectoryDownError("nobody answers", hint="start it")
        raise RuntimeError(PLANTED)

    def claims(self, credentials: Credentials) -> bool:
        return credentials.user.startswith(self.name)

    async def identify(self, credentials: Credentials, *, now: float, deadline: float) -> Identity:
        return Identity(issuer="odd", subject=credentials.user, name="", directory=self.name)

    async def close(self) -> None:
        CLOSED.append(self.name)
        if self.how == "hangs":
            await asyncio.sleep(60)
        if self.how == "breaks":
            raise RuntimeError(PLANTED)


class Keyed(Odd):
    """Judges by keys that were told long ago."""

    keys_at = 5.0

    def keys_stale(self, now: float) -> bool:
        return now > self.keys_at


def keyed(document: Mapping[str, Any], at: str, _: Ledgers) -> Odd:
    return Keyed(document)


def odd(document: Mapping[str, Any], at: str, _: Ledgers) -> Odd:
    return Odd(document)


def without_its_library(document: Mapping[str, Any], at: str, _: Ledgers) -> Odd:
    import a_library_nobody_has  # type: ignore[import-not-found]  # noqa: F401

    return Odd(document)


ODD = {
    "odd": f"{__name__}:odd",
    "keyed": f"{__name__}:keyed",
    "lacking": f"{__name__}:without_its_library",
    "gone": "a_module_nobody_has:opener",
}
