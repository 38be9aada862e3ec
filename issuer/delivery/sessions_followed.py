"""Which connections are over: told by servers as it happens, and looked up (enforcement spec §7)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from issuer.delivery import fleet
from issuer.delivery.evicting import AT_ONCE, Link, is_open
from issuer.delivery.system_account import Reply, SystemAccount

DISCONNECT: Final = "$SYS.ACCOUNT.*.DISCONNECT"
_PAGE: Final = 1024  # the server's own limit on connections in one answer
_PAGES: Final = 200


class _Client(msgspec.Struct, frozen=True):
    id: int = 0


class _Disconnect(msgspec.Struct, frozen=True):
    server: fleet.ServerInfo
    client: _Client
    reason: str = ""


class _Listed(msgspec.Struct, frozen=True):
    cid: int = 0


class _Data(msgspec.Struct, frozen=True):
    connections: list[_Listed] = []


class _Connz(msgspec.Struct, frozen=True):
    data: _Data | None = None


def ended(message: Reply) -> tuple[Link, str] | None:
    """The connection an advisory says is over, and the server's reason; None if it is no such advisory."""
    try:
        told = msgspec.json.decode(message.payload, type=_Disconnect)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if not told.server.id or not told.client.id:
        return None
    return Link(told.server.id, told.client.id), told.reason


async def over(system: SystemAccount, links: Collection[Link]) -> set[Link]:
    """Those of one server's that are certainly over; what it does not say is not.

    Raises:
        Unavailable: the connection to the servers broke.
    """
    if not links:
        return set()
    listed = await _listed(system, next(iter(links)).server_id)
    if listed is None:
        return set()
    # Pages shift while connections come and go: whoever is not on one is asked about by number.
    return await _closed(system, [link for link in links if link.client_id not in listed])


async def _listed(system: SystemAccount, server_id: str) -> set[int] | None:
    found: set[int] = set()
    for page in range(_PAGES):
        question = {"state": 0, "limit": _PAGE, "offset": page * _PAGE}
        replies = await system.request_many(
            f"$SYS.REQ.SERVER.{server_id}.CONNZ",
            msgspec.json.encode(question),
            deadline=fleet.ANSWER_SECONDS,
            enough=bool,
        )
        try:
            answer = msgspec.json.decode(replies[0].payload, type=_Connz) if replies else _Connz()
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        if answer.data is None:
            return None
        found |= {each.cid for each in answer.data.connections}
        if len(answer.data.connections) < _PAGE:
            break
    return found


async def _closed(system: SystemAccount, links: Iterable[Link]) -> set[Link]:
    room = asyncio.Semaphore(AT_ONCE)
    found: set[Link] = set()

    async def one(link: Link) -> None:
        async with room:
            if await is_open(system, link) is False:
                found.add(link)

    await asyncio.gather(*(one(link) for link in links))
    return found
