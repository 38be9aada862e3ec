"""What the servers tell of themselves, by messages and over HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from issuer.claims.account import Export, Import
from issuer.subjects import Subject
from tests.servers import wait_until
from tests.system.broker.differences.both import Staged, ask, of_server, server, token
from tests.system.broker.stage import Client, Stage
from tests.system.broker.transport_scene import Line, connect, hang_up

pytestmark = pytest.mark.component("nats-server")


class Page(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


def fetch(stage: Stage, path: str, *, method: str = "GET") -> Page:
    request = urllib.request.Request(f"{server(stage).monitor_url}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return Page(answer.status, dict(answer.headers), answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Page(error.code, dict(error.headers), error.read())


def one_account(stage: Stage) -> None:
    stage.account("A")


def sent_before_a_fault(stage: Stage, fault: tuple[str, ...]) -> int:
    """Messages that the DISCONNECT event counts, of two in one write with a fault after them."""
    system = stage.client("SYS")
    system.say("SUB $SYS.ACCOUNT.*.DISCONNECT 1")
    stage.client("A").send("PUB a 1", "x", "PUB a 1", "x", *fault)
    event = json.loads(system.read().payload)
    count: int = event["sent"]["msgs"]
    return count


def test_what_was_sent_before_a_fault_is_counted(staged: Staged) -> None:
    both = staged(one_account)
    for fault in (("FOO",), ("PUB a 99999999",), ("PUB a 1", "xyz")):
        real, ours = (sent_before_a_fault(stage, fault) for stage in both)
        assert (real, ours) == (0, 2), fault


def test_shares_are_those_of_the_token(staged: Staged) -> None:
    def prepare(stage: Stage) -> None:
        stage.account("E", exports=(Export(subject=Subject("e"), type="stream"),))
        stage.account(
            "A",
            exports=(Export(subject=Subject("a"), type="stream"),),
            imports=(Import(subject=Subject("e"), account=stage.key("E"), type="stream"),),
        )

    def shares(stage: Stage) -> tuple[list[str], list[str]]:
        stage.client("A")
        said = ask(stage.client("SYS"), f"$SYS.REQ.ACCOUNT.{stage.key('A')}.INFO")
        assert said is not None
        imports, exports = (said["data"][name] for name in ("imports", "exports"))
        return [each["subject"] for each in imports], [each["subject"] for each in exports]

    both = staged(prepare)
    real, ours = map(shares, both)
    assert ours == (["e"], ["a"])
    assert (real[0][0], real[1]) == ("e", ["a"])
    assert real[0][1:]
    assert all(subject.startswith("$SYS.REQ.") for subject in real[0][1:])


def shown_tokens(stage: Stage, query: str) -> set[str]:
    connections = json.loads(fetch(stage, f"/connz?state=closed{query}").body)["connections"]
    return {each["name"] for each in connections if each.get("name") and each.get("jwt")}


def test_tokens_of_closed_connections_on_demand_only(staged: Staged) -> None:
    def scene(stage: Stage) -> tuple[set[str], set[str]]:
        stage.client("A", name="in").close()
        for name in ("bearer", "refused"):
            with Line(server(stage).port) as line:
                line.send(connect(token(stage, "A", bearer=name == "bearer"), name=name), b"PING\r\n")
                line.until(lambda data: 1 if b"PONG" in data or b"-ERR" in data else None)

        def gone() -> bool:
            total: int = json.loads(fetch(stage, "/connz?state=closed").body)["total"]
            return total >= 3

        wait_until(gone, what="the connections to be closed")
        return shown_tokens(stage, ""), shown_tokens(stage, "&auth=1")

    try:
        real, ours = map(scene, staged(one_account))
    finally:
        hang_up()
    assert real == ({"in", "refused"}, {"in", "refused"})
    assert ours == (set(), {"in"})


def test_subscriptions_of_the_server_itself_are_counted_and_not_listed(staged: Staged) -> None:
    def listed(stage: Stage) -> tuple[int, list[str]]:
        system = stage.client("SYS")
        asked = {"subscriptions": True, "account": stage.key("SYS")}
        said = ask(system, of_server(system, "SUBSZ"), asked)
        assert said is not None
        data = said["data"]
        return data["num_subscriptions"], [each["subject"] for each in data["subscriptions_list"]]

    real, ours = map(listed, staged(one_account))
    assert any(subject.startswith("$SYS.REQ.") for subject in real[1])
    assert ours[0] > 1
    assert ours[1] == ["_INBOX.asked"]


def test_nothing_of_the_process_is_told(staged: Staged) -> None:
    both = staged(one_account)
    for page, body in (("PROFILEZ", {"name": "goroutine"}), ("EXPVARZ", "")):
        real, ours = (ask(system, of_server(system, page), body) for system in systems(*both))
        assert real is not None
        assert real["data"]
        assert ours is None
    for path in ("/debug/vars", "/stacksz", "/ipqueuesz"):
        assert [fetch(stage, path).status for stage in both] == [200, 404]
    counted = [json.loads(fetch(stage, "/varz").body)["http_req_stats"] for stage in both]
    assert counted[0]
    assert counted[1] == {}


def systems(*stages: Stage) -> list[Client]:
    return [stage.client("SYS") for stage in stages]


def test_options_that_cannot_be_read(staged: Staged) -> None:
    for body in ("{nope", '{"cid": "1"}', "[1]"):
        answers: list[Any] = [
            ask(system, of_server(system, "CONNZ"), body) for system in systems(*staged(one_account))
        ]
        real, ours = (answer["error"] for answer in answers)
        assert (real["code"], ours["code"]) == (400, 400)
        assert real["description"] != ours["description"]


def test_monitoring_is_read_only_and_no_web_page_s(staged: Staged) -> None:
    both = staged(one_account)
    for method in ("POST", "PUT", "DELETE"):
        assert [fetch(stage, "/varz", method=method).status for stage in both] == [200, 405]
    assert [fetch(stage, "/varz", method="HEAD").status for stage in both] == [200, 200]
    allowed = [fetch(stage, "/varz").headers.get("Access-Control-Allow-Origin") for stage in both]
    assert allowed == ["*", None]
