"""Questions to the broker, from its system account and from any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.broker.services.headquarters import Headquarters


@pytest.fixture
def place(tmp_path: Path) -> Headquarters:
    return Headquarters(tmp_path)


def mine(place: Headquarters, page: str) -> str:
    return f"$SYS.REQ.SERVER.{place.core.identity.id}.{page}"


@pytest.mark.parametrize("page", ["VARZ", "CONNZ", "SUBSZ", "ACCOUNTZ", "HEALTHZ", "JSZ", "ROUTEZ", "RAFTZ"])
def test_pages_are_given_to_all_and_to_one(place: Headquarters, page: str) -> None:
    assert "data" in place.answer(f"$SYS.REQ.SERVER.PING.{page}")
    assert "data" in place.answer(mine(place, page))


def test_filters_keep_it_silent(place: Headquarters) -> None:
    assert place.ask("$SYS.REQ.SERVER.PING", {"server_name": "he"})
    assert not place.ask("$SYS.REQ.SERVER.PING", {"server_name": "he", "exact_match": True})
    assert not place.ask("$SYS.REQ.SERVER.PING", {"tags": ["red"]})


def test_what_cannot_be_read_is_answered(place: Headquarters) -> None:
    assert place.answer(mine(place, "CONNZ"), b"{")["error"]["code"] == 400
    refused = place.answer(mine(place, "CONNZ"), {"sort": "age"})
    assert refused["error"] == {"code": 500, "description": "invalid sorting option: age"}


def test_kick_and_lame_duck_are_silent_unless_they_say_whom(place: Headquarters) -> None:
    client = place.enter(place.put("A"))
    for page in ("KICK", "LDM"):
        assert not place.ask(mine(place, page))
        assert not place.ask(mine(place, page), b"{")
        assert not place.ask(mine(place, page), {"cid": "1"})
        assert place.answer(mine(place, page), {"cid": 999})["error"]["code"] == 500
    assert set(place.answer(mine(place, "LDM"), {"cid": client.cid})) == {"server"}
    assert place.ldm == [client]
    assert set(place.answer(mine(place, "KICK"), {"cid": client.cid})) == {"server"}
    assert client.closed == "Kicked"


def test_an_account_nobody_is_in_is_no_business_of_ours(place: Headquarters) -> None:
    account = place.put("A")
    conns = f"$SYS.REQ.ACCOUNT.{account.public}.CONNS"
    statz = f"$SYS.REQ.ACCOUNT.{account.public}.STATZ"
    assert not place.ask(conns)
    assert not place.ask(statz)
    place.enter(account)
    assert place.answer(conns)["conns"] == 1
    (found,) = place.answer(statz)["data"]["account_statz"]
    assert found["acc"] == account.public


def test_an_account_may_ask_of_itself_and_of_nobody_else(place: Headquarters) -> None:
    here, there = place.put("A"), place.put("B")
    place.enter(here, "ann")
    place.enter(there, "bob")
    for subject in ("$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.SERVER.PING.CONNZ"):
        for asked in ({}, {"acc": there.public}, {"acc": "", "auth": True, "state": 2}):
            page = place.answer(subject, asked, account=here)["data"]
            assert [each["name"] for each in page["connections"]] == ["ann"]
            assert all(("jwt" in each) is bool(asked.get("auth")) for each in page["connections"])
    asked = {"accounts": [there.public], "include_unused": True}
    page = place.answer("$SYS.REQ.ACCOUNT.PING.STATZ", asked, account=here)["data"]
    assert [each["acc"] for each in page["account_statz"]] == [here.public]
    for subject in (mine(place, "KICK"), "$SYS.REQ.SERVER.PING.VARZ", "$SYS.REQ.CLAIMS.LIST"):
        assert not place.ask(subject, {"cid": 1}, account=here)


def test_no_answer_holds_what_could_end_a_script(place: Headquarters) -> None:
    place.enter(place.put("A"), "</script>")
    (answer,) = place.ask("$SYS.REQ.SERVER.PING.CONNZ")
    assert b"</script>" not in answer
    assert json.loads(answer)["data"]["connections"][0]["name"] == "</script>"
