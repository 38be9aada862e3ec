"""Pages of monitoring: what is on them, in which order, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from broker.protocol.texts import Closed
from broker.services.asked import AskedWrongError
from broker.services.monitoring import accountz, connz, subsz, varz
from tests.broker.services.headquarters import Headquarters


@pytest.fixture
def place(tmp_path: Path) -> Headquarters:
    place = Headquarters(tmp_path)
    account = place.put("A")
    for number, name in enumerate(("ann", "bob", "cat")):
        client = place.enter(account, name, bearer=name == "cat")
        client.in_msgs = 10 - number
        for each in range(number):
            place.listen(client, f"x.{each}")
        place.pass_time(1)
    return place


def who(place: Headquarters, **asked: Any) -> list[str]:
    return [each["name"] for each in connz(place.core, asked)["connections"]]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [("", "ann bob cat"), ("cid", "ann bob cat"), ("start", "ann bob cat"), ("subs", "cat bob ann"),
     ("msgs_from", "ann bob cat"), ("uptime", "cat bob ann"), ("last", "cat bob ann"), ("idle", "ann bob cat")],
)  # fmt: skip
def test_orders(place: Headquarters, sort: str, expected: str) -> None:
    assert " ".join(who(place, sort=sort)) == expected


def test_pages(place: Headquarters) -> None:
    assert who(place, limit=1, offset=1) == ["bob"]
    assert who(place, limit=-1) == ["ann", "bob", "cat"]
    assert who(place, offset=-1) == ["ann", "bob", "cat"]
    assert who(place, offset=9) == []
    page = connz(place.core, {"limit": 2})
    assert (page["num_connections"], page["total"], page["limit"]) == (2, 3, 2)


def test_filters(place: Headquarters) -> None:
    account = place.public("A")
    assert who(place, filter_subject="x.1", acc=account) == ["cat"]
    assert who(place, filter_subject="x.*", acc=account) == ["bob", "cat"]
    assert who(place, acc=place.system) == []
    bob = next(each for each in place.core.clients.values() if each.options.name == "bob")
    assert bob.user is not None
    assert who(place, user=bob.user.sub) == ["bob"]
    assert who(place, cid=bob.cid) == ["bob"]


def test_an_account_that_is_not_here_has_no_list(place: Headquarters) -> None:
    assert connz(place.core, {"acc": "AX"})["connections"] is None


def test_those_that_went_are_kept_with_what_they_had(place: Headquarters) -> None:
    cat = next(each for each in place.core.clients.values() if each.options.name == "cat")
    place.core.close(cat, Closed.KICKED)
    assert who(place) == ["ann", "bob"]
    (gone,) = connz(place.core, {"state": 1, "subscriptions": True, "auth": True})["connections"]
    assert (gone["name"], gone["reason"], gone["subscriptions"]) == ("cat", "Kicked", 2)
    assert gone["subscriptions_list"] == ["x.0", "x.1"]
    assert who(place, state=2, sort="uptime") == ["cat", "bob", "ann"]


def test_a_bearers_token_is_never_shown(place: Headquarters) -> None:
    tokens = {each["name"]: each.get("jwt") for each in connz(place.core, {"auth": True})["connections"]}
    assert tokens["ann"]
    assert tokens["cat"] is None
    assert all("jwt" not in each for each in connz(place.core, {})["connections"])
    cat = next(each for each in place.core.clients.values() if each.options.name == "cat")
    place.core.close(cat, Closed.KICKED)
    for asked in ({"state": 1}, {"state": 1, "auth": True}):
        assert all("jwt" not in each for each in connz(place.core, asked)["connections"])


@pytest.mark.parametrize(
    ("asked", "words"),
    [({"sort": "age"}, "invalid sorting option: age"),
     ({"sort": "stop"}, "sort by stop only valid on closed connections"),
     ({"sort": "reason", "state": 2}, "sort by reason only valid on closed connections"),
     ({"filter_subject": "x"}, "filter by subject only valid with account filtering")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(place: Headquarters, asked: Mapping[str, Any], words: str) -> None:
    with pytest.raises(AskedWrongError) as refused:
        connz(place.core, asked)
    assert refused.value.message == words


def test_subscriptions_are_listed_and_tested(place: Headquarters) -> None:
    asked = {"subscriptions": True, "account": place.public("A")}
    assert subsz(place.core, asked)["total"] == 3
    assert subsz(place.core, {**asked, "test": "x.1"})["total"] == 1
    assert len(subsz(place.core, {**asked, "limit": 1})["subscriptions_list"]) == 1
    with pytest.raises(AskedWrongError):
        subsz(place.core, {"test": "x.*"})


def test_an_account_that_is_not_here_is_said(place: Headquarters) -> None:
    with pytest.raises(AskedWrongError, match="Account AX does not exist"):
        accountz(place.core, {"account": "AX"})


def test_nothing_failed_is_not_mentioned(place: Headquarters) -> None:
    assert "pinned_account_fails" not in varz(place.core, {})
    place.core.pinned_account_fails = 2
    assert varz(place.core, {})["pinned_account_fails"] == 2
