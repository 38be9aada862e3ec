"""An account that is not stored here is asked for, of whoever listens on the system account."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from broker.routing import Message
from tests.broker.services.headquarters import Headquarters

SUBJECT = "$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP"


@pytest.fixture(params=["full", "cache"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Headquarters:
    return Headquarters(tmp_path, request.param)


def fetched(place: Headquarters, name: str) -> list[str | None]:
    found: list[str | None] = []
    place.resolver.fetch(place.public(name), found.append)
    return found


def answering(place: Headquarters, *answers: str) -> None:
    def answer(message: Message) -> None:
        for each in answers:
            place.core.publish(place.system_account, message.reply, each.encode())

    place.core.subscribe(place.system_account, SUBJECT, answer)


def test_the_first_answer_counts_and_is_stored(place: Headquarters) -> None:
    token = place.token("A")
    answering(place, token, "")
    found = fetched(place, "A")
    place.pass_time(5)
    assert found == [token]
    assert place.store.token_of(place.public("A")) == token


def test_an_empty_answer_ends_the_waiting(place: Headquarters) -> None:
    answering(place, "")
    assert fetched(place, "A") == [None]


def test_nobody_answers_and_it_ends_in_time(place: Headquarters) -> None:
    found = fetched(place, "A")
    place.pass_time(1.8)
    assert found == []
    before = place.system_account.trie.count
    place.pass_time(0.2)
    assert found == [None]
    assert place.system_account.trie.count == before - 1


@pytest.mark.parametrize(
    "other",
    [lambda place: place.token("B"), lambda _: "garbage", lambda place: place.token("A")[:-3] + "AAA"],
)
def test_a_token_that_is_not_this_accounts_is_not_stored(
    place: Headquarters, other: Callable[[Headquarters], str]
) -> None:
    answering(place, other(place))
    assert fetched(place, "A") == [None]
    assert place.store.names() == []


def test_we_do_not_answer_ourselves(place: Headquarters) -> None:
    found = fetched(place, "A")
    assert found == []
    token = place.token("A")
    place.store.store(place.public("A"), token)  # pushed meanwhile
    place.pass_time(2)
    assert found == [token]
