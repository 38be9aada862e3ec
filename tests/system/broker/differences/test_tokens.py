"""Tokens of users that nats-server takes, or refuses in another way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.canonical import Section
from tests.conformance.hosts import UNLIMITED, WIDE
from tests.conformance.model import OPTIONS, Case, Connect, Ping, Send, Token
from tests.conformance.runner import Arena, Difference

pytestmark = pytest.mark.component("nats-server")


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with Arena() as arena:
        yield arena


def coming(arena: Arena, user: Token) -> Difference:
    """Where the servers part when this user comes to account A."""
    found = arena.compare(
        Case(
            theme="differences",
            accounts={"A": Token(signer="O", sub="A", nats={"limits": WIDE})},
            users={"u": user},
            steps=[Connect(client="c", user="u", options=OPTIONS), Send("c", [Ping()])],
        )
    )
    assert found is not None
    return found


def lines(sections: list[Section], word: str) -> list[str]:
    return [line for section in sections for line in section.lines if word in line]


def test_a_member_in_two_spellings_is_refused(arena: Arena) -> None:
    found = coming(arena, Token(signer="A", sub="u", nats=UNLIMITED, members={"NAME": "x"}))
    assert lines(found.left, "connect_info")
    assert not lines(found.right, "connect_info")
    assert lines(found.right, "Authorization Violation")


def test_who_is_no_user_is_not_asked_for_a_proxy(arena: Arena) -> None:
    nats = {**UNLIMITED, "proxy_required": True}
    found = coming(arena, Token(signer="A", sub="u", nats=nats, members={"sub": "{X}"}))
    for side in (found.left, found.right):
        assert not lines(side, "connect_info")
        assert lines(side, "Authorization Violation")
    assert lines(found.left, "reason=Proxy Required")
    assert lines(found.right, "reason=Authentication Failure")
