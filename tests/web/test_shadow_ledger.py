"""What would have become of logins is written down, and nothing that would let anybody be taken for connected."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callout.answer import Voice
from callout.desk import Desk, Outcome
from callout.refusals import Reason
from callout.responder import Responder, Settings
from issuer.audit import log
from issuer.audit.catalogue import EventCode
from issuer.claims.exchange import ConnectOptions
from issuer.store import grants
from issuer.store.identities import turned_away_since
from issuer.store.unit import Database
from issuer.tokens.signer import SeedSigner
from tests.callout.asking import NOW, Asking
from tests.callout.counter import Counter
from tests.callout.test_responder import Asked
from tests.issuer.store.founding import Founded
from web import shadow_ledger
from web.shadow_ledger import ShadowLedger


def ask(database: Database, *people: dict[str, Any], bodies: tuple[bytes, ...] = ()) -> list[Asked]:
    """Ask a responder in the shadow about each of them."""
    counter, asking = Counter(NOW), Asking()
    questions = [
        Asked(Asking(asking.server, asking.server_curve, asking.account).token(asked))
        for asked in (
            Asking(asking.server, asking.server_curve, asking.account).with_body(
                connect_opts=ConnectOptions(protocol=1, **who)
            )
            for who in people
        )
    ]
    questions += [Asked(body) for body in bodies]

    async def run() -> None:
        book = ShadowLedger(database, now=lambda: NOW, version=lambda: 7)
        desk = Desk(counter, counter, book, now=lambda: NOW, chance=lambda: 0.0)
        voice = Voice(account=asking.account.public, signer=SeedSigner(asking.account), curve=None)
        responder = Responder(
            desk,
            lambda: voice,
            asking.rules,
            book,
            now=lambda: NOW,
            settings=Settings(shadow=True),
        )
        for question in questions:
            await responder.answer(question, heard=asyncio.get_running_loop().time())
        await book.drained()
        assert book.unwritten == 0

    asyncio.run(run())
    return questions


def events(database: Database, code: EventCode) -> list[dict[str, object]]:
    with database.reading() as unit:
        assert log.verify_chain(unit) is None
        return [dict(event.body.detail) for event in log.read(unit, code=code)]


def test_nobody_is_answered_and_what_would_have_been_is_written(database: Database, founded: Founded) -> None:
    people = ({"user": "ann", "password": "secret"}, {"user": "ann", "password": "wrong"})
    asked = ask(database, *people, bodies=(b"no token",))
    assert [each.answers for each in asked] == [[], [], []]
    in_order = sorted(events(database, EventCode.LOGIN_SHADOWED), key=lambda each: str(each.get("code", "")))
    granted, wrong, stranger = (in_order[0], *in_order[1:])
    assert (granted["would"], granted["subject"], granted["role"], granted["bindings"], granted["policy"]) == (
        "grant", "ann", "reader", "staff", 7,
    )  # fmt: skip
    assert (wrong["would"], wrong["code"]) == ("refuse", Reason.CREDENTIALS_WRONG.value)
    assert stranger["would"] == "refuse"
    assert str(stranger["code"]).startswith("request.")


def test_nobody_is_taken_for_connected_or_turned_away(database: Database, founded: Founded) -> None:
    ask(database, {"user": "ann", "password": "secret"}, {"user": "ann", "password": "wrong"})
    with database.reading() as unit:
        assert grants.open_sessions(unit, founded.operator.id) == []
        assert list(turned_away_since(unit, founded.operator.id, 0)) == []
    assert events(database, EventCode.LOGIN_GRANTED) == []
    assert events(database, EventCode.LOGIN_REFUSED) == []


def test_the_password_is_not_written(database: Database, founded: Founded) -> None:
    ask(database, {"user": "ann", "password": "hunter2hunter2"})
    assert "hunter2" not in str(events(database, EventCode.LOGIN_SHADOWED))


def test_what_there_is_no_room_for_is_counted(
    database: Database, founded: Founded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow_ledger, "MOST_REFUSALS", 2)

    async def run() -> int:
        book = ShadowLedger(database, now=lambda: NOW, version=lambda: 0)
        for _ in range(5):
            book.refused(None, Outcome(reason=Reason.TOO_LATE))
        await book.drained()
        return book.unwritten

    assert asyncio.run(run()) == 3
    assert len(events(database, EventCode.LOGIN_SHADOWED)) == 2
