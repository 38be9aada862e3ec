"""The questions delivery asks the servers, and their answers as values (enforcement spec §5, §7).

Everything here goes over a `SystemAccount`; nothing is decided. Answers that are not what a server
sends are dropped: a stranger's message must not stop a delivery.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from issuer.claims.exchange import GenericClaims
from issuer.claims.fields import EVERYONE
from issuer.claims.user import UserClaims
from issuer.delivery.system_account import Reply, SystemAccount
from issuer.errors import PeerError
from issuer.tokens.envelope import Token, decode, encode
from issuer.tokens.signer import Signer

PING: Final = "$SYS.REQ.SERVER.PING"
UPDATE: Final = "$SYS.REQ.CLAIMS.UPDATE"
DELETE: Final = "$SYS.REQ.CLAIMS.DELETE"
LIST: Final = "$SYS.REQ.CLAIMS.LIST"
PACK: Final = "$SYS.REQ.CLAIMS.PACK"
STATSZ: Final = "$SYS.SERVER.*.STATSZ"
SHUTDOWN: Final = "$SYS.SERVER.*.SHUTDOWN"
CONNECTIONS: Final = "$SYS.ACCOUNT.*.SERVER.CONNS"

ANSWER_SECONDS: Final = 2.0
# A server answers a push when it has gone through all connections of the account: half a second
# for 2,000 of them was measured. Who has not answered by then is asked again, and given this long.
SLOW_SECONDS: Final = 10.0
PING_SECONDS: Final = 1.0
# A server that was killed stays in `active_servers` for minutes: do not wait for its answer.
QUIET_SECONDS: Final = 0.25
PACK_SECONDS: Final = 30.0
_PAGE: Final = 1024  # the server's own limit on connections in one answer
_PAGES: Final = 20


class ServerInfo(msgspec.Struct, frozen=True):
    """Who answered. The id changes with every start; the name stays, unless it is just the id."""

    id: str = ""
    name: str = ""
    cluster: str = ""
    ver: str = ""

    @property
    def nameless(self) -> bool:
        return self.name == self.id


class _Data(msgspec.Struct, frozen=True):
    account: str = ""
    code: int = 0
    message: str = ""


class _Fault(msgspec.Struct, frozen=True):
    code: int = 0
    description: str = ""


class _Answer(msgspec.Struct, frozen=True):
    server: ServerInfo
    data: _Data | None = None
    error: _Fault | None = None


class _Statsz(msgspec.Struct, frozen=True):
    active_servers: int = 0


class _Pinged(msgspec.Struct, frozen=True):
    server: ServerInfo
    statsz: _Statsz = _Statsz()


class _Listed(msgspec.Struct, frozen=True):
    server: ServerInfo
    data: list[str] = []


class _InfoData(msgspec.Struct, frozen=True):
    expired: bool = False
    complete: bool = False
    jwt: str = ""


class _Info(msgspec.Struct, frozen=True):
    server: ServerInfo
    data: _InfoData | None = None
    error: _Fault | None = None


class _Accounts(msgspec.Struct, frozen=True):
    accounts: list[str] = []


class _Accountz(msgspec.Struct, frozen=True):
    server: ServerInfo
    data: _Accounts | None = None


class _Conns(msgspec.Struct, frozen=True):
    server: ServerInfo
    acc: str = ""
    conns: int = 0


class Connection(msgspec.Struct, frozen=True):
    """One open connection as a server lists it; a bearer's `jwt` is hidden."""

    cid: int = 0
    ip: str = ""
    port: int = 0
    start: str = ""
    name: str = ""
    authorized_user: str = ""
    jwt: str = ""
    server: str = ""


class _ConnzData(msgspec.Struct, frozen=True):
    connections: list[Connection] = []


class _Connz(msgspec.Struct, frozen=True):
    server: ServerInfo
    data: _ConnzData | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """One server's answer to a push or a deletion."""

    server: ServerInfo
    good: bool
    words: str

    @property
    def skipped(self) -> bool:
        return self.good and self.words.endswith("skipped")

    @property
    def cache(self) -> bool:
        return " cache" in self.words


@dataclass(frozen=True, slots=True)
class Applied:
    """What one server enforces for an account; `token` is None where the account is not loaded."""

    server: ServerInfo
    token: str | None
    expired: bool = False
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """What would be loaded: a text for each server that stores accounts, empty for none; and our own."""

    stored: tuple[str, ...]
    ours: tuple[str, ...]


