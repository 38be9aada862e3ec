"""The real server and ours from one configuration, with the same accounts, clients and questions."""

from __future__ import annotations

import stat
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from issuer.delivery.system_account import NatsSystemAccount, Reply, connect_system_account
from issuer.tokens.envelope import Token
from issuer.tokens.signer import SeedSigner
from tests.servers import NatsServer, nats_server_binary

Shape = frozenset[tuple[str, str]]


def own_binary(folder: Path) -> Path:
    """Our broker as an executable of one name, so that whatever starts nats-server can start it."""
    path = folder / "accredit"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m broker "$@"\n', encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@contextmanager
def starter(folder: Path) -> Iterator[Callable[..., NatsServer]]:
    """`start(which, config, **)` for which of "real", "ours"; all end together."""
    own = own_binary(folder)
    with ExitStack() as running:

        def start(which: str, config: str, **how: Any) -> NatsServer:
            binary = nats_server_binary() if which == "real" else own
            return running.enter_context(NatsServer(config, binary=binary, **how))

        yield start


def shape(document: Any, path: str = "") -> Shape:
    """Every member's path with the type of its value; elements of a list stand together under `[]`."""
    found: set[tuple[str, str]] = set()
    if isinstance(document, dict):
        found.add((path, "object"))
        for name, value in document.items():
            found |= shape(value, f"{path}/{name}")
    elif isinstance(document, list):
        found.add((path, "array"))
        for value in document:
            found |= shape(value, f"{path}[]")
    else:
        kinds: dict[type, str] = {str: "string", bool: "boolean", int: "number", float: "number"}
        found.add((path, kinds.get(type(document), "null")))
    return frozenset(found)


class Asker:
    """Questions over one connection to the system account."""

    def __init__(self, system: NatsSystemAccount) -> None:
        self.system = system

    async def __call__(self, subject: str, body: bytes = b"", *, seconds: float = 0.7) -> Reply | None:
        """The first answer; None if nobody answers."""
        found = await self.system.request_many(subject, body, deadline=seconds, enough=bool)
        return found[0] if found else None

    async def all(self, subject: str, body: bytes = b"") -> list[Reply]:
        """Every answer, until none has come for a while."""
        return await self.system.request_many(subject, body, deadline=5.0, quiet=0.3)


@asynccontextmanager
async def asker(url: str, who: tuple[Token, SeedSigner]) -> AsyncIterator[Asker]:
    system = await connect_system_account([url], lambda: who)
    try:
        yield Asker(system)
    finally:
        await system.close()
