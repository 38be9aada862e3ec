"""A directory asked as the callout asks it: who claims it is asked to identify."""

from __future__ import annotations

import asyncio

import pytest

from callout.directories.directory import Credentials, Directory
from callout.refusals import LoginRefusedError, Reason
from issuer.grants import Identity

NOW = 1_800_000_000.0
PATIENCE = 20.0


async def identified(
    directory: Directory, credentials: Credentials, *, now: float = NOW, patience: float = PATIENCE
) -> Identity:
    assert directory.claims(credentials)
    deadline = asyncio.get_running_loop().time() + patience
    return await directory.identify(credentials, now=now, deadline=deadline)


def identity(directory: Directory, credentials: Credentials, *, now: float = NOW) -> Identity:
    """From its start to its end."""

    async def run() -> Identity:
        await directory.start()
        try:
            return await identified(directory, credentials, now=now)
        finally:
            await directory.close()

    return asyncio.run(run())


def refusal(directory: Directory, credentials: Credentials, *, now: float = NOW) -> LoginRefusedError:
    with pytest.raises(LoginRefusedError) as refused:
        identity(directory, credentials, now=now)
    return refused.value


def reason(directory: Directory, credentials: Credentials, *, now: float = NOW) -> Reason:
    return refusal(directory, credentials, now=now).reason
