"""The page of differences and its tests: every line of the page has one that asks both servers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

HERE: Final = Path(__file__).parent
PAGE: Final = HERE.parents[2] / "docs/broker/differences.md"
UNTESTED: Final = "Not asserted, and why"

_TOKENS: Final = "differences/test_tokens.py"
_SHARING: Final = "differences/test_sharing.py"
_MONITORING: Final = "differences/test_monitoring.py"
_RESOLVER: Final = "differences/test_resolver.py"
_CALLOUT: Final = "differences/test_callout.py"
_CONFIGURATION: Final = "differences/test_configuration.py"
_MQTT: Final = "mqtt/test_differences.py"
_WEBSOCKET: Final = "test_websocket_agrees.py"

# How a line of the page begins, and the test of it.
TESTS: Final = {
    "a token with the same member": (_TOKENS, "test_a_member_in_two_spellings_is_refused"),
    "a user token whose subject": (_TOKENS, "test_who_is_no_user_is_not_asked_for_a_proxy"),
    "an account's token that another server": (
        _RESOLVER,
        "test_what_another_server_gives_is_stored_if_it_verifies",
    ),
    "a pushed token whose JSON": (_RESOLVER, "test_a_token_that_is_broken"),
    "a callout's account that is full": (_CALLOUT, "test_a_full_account_s_service_is_not_asked_in_vain"),
    "several mappings fit": (_SHARING, "test_of_several_mappings_the_narrowest"),
    "an import whose `local_subject`": (_SHARING, "test_an_import_that_refers_to_no_token"),
    "an activation that ends": (_SHARING, "test_an_activation_that_ends_takes_every_import_along"),
    "two exports fit an import": (_SHARING, "test_of_two_exports_both_must_permit"),
    "counts in the DISCONNECT event": (_MONITORING, "test_what_was_sent_before_a_fault_is_counted"),
    "imports and exports in": (_MONITORING, "test_shares_are_those_of_the_token"),
    "tokens in `CONNZ`": (_MONITORING, "test_tokens_of_closed_connections_on_demand_only"),
    "subscriptions of the server itself": (
        _MONITORING,
        "test_subscriptions_of_the_server_itself_are_counted_and_not_listed",
    ),
    "`PROFILEZ`, `EXPVARZ`": (_MONITORING, "test_nothing_of_the_process_is_told"),
    "options of a request": (_MONITORING, "test_options_that_cannot_be_read"),
    "monitoring over HTTP": (_MONITORING, "test_monitoring_is_read_only_and_no_web_page_s"),
    "passwords and tokens of the configuration": (_CONFIGURATION, "test_nobody_gets_in_by_a_hash"),
    "`auth_callout`, `tls.pinned_certs`": (_CONFIGURATION, "test_what_narrows_is_refused"),
    "a port above 65535": (_CONFIGURATION, "test_slips_are_refused"),
    "clusters, gateways": (_CONFIGURATION, "test_what_the_broker_has_not_is_a_warning"),
    "sessions, retained messages": (_CONFIGURATION, "test_sessions_of_mqtt_are_in_memory"),
    "a CONNECT with bytes left over": (_MQTT, "test_a_connect_longer_than_it_says"),
    "QoS 1 through an import": (_MQTT, "test_quality_1_through_an_import"),
    "a subscription that a push takes away": (_MQTT, "test_a_subscription_that_is_taken_away"),
    "a message of QoS 2 staged": (_MQTT, "test_what_was_staged_before_a_new_beginning"),
    "the subjects `$MQTT.>`": (_MQTT, "test_the_server_s_own_subjects"),
    "a frame or an operation": (_WEBSOCKET, "test_frames_that_none_may_send"),
    "a request to upgrade with more": (_WEBSOCKET, "test_a_request_of_many_words"),
    "a path that is not tidy": (_WEBSOCKET, "test_a_path_that_is_not_tidy"),
    "a request to upgrade that does not end": (_WEBSOCKET, "test_a_request_that_does_not_end"),
}

NOT_ASSERTED: Final = {
    "connections that tie": "the real server's order is of chance",
    "a release of QoS 2 on the heels": "when JetStream has stored a message is a matter of microseconds",
}


class Row(NamedTuple):
    """A line of a table."""

    section: str
    cells: tuple[str, ...]


def rows() -> Iterator[Row]:
    section, begun = "", False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        if not line.startswith("|"):
            begun = False
        elif line.startswith("|---"):
            begun = True
        elif begun:
            yield Row(section, tuple(cell.strip() for cell in line.strip("|").split("|")))


def names_in(file: str) -> list[str]:
    tree = ast.parse((HERE / file).read_text(encoding="utf-8"))
    return [
        each.name for each in tree.body if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")
    ]


def test_every_line_of_the_page_has_its_test_or_its_excuse() -> None:
    known = {**TESTS, **NOT_ASSERTED}
    names = []
    for section, cells in rows():
        found = [name for name in known if cells[0].startswith(name)]
        assert len(found) == 1, cells[0]
        assert (found[0] in NOT_ASSERTED) is (section == UNTESTED), cells[0]
        names += found
    assert sorted(names) == sorted(known)


def test_lines_are_whole() -> None:
    for _, cells in rows():
        assert len(cells) == 4, cells
        assert all(cells[:3]), cells


@pytest.mark.parametrize(("file", "name"), TESTS.values())
def test_the_tests_are_there(file: str, name: str) -> None:
    assert name in names_in(file)


def test_every_test_of_a_difference_has_its_line() -> None:
    tested = set(TESTS.values())
    for file in sorted((HERE / "differences").glob("test_*.py")):
        for name in names_in(f"differences/{file.name}"):
            assert (f"differences/{file.name}", name) in tested