def _read(kind: type[Any], replies: Iterable[Reply]) -> list[Any]:
    decoder: Any = msgspec.json.Decoder(kind)
    found = []
    for reply in replies:
        try:
            found.append(decoder.decode(reply.payload))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return found


def _everyone(kind: type[Any], wanted: Collection[str]) -> Any:
    """Whether all those wanted have answered. `wanted` may shrink meanwhile; nobody is not everybody."""

    def enough(replies: Sequence[Reply]) -> bool:
        if len(replies) < len(wanted) or not wanted:
            return False
        return {answer.server.id for answer in _read(kind, replies)}.issuperset(wanted)

    return enough


async def roster(system: SystemAccount, *, deadline: float = PING_SECONDS) -> list[ServerInfo]:
    """Who is there: the answers to a ping, until as many as the best informed server knows of."""

    def enough(replies: Sequence[Reply]) -> bool:
        answers = _read(_Pinged, replies)
        return bool(answers) and len(answers) >= max(a.statsz.active_servers for a in answers)

    replies = await system.request_many(PING, deadline=deadline, enough=enough, quiet=QUIET_SECONDS)
    return list({a.server.id: a.server for a in _read(_Pinged, replies) if a.server.id}.values())


async def push(
    system: SystemAccount,
    token: str,
    present: Collection[str],
    *,
    account: str | None = None,
    deadline: float = ANSWER_SECONDS,
) -> list[Said]:
    """Hand a token to everybody; with `account`, on the older subject that every kind of server hears."""
    subject = UPDATE if account is None else f"$SYS.REQ.ACCOUNT.{account}.CLAIMS.UPDATE"
    enough = _everyone(_Answer, present)
    return _said(await system.request_many(subject, token.encode(), deadline=deadline, enough=enough))


async def delete(
    system: SystemAccount, request: Token, present: Collection[str], *, deadline: float = ANSWER_SECONDS
) -> list[Said]:
    """Ask everybody who stores accounts to delete some; see `deletion_request`."""
    enough = _everyone(_Answer, present)
    return _said(await system.request_many(DELETE, request.encode(), deadline=deadline, enough=enough))


def deletion_request(accounts: Sequence[str], signer: Signer, *, now: int) -> Token:
    """The self-signed token an operator key deletes accounts with (§5.5)."""
    body = {"accounts": list(accounts), "type": GenericClaims.kind}
    return encode(GenericClaims(sub=signer.public, nats=body), signer, now=now).token


def _said(replies: Iterable[Reply]) -> list[Said]:
    found: dict[str, Said] = {}
    for answer in _read(_Answer, replies):
        if answer.error is not None:
            said = Said(answer.server, good=False, words=answer.error.description)
        elif answer.data is not None and answer.data.code == 200:
            said = Said(answer.server, good=True, words=answer.data.message)
        else:
            said = Said(answer.server, good=False, words="answered neither with data nor with an error")
        found[answer.server.id] = said
    return list(found.values())


async def applied(
    system: SystemAccount, account: str, present: Collection[str], *, deadline: float = ANSWER_SECONDS
) -> list[Applied]:
    """What each server enforces for an account now."""
    subject = f"$SYS.REQ.ACCOUNT.{account}.INFO"
    replies = await system.request_many(subject, deadline=deadline, enough=_everyone(_Info, present))
    found: dict[str, Applied] = {}
    for answer in _read(_Info, replies):
        if answer.data is not None:
            data = answer.data
            found[answer.server.id] = Applied(
                answer.server, data.jwt, expired=data.expired, complete=data.complete
            )
        elif answer.error is not None and answer.error.description.endswith("does not exist"):
            found[answer.server.id] = Applied(answer.server, None)
    return list(found.values())


async def lookup(
    system: SystemAccount, account: str, *, expected: int = 0, deadline: float = ANSWER_SECONDS
) -> Found:
    """What servers (and we) give out for an account. The answers do not say whose they are."""

    def enough(replies: Sequence[Reply]) -> bool:
        return 0 < expected <= sum(1 for reply in replies if not reply.ours)

    subject = f"$SYS.REQ.ACCOUNT.{account}.CLAIMS.LOOKUP"
    replies = await system.request_many(subject, deadline=deadline, enough=enough, quiet=QUIET_SECONDS)
    texts = [(reply.payload.decode("ascii", "replace"), reply.ours) for reply in replies]
    return Found(tuple(t for t, ours in texts if not ours), tuple(t for t, ours in texts if ours))


