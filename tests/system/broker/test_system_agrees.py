"""What both servers say of themselves: the same members, of the same types, and the same refusals."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import pytest

from tests.issuer.delivery.town import Town
from tests.system.broker.pair import shape, starter
from tests.system.broker.system_scene import NOBODY, PATHS, SILENCE, Company, guest_questions, play, questions

Answers = dict[str, dict[str, Any]]

# On purpose (docs/broker/differences.md): imports and exports as the token says them.
_SHARES: Final = re.compile(r"(/account_detail|/data|/document)*/(imports|exports)(\[\]|/|$)")
# What only a look inside Go's process or a cluster gives.
_ITS_OWN: Final = re.compile(r"/http_req_stats/")
# The broker counts its own subscriptions, and lists those of clients.
_ONLY_COUNTED: Final = {"SUBSZ of account global", "SUBSZ of account system"}
# A closed connection is shown with its token by the real server, even to those who did not ask with `auth`.
_TOKENS_OF_THE_CLOSED: Final = {
    name: re.compile(r"/connections\[\]/(jwt|issuer_key|name_tag|tags(\[\])?)$")
    for name in ("CONNZ by stop", "CONNZ by reason", "CONNZ closed, details", "GET /connz?state=ALL")
}
# The real server lists subscriptions in another order each time: this page may show one of a group,
# or one that is to end, or neither.
_BY_CHANCE: Final = {"SUBSZ page": re.compile("/(qgroup|max)$")}
_CONFIGURED: Final = (
    "version", "proto", "host", "auth_required", "auth_timeout", "max_connections", "max_payload",
    "max_control_line", "max_pending", "ping_interval", "ping_max", "tls_timeout", "write_deadline",
    "http_base_path", "trusted_operators_jwt", "trusted_operators_claim", "system_account", "feature_flags",
    "jetstream", "connections", "total_connections", "slow_consumers", "leafnodes", "routes",
)  # fmt: skip
_LISTED: Final = ("total", "offset", "limit", "num_connections")


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    folder = tmp_path_factory.mktemp("agrees")
    town = Town(f"sqlite:///{folder / 'accredit.db'}")
    company = Company(town)
    config = town.config(allow_delete=True) + "authorization { timeout: 2 }\n"
    found: Answers = {}
    with starter(folder) as start:
        for which in ("real", "ours"):
            found[which] = asyncio.run(play(start(which, config, name="server-one"), company))
    town.close()
    return found


def compared(name: str, document: Any) -> frozenset[tuple[str, str]]:
    left_out = _TOKENS_OF_THE_CLOSED.get(name) or _BY_CHANCE.get(name)
    return frozenset(
        (path, kind)
        for path, kind in shape(document)
        if not _SHARES.search(path)
        and not _ITS_OWN.search(path)
        and not (left_out is not None and left_out.search(path))
    )


def listed(document: Any) -> Any:
    """A page of connections without what changes: who is on it, and how many there are."""
    page = document.get("data") or document.get("document") if isinstance(document, dict) else None
    if not isinstance(page, dict) or "num_connections" not in page:
        return None
    who = [each.get("name", "") for each in page["connections"] or []]
    return [who, *(page[name] for name in _LISTED)]


ASKED: Final = (
    *questions(),
    *(f"guest: {name}" for name in guest_questions()),
    *(f"GET {path}" for path in PATHS),
    "dave: USER.INFO",
    "LDM",
    "KICK",
)


@pytest.mark.parametrize("name", ASKED)
def test_they_answer_alike(name: str, answers: Answers) -> None:
    real, ours = answers["real"][name], answers["ours"][name]
    if name in _ONLY_COUNTED:
        assert set(ours["data"]) | {"subscriptions_list"} == set(real["data"])
        return
    left, right = compared(name, real), compared(name, ours)
    assert (left - right, right - left) == (frozenset(), frozenset())
    if real in (NOBODY, SILENCE):
        assert ours == real
        return
    assert listed(ours) == listed(real)
    for member in ("status", "type"):
        assert ours.get(member) == real.get(member)
    if error := real.get("error"):
        assert ours["error"]["code"] == error["code"]
        # What JSON is broken by, each reader says in its own words.
        assert error["code"] == 400 or ours["error"] == error


def test_the_same_configuration_shows_the_same(answers: Answers) -> None:
    real, ours = (answers[which]["VARZ of one"]["data"] for which in ("real", "ours"))
    for name in _CONFIGURED:
        assert ours[name] == real[name], name


def test_they_tell_the_same_events(answers: Answers) -> None:
    heard = {
        which: {name: found for name, found in said.items() if name.startswith("event ")}
        for which, said in answers.items()
    }
    assert set(heard["ours"]) == set(heard["real"])
    for name, real in heard["real"].items():
        ours = heard["ours"][name]
        assert compared(name, ours) == compared(name, real), name
        for member in ("type", "reason", "acc", "conns", "total_conns"):
            assert ours.get(member) == real.get(member), (name, member)


def test_what_is_left_out_is_there(answers: Answers) -> None:
    """The exceptions above would hide what they are not for, were they there for nothing."""
    for name, pattern in _TOKENS_OF_THE_CLOSED.items():
        assert any(pattern.search(path) for path, _ in shape(answers["real"][name])), name
    for name in _ONLY_COUNTED:
        assert answers["real"][name]["data"]["subscriptions_list"]
