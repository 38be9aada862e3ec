"""Messages of servers, real and made up, as values."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.audit.server_events import (
    MAX_BYTES,
    SUBJECTS,
    Heard,
    Kind,
    Unfit,
    mark_of,
    parse,
    told_by,
)
from issuer.tokens.envelope import decode, token_hash

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "server_events.json").read_text("utf-8"))
MESSAGES: dict[str, tuple[str, bytes]] = {
    each["name"]: (each["subject"], each["data"].encode()) for each in VECTORS["messages"]
}
CONNECT = MESSAGES["connect-user"]


def heard(name: str) -> Heard:
    found = parse(*MESSAGES[name])
    assert isinstance(found, Heard)
    return found


def changed(name: str = "connect-user", /, **members: Any) -> tuple[str, bytes]:
    """A recorded message with other members; `server` and `client` are merged."""
    subject, data = MESSAGES[name]
    document = json.loads(data)
    for member, value in members.items():
        inner = document.get(member)
        document[member] = inner | value if isinstance(inner, dict) and isinstance(value, dict) else value
    return subject, json.dumps(document).encode()


@pytest.mark.parametrize("name", MESSAGES)
def test_what_servers_really_say_is_read(name: str) -> None:
    found = heard(name)
    told = json.loads(MESSAGES[name][1])
    event, client = found.event, told["client"]
    begins = {"connect": Kind.CONNECTED, "disconnect": Kind.DISCONNECTED, "refused": Kind.REFUSED}
    assert event.kind is begins[name.partition("-")[0]]
    assert (event.id, event.server_id, event.client) == (told["id"], told["server"]["id"], client["id"])
    assert (event.account, event.reason) == (client["acc"], told.get("reason", ""))
    assert found.token == client.get("jwt", "")
    if found.token:
        claims = decode(found.token).claims
        assert event.token is not None
        assert (event.token.sub, event.token.iss, event.token.jti) == (claims.sub, claims.iss, claims.jti)
        assert event.token.sha256 == token_hash(found.token)
    else:
        assert event.token is None


def test_bytes_are_counted_as_the_client_sent_them() -> None:
    """Measured: a client that published five bytes."""
    event = heard("disconnect-user").event
    assert (event.sent_bytes, event.received_bytes) == (5, 0)
    assert (event.started, event.stopped) == (1795504543, 1795504543)


def test_no_token_is_shown_or_kept_in_the_value() -> None:
    for name in MESSAGES:
        found = heard(name)
        if found.token:
            assert found.token.rpartition(".")[2] not in repr(found)
            assert found.token.rpartition(".")[2] not in repr(found.event)


def test_a_bearer_token_is_marked_as_one() -> None:
    token = heard("connect-bearer").event.token
    assert token is not None
    assert token.bearer


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (("$SYS.ACCOUNT.X.SERVER.CONNS", CONNECT[1]), "subject"),
        (("orders", CONNECT[1]), "subject"),
        ((CONNECT[0].replace("CONNECT", "DISCONNECT"), CONNECT[1]), "type"),
        (("$SYS.ACCOUNT.A" + "B" * 55 + ".CONNECT", CONNECT[1]), "subject"),
        ((CONNECT[0], b""), "malformed"),
        ((CONNECT[0], b"null"), "malformed"),
        ((CONNECT[0], b"[" * 100_000), "malformed"),
        ((CONNECT[0], CONNECT[1] + b" " * MAX_BYTES), "too-large"),
        ((CONNECT[0], b"{}"), "type"),
        (changed(id=""), "id"),
        (changed(id="x" * 65), "id"),
        (changed(id="a'; DROP TABLE events"), "id"),
        (changed(id=7), "malformed"),
        (changed(timestamp="yesterday"), "malformed"),
        (changed(timestamp=None), "id"),
        (changed(server={"id": "S1"}), "connection"),
        (changed(client={"id": 0}), "connection"),
        (changed(client={"id": 2**63}), "connection"),
        (changed(client={"id": 1.5}), "malformed"),
        (changed(client={"acc": "ORDERS"}), "account"),
        (changed(client={"jwt": {"a": 1}}), "malformed"),
        (changed(client={"acc": "A" + "B" * 55}), "subject"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_event_is_said_to_be_none(message: tuple[str, bytes], reason: str) -> None:
    assert parse(*message) == Unfit(reason)


def test_a_client_that_calls_itself_after_a_token_plants_none() -> None:
    token = heard("connect-bearer").token
    seed = "SU" + "A" * 56
    message = changed(client={"name": f"x {token}", "user": token, "lang": seed, "ver": token[:200]})
    found = parse(*message)
    assert isinstance(found, Heard)
    assert token.rpartition(".")[2] not in repr(found)
    assert seed not in repr(found)


def test_texts_are_bounded_and_such_as_databases_take() -> None:
    message = changed(client={"name": "é\x00" * 100_00, "host": "\ud800" * 3}, reason="x" * 5000)
    found = parse(*message)
    if isinstance(found, Heard):
        event = found.event
        assert max(map(len, (event.name, event.address, event.reason))) <= 256
        assert "\x00" not in event.name
        event.address.encode()


@given(st.binary(max_size=300))
def test_any_bytes_are_an_answer(data: bytes) -> None:
    for kind in SUBJECTS.values():
        assert isinstance(parse(kind.replace("*", "A" + "B" * 55), data), Unfit)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = st.sampled_from(["type", "id", "timestamp", "server", "client", "sent", "received", "reason"])
CLIENT = st.sampled_from(list(json.loads(CONNECT[1])["client"]))


@given(st.dictionaries(MEMBERS, JSON, max_size=3), st.dictionaries(CLIENT, JSON, max_size=3))
def test_any_values_in_any_place_are_an_answer(members: dict[str, Any], client: dict[str, Any]) -> None:
    document = json.loads(CONNECT[1])
    document["client"] |= client
    document |= members
    found = parse(CONNECT[0], json.dumps(document).encode())
    assert isinstance(found, Heard | Unfit)
    if isinstance(found, Heard):
        assert found.event.kind is Kind.CONNECTED
        assert 0 <= found.event.started < 2**53


@given(st.text(max_size=200))
def test_any_text_has_a_mark(text: str) -> None:
    assert len(mark_of(text).sha256) == 64


@given(JSON)
def test_any_claims_have_a_mark(claims: Any) -> None:
    payload = urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    found = mark_of(f"eyJ.{payload}.sig")
    assert len(found.sub) in {0, 56}


@given(st.lists(st.text(max_size=10), max_size=7))
def test_any_subject_is_an_answer(parts: list[str]) -> None:
    found = told_by(".".join(parts))
    assert found is None or found[0] in Kind


def test_a_stream_renames_the_subjects_and_nothing_else() -> None:
    subject, data = CONNECT
    assert parse(f"accredit.servers.connected.{subject.split('.')[2]}", data) == parse(subject, data)
    assert urlsafe_b64decode(heard("connect-user").token.split(".")[0] + "==").startswith(b"{")
