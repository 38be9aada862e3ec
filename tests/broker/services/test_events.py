"""Events are made when somebody listens, and say who came and went."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.protocol.texts import Closed
from tests.broker.services.headquarters import Headquarters


@pytest.fixture
def place(tmp_path: Path) -> Headquarters:
    return Headquarters(tmp_path)


def test_nobody_listens_and_nothing_is_made(place: Headquarters, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("an event was made for nobody")

    monkeypatch.setattr("broker.services.events.describe_client", never)
    client = place.enter(place.put("A"))
    place.core.close(client, Closed.CLIENT_CLOSED)


def test_who_comes_and_goes(place: Headquarters) -> None:
    place.hear("$SYS.ACCOUNT.*.CONNECT")
    place.hear("$SYS.ACCOUNT.*.DISCONNECT")
    account = place.put("A")
    client = place.enter(account, "bob")
    client.rtt = 0.001
    client.in_msgs, client.in_bytes = 3, 30
    place.core.close(client, Closed.KICKED)
    (came, connect), (went, disconnect) = place.heard
    assert came == f"$SYS.ACCOUNT.{account.public}.CONNECT"
    assert connect["client"]["jwt"] == client.token
    assert "rtt" not in connect["client"]
    assert went == f"$SYS.ACCOUNT.{account.public}.DISCONNECT"
    assert disconnect["reason"] == "Kicked"
    assert disconnect["sent"] == {"msgs": 3, "bytes": 30}
    assert disconnect["client"]["rtt"] == 1_000_000


@pytest.mark.parametrize("form", ["$SYS.ACCOUNT.{}.SERVER.CONNS", "$SYS.SERVER.ACCOUNT.{}.CONNS"])
def test_how_many_are_there_is_told_on_both_subjects(place: Headquarters, form: str) -> None:
    account = place.put("A")
    subject = form.format(account.public)
    place.hear(subject)
    client = place.enter(account)
    place.core.close(client, Closed.CLIENT_CLOSED)
    assert [(where, event["conns"]) for where, event in place.heard] == [(subject, 1), (subject, 0)]
    assert place.heard[0][1]["sent"]["routes"] == {"msgs": 0, "bytes": 0}


def test_it_is_told_again_every_half_minute(place: Headquarters) -> None:
    account = place.put("A")
    place.hear(f"$SYS.ACCOUNT.{account.public}.SERVER.CONNS")
    client = place.enter(account)
    place.pass_time(61)
    assert len(place.heard) == 3
    place.core.close(client, Closed.CLIENT_CLOSED)
    place.pass_time(61)
    assert len(place.heard) == 4


def test_a_last_word(place: Headquarters) -> None:
    place.hear("$SYS.SERVER.*.*")
    place.services.lame_duck()
    place.services.shutdown()
    assert [subject.rpartition(".")[2] for subject, _ in place.heard] == ["LAMEDUCK", "SHUTDOWN"]
