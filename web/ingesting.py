"""What servers say, into the log: the part of the service that does it, by the setting `ingest`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from issuer.authority.ingesting import ingest_account, mint_stream_user
from issuer.authority.system_users import LISTENER
from issuer.delivery.server_intake import Follower, Listener, Writer
from issuer.delivery.server_stream import CONSUMER, STREAM, ServerStream, connect_server_stream
from issuer.delivery.system_account import SystemAccount, Tls, connect_system_account
from issuer.errors import NotFound
from issuer.store.unit import Unit
from issuer.tokens.envelope import Token
from issuer.tokens.signer import Signer
from web.running import Part, kept_going
from web.wiring import Wiring, now


def ingesting(wiring: Wiring, urls: Sequence[str]) -> list[Part]:
    """The part, or none where it is turned off.

    Raises:
        NotFound: a stream was asked for, and no account was enabled for it.
    """
    how = wiring.settings.ingest
    if how == "off":
        return []
    account = wiring.authority.ask(_account, wiring)
    if how == "stream" and account is None:
        raise NotFound("no account keeps what servers say", at="ingest", hint="accredit audit ingest enable")
    writer = Writer(wiring.database, wiring.operator.id, clock=now)
    tls = Tls.of(wiring.settings)

    def system_user() -> tuple[Token, Signer]:
        return wiring.minted(LISTENER)

    def stream_user() -> tuple[Token, Signer]:
        with wiring.database.noting() as unit:
            return mint_stream_user(
                unit, wiring.authority.keyring, wiring.operator, account or "", STREAM, CONSUMER, now()
            )

    async def listen() -> SystemAccount:
        return await connect_system_account(list(urls), system_user, tls=tls, name="accredit listener")

    async def follow() -> ServerStream:
        return await connect_server_stream(list(urls), stream_user, tls=tls)

    async def run(stop: asyncio.Event) -> None:
        if account is None or how == "plain":
            await Listener(listen, writer).run(stop)
        else:
            await Follower(follow, writer).run(stop)

    # What servers say is worth less than what we say to them: its faults end nothing else.
    return [kept_going(run, "the ingest of what servers say")]


def _account(unit: Unit, wiring: Wiring) -> str | None:
    return ingest_account(unit, wiring.operator)
