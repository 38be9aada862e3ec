"""Ending connections on their servers, and looking that they are over (enforcement spec §7).

A kick closes a socket and keeps nobody out: a client with reconnect is back within a second through
a new login. So whoever calls has denied them first, and here is looked again and again for those
who still came in through rules read a moment before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec

from issuer.delivery import fleet
from issuer.delivery.system_account import SystemAccount

AT_ONCE: Final = 64
"""Questions under way; servers answer a kick within a millisecond or two."""
ANSWER_SECONDS: Final = 2.0
LOOK_AGAIN: Final = 0.1
_NOBODY: Final = "no such client"


class Link(NamedTuple):
    """One connection. A server counts from 1 at each start, and its id is new then."""

    server_id: str
    client_id: int


class Kick(StrEnum):
    """What became of one."""

    KICKED = "kicked"
    GONE = "gone"
    """It was not there."""
    SILENT = "silent"
    """The server did not answer, or would not."""


@dataclass(frozen=True, slots=True)
class Evicted:
    """What was done. Times are seconds from the beginning."""

    kicked: Mapping[Link, float] = field(default_factory=dict)
    """When each was kicked first."""
    gone: Mapping[Link, float] = field(default_factory=dict)
    """When each was seen to be over."""
    left: frozenset[Link] = frozenset()
    """Still there, or on a server that does not say."""
    came_back: int = 0
    """Found only after the first look."""

    @property
    def first_kick(self) -> float | None:
        return min(self.kicked.values(), default=None)

    @property
    def last_gone(self) -> float | None:
        return max(self.gone.values(), default=None)


class _Fault(msgspec.Struct, frozen=True):
    code: int = 0
    description: str = ""


class _Listed(msgspec.Struct, frozen=True):
    cid: int = 0


class _Data(msgspec.Struct, frozen=True):
    connections: list[_Listed] = []


class _Answer(msgspec.Struct, frozen=True):
    server: fleet.ServerInfo
    error: _Fault | None = None
    data: _Data | None = None


async def kick(system: SystemAccount, link: Link, *, deadline: float = ANSWER_SECONDS) -> Kick:
    """End one connection."""
    answer = await _asked(system, link, "KICK", {"cid": link.client_id}, deadline)
    if answer is None:
        return Kick.SILENT
    if answer.error is None:
        return Kick.KICKED
    return Kick.GONE if _NOBODY in answer.error.description.lower() else Kick.SILENT


async def is_open(system: SystemAccount, link: Link, *, deadline: float = ANSWER_SECONDS) -> bool | None:
    """Whether its server has it; None if that does not answer."""
    # By its number and not page by page: pages shift while connections end, and one would be missed.
    answer = await _asked(system, link, "CONNZ", {"cid": link.client_id, "state": 0}, deadline)
    if answer is None or answer.data is None:
        return None
    return any(each.cid == link.client_id for each in answer.data.connections)


async def evict(
    system: SystemAccount,
    find: Callable[[], Awaitable[Collection[Link]]],
    *,
    settle: float = 0.0,
    seconds: float = 10.0,
) -> Evicted:
    """Kick whom `find` gives until nobody of them is left, for at least `settle` seconds.

    `find` is asked again and again and gives those it has not given before. After `seconds` it is
    said who is left.

    Raises:
        Unavailable: the connection to the servers broke.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    kicked: dict[Link, float] = {}
    gone: dict[Link, float] = {}
    left: set[Link] = set()
    came_back, first = 0, True
    while True:
        new = set(await find()) - gone.keys()
        came_back += 0 if first else len(new - left)
        first = False
        left |= new
        if left:
            await _kick_all(system, left, lambda: loop.time() - began, kicked)
            for link in await _over(system, left):
                gone[link] = loop.time() - began
            left -= gone.keys()
        passed = loop.time() - began
        if passed >= seconds or (not left and passed >= settle):
            return Evicted(kicked, gone, frozenset(left), came_back)
        await asyncio.sleep(LOOK_AGAIN)


async def _kick_all(
    system: SystemAccount, links: Iterable[Link], now: Callable[[], float], kicked: dict[Link, float]
) -> None:
    async def one(link: Link) -> None:
        at = now()
        if await kick(system, link) is Kick.KICKED:
            kicked.setdefault(link, at)

    await _each(one, links)


async def _over(system: SystemAccount, links: Iterable[Link]) -> set[Link]:
    """Those of them that are; with their server, if it has gone."""
    over: set[Link] = set()
    silent: set[Link] = set()

    async def one(link: Link) -> None:
        match await is_open(system, link):
            case False:
                over.add(link)
            case None:
                silent.add(link)

    await _each(one, links)
    if silent:
        there = {server.id for server in await fleet.roster(system)}
        # Nobody at all is no fleet: then nothing is known of anybody.
        over |= {link for link in silent if there and link.server_id not in there}
    return over


async def _each(function: Callable[[Link], Awaitable[None]], links: Iterable[Link]) -> None:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(link: Link) -> None:
        async with room:
            await function(link)

    await asyncio.gather(*(one(link) for link in links))


async def _asked(
    system: SystemAccount, link: Link, what: str, question: dict[str, Any], deadline: float
) -> _Answer | None:
    replies = await system.request_many(
        f"$SYS.REQ.SERVER.{link.server_id}.{what}",
        msgspec.json.encode(question),
        deadline=deadline,
        enough=bool,
    )
    for reply in replies:
        try:
            return msgspec.json.decode(reply.payload, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return None
