"""What the page of differences says, asked of both servers: never is ours the more generous."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.canonical import Section
from tests.conformance.hosts import UNLIMITED, WIDE
from tests.conformance.model import Case, Connect, Ping, Send, Step, Token
from tests.conformance.runner import Arena

PAGE = Path(__file__).parents[3] / "docs/broker/differences.md"


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with Arena() as arena:
        yield arena


def case(user: Token, steps: list[Step], **account: object) -> Case:
    return Case(
        theme="differences",
        accounts={"A": Token(signer="O", sub="A", nats={"limits": WIDE, **account})},
        users={"u": user},
        steps=steps,
    )


def lines(sections: list[Section], word: str) -> list[str]:
    return [line for section in sections for line in section.lines if word in line]


@pytest.mark.component("nats-server")
def test_a_member_in_two_spellings_is_refused(arena: Arena) -> None:
    user = Token(signer="A", sub="u", nats=UNLIMITED, members={"NAME": "x"})
    found = arena.compare(
        case(
            user,
            [Connect(client="c", user="u", options={"verbose": False, "protocol": 1}), Send("c", [Ping()])],
        )
    )
    assert found is not None
    assert lines(found.left, "connect_info")
    assert not lines(found.right, "connect_info")
    assert lines(found.right, "Authorization Violation")


def test_every_line_of_the_page_says_what_the_server_does() -> None:
    rows = [row for row in PAGE.read_text(encoding="utf-8").splitlines() if re.match(r"\| [^-w]", row)]
    assert len(rows) >= 8
    assert all(row.count("|") == 5 for row in rows)