async def listed(
    system: SystemAccount, present: Collection[str], *, deadline: float = ANSWER_SECONDS
) -> dict[str, frozenset[str]]:
    """The accounts each server stores, by server id; servers without a store do not answer."""
    replies = await system.request_many(
        LIST, deadline=deadline, enough=_everyone(_Listed, present), quiet=QUIET_SECONDS
    )
    return {answer.server.id: frozenset(answer.data) for answer in _read(_Listed, replies)}


async def loaded(
    system: SystemAccount, server_id: str, *, deadline: float = ANSWER_SECONDS
) -> frozenset[str]:
    """The accounts one server has in memory."""
    replies = await system.request_many(
        f"$SYS.REQ.SERVER.{server_id}.ACCOUNTZ", deadline=deadline, enough=bool
    )
    return frozenset(a for answer in _read(_Accountz, replies) if answer.data for a in answer.data.accounts)


async def fetch_all(system: SystemAccount, *, deadline: float = PACK_SECONDS) -> dict[str, str]:
    """Every account token of one server that stores them all, as it gives it to a server that has none."""

    def enough(replies: Sequence[Reply]) -> bool:
        return bool(replies) and not replies[-1].payload

    replies = await system.request_many(PACK, b"\0" * 32, deadline=deadline, enough=enough)
    found: dict[str, str] = {}
    for reply in replies:
        account, bar, token = reply.payload.decode("ascii", "replace").partition("|")
        if bar:
            found[account] = token
    return found


async def connections_of(
    system: SystemAccount,
    account: str,
    user: str | None = None,
    *,
    present: Collection[str] = (),
    deadline: float = ANSWER_SECONDS,
) -> list[Connection]:
    """The open connections of an account, or of one user of it, on all servers."""
    found: list[Connection] = []
    for page in range(_PAGES):
        asked: dict[str, Any] = {"auth": True, "acc": account, "state": 0}
        asked |= {"limit": _PAGE, "offset": page * _PAGE, **({"user": user} if user else {})}
        replies = await system.request_many(
            f"{PING}.CONNZ",
            msgspec.json.encode(asked),
            deadline=deadline,
            enough=_everyone(_Connz, present),
            quiet=QUIET_SECONDS,
        )
        more = False
        for answer in _read(_Connz, replies):
            if answer.data is None:
                continue
            more = more or len(answer.data.connections) >= _PAGE
            found += [
                msgspec.structs.replace(connection, server=answer.server.name)
                for connection in answer.data.connections
            ]
        if not more:
            break
    return found


async def still_connected(
    system: SystemAccount, account: str, revoked: Mapping[str, int], *, present: Collection[str] = ()
) -> list[Connection]:
    """Connections that a revocation should have cut: user, or `*` for all, to the second it reaches."""
    users: list[str | None] = [None] if EVERYONE in revoked else list(revoked)
    found: list[Connection] = []
    for user in users:
        for connection in await connections_of(system, account, user, present=present):
            reach = max(revoked.get(EVERYONE, 0), revoked.get(connection.authorized_user, 0))
            if reach and await asyncio.to_thread(_issued_at, connection) <= reach:
                found.append(connection)
    return found


def _issued_at(connection: Connection) -> int:
    """When its token was issued; 0, so as if it should be gone, where the server does not show one."""
    try:
        return decode(connection.jwt, UserClaims).claims.iat
    except PeerError:
        return 0


def server_of(message: Reply) -> ServerInfo | None:
    """Who sent a STATSZ (wrapped) or SHUTDOWN (bare) advisory."""
    wrapped = _read(_Pinged, [message])
    if wrapped:
        found: ServerInfo = wrapped[0].server
        return found if found.id else None
    bare = _read(ServerInfo, [message])
    return bare[0] if bare and bare[0].id else None


def connected_account(message: Reply) -> tuple[ServerInfo, str] | None:
    """Server and account of a connection-count advisory with somebody connected."""
    found = _read(_Conns, [message])
    return (found[0].server, found[0].acc) if found and found[0].conns else None
