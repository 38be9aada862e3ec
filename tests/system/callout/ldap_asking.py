"""An LDAP directory of ours in front of a real server, asked as the desk asks it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from callout.directories.directory import Credentials
from callout.directories.ldap.changes import Change
from callout.directories.ldap.directory import LdapDirectory
from callout.directories.ldap.settings import LdapSettings, ServiceAccount
from callout.directories.secrets import Secret
from callout.refusals import DirectoryDownError, LoginRefusedError, Reason
from issuer.grants import Identity
from tests.system.callout import slapd

PATIENCE: Final = 5.0
STORY: Final = 60.0
"""Seconds after which whatever hangs is said to hang."""


def settings(*servers: str, **changes: Any) -> LdapSettings:
    """For the seeded slapd, without TLS unless asked for."""
    known: dict[str, Any] = {
        "name": "corp",
        "realm": "CORP",
        "servers": servers,
        "service": ServiceAccount(slapd.SERVICE, Secret(slapd.SERVICE_PASSWORD)),
        "user_base": slapd.PEOPLE,
        "group_base": slapd.GROUPS,
        "plain_on_loopback": True,
        # One test's wrong passwords are none of another's business.
        "lockout_threshold": 0,
    }
    return LdapSettings(**{**known, **changes})


class Asked:
    """The directory, and questions in short."""

    def __init__(self, directory: LdapDirectory, patience: float) -> None:
        self.directory = directory
        self.patience = patience

    def deadline(self) -> float:
        return asyncio.get_running_loop().time() + self.patience

    async def login(self, user: str, password: str) -> Identity:
        shown = Credentials(
            user=f"CORP\\{user}" if "\\" not in user and "@" not in user else user, password=password
        )
        # A name without a password is for other directories.
        assert self.directory.claims(shown) is bool(password)
        return await self.directory.identify(shown, now=time.time(), deadline=self.deadline())

    async def refusal(self, user: str, password: str) -> Reason:
        with pytest.raises(LoginRefusedError) as refused:
            await self.login(user, password)
        return refused.value.reason

    async def down(self, user: str, password: str) -> str:
        """What it says when it cannot tell."""
        with pytest.raises(DirectoryDownError) as fault:
            await self.login(user, password)
        return str(fault.value)

    async def lookup(self, subject: str) -> Identity:
        return await self.directory.lookup(subject, now=time.time(), deadline=self.deadline())

    async def lookup_refusal(self, subject: str) -> Reason:
        with pytest.raises(LoginRefusedError) as refused:
            await self.lookup(subject)
        return refused.value.reason

    async def changes(self, cursor: str) -> tuple[str, list[Change]]:
        return await self.directory.changes_since(cursor, now=time.time(), deadline=self.deadline())


@asynccontextmanager
async def asked(given: LdapSettings, *, patience: float = PATIENCE) -> AsyncIterator[Asked]:
    directory = LdapDirectory(given)
    await directory.start()
    try:
        yield Asked(directory, patience)
    finally:
        await directory.close()


def run(
    story: Callable[[Asked], Awaitable[None]], given: LdapSettings, *, patience: float = PATIENCE
) -> None:
    async def whole() -> None:
        async with asyncio.timeout(STORY), asked(given, patience=patience) as directory:
            await story(directory)

    asyncio.run(whole())
