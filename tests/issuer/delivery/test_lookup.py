from __future__ import annotations

import asyncio

from issuer.delivery.lookup import answer_lookups
from issuer.errors import Unavailable
from issuer.keys.nkeys import PublicKey, Role
from tests.fleet_simulator import SimulatedFleet
from tests.issuer.delivery.town import Town, signer


def test_lookups_are_answered_from_the_store(town: Town) -> None:
    town.add("Orders")
    tokens = {town.public("Orders"): town.head("Orders")}

    async def story() -> None:
        system = await SimulatedFleet(town.operator.public, "a").connect()
        await answer_lookups(system, lambda account: tokens.get(PublicKey(account)), who="here")
        for account in (town.public("Orders"), signer(Role.ACCOUNT).public, "nonsense"):
            for inbox in ("_INBOX.server.1", "_INBOX_accredit.1.2", ""):
                await system.hear(f"$SYS.REQ.ACCOUNT.{account}.CLAIMS.LOOKUP", b"", reply=inbox)
        payloads = [(reply.payload.decode(), reply.subject, reply.ours) for reply in system.published]
        token = town.head("Orders")
        assert payloads == [
            (token, "_INBOX.server.1", ""),
            (token, "_INBOX_accredit.1.2", "here"),
            ("", "_INBOX.server.1", ""),
            ("", "_INBOX_accredit.1.2", "here"),
        ]

    asyncio.run(story())


def test_a_lookup_the_store_cannot_answer_is_left_to_others(town: Town) -> None:
    def broken(account: str) -> str | None:
        raise Unavailable("database is gone")

    async def story() -> None:
        system = await SimulatedFleet(town.operator.public, "a").connect()
        await answer_lookups(system, broken)
        await system.hear(
            f"$SYS.REQ.ACCOUNT.{signer(Role.ACCOUNT).public}.CLAIMS.LOOKUP", b"", reply="_INBOX.x"
        )
        assert system.published == []

    asyncio.run(story())
