"""A callout asked and answered, with the core on a clock of its own (enforcement spec §6)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec.structs import replace

from broker.client import Client, Kind, TlsFacts
from broker.delegation import Declined, failure_delegates, failure_matters
from broker.enforcement.verdict import Gate, Step, Verdict
from broker.protocol import texts
from broker.protocol.connect import ConnectOptions
from broker.protocol.texts import Closed
from issuer.claims.account import AccountClaims, ExternalAuthorization
from issuer.claims.user import UserClaims
from issuer.keys.nkeys import Role, is_public
from issuer.keys.xkeys import seal
from tests.broker.callout_world import INBOX, START, SUBJECT, TIMEOUT, House, Port, World


@pytest.fixture
def world() -> World:
    return World()


# --- the request -----------------------------------------------------------------------------------


def test_what_the_service_is_asked(world: World) -> None:
    token = world.sentinel_token()
    client = world.come(
        jwt=token, user="bob", password="pw", name="app", lang="go", version="1.2", protocol=1
    )
    client.tls = TlsFacts("1.3", "TLS_AES_128_GCM_SHA256", ("leaf",), (("leaf", "root"),))
    world.ask(client)
    message = world.messages[0]
    assert message.subject == SUBJECT
    assert not message.headers
    asked = world.request(message)
    identity = world.core.identity
    assert (asked.iss, asked.aud, asked.sub) == (
        identity.id,
        "nats-authorization-request",
        world.house.public,
    )
    assert (asked.iat, asked.exp) == (int(START), int(START + TIMEOUT))
    body = asked.nats
    server = body.server_id
    assert (server.id, server.name, server.version) == (identity.id, "here", "2.15.1")
    assert (server.host, server.tags, server.xkey) == (world.core.options.host, ("rack:1",), "")
    assert is_public(body.user_nkey, Role.USER)
    info = body.client_info
    assert (info.host, info.id, info.user, info.name) == ("10.1.2.3", client.cid, "bob", "app")
    assert (info.tags, info.name_tag, info.kind, info.type) == (("a:b",), "sentinel", "Client", "nats")
    assert (info.nonce, info.mqtt_id) == ("", "")
    said = body.connect_opts
    assert (said.jwt, said.user, said.password, said.name) == (token, "bob", "pw", "app")
    assert (said.lang, said.version, said.protocol, said.sig) == ("go", "1.2", 1, "")
    assert body.client_tls is not None
    assert body.client_tls.verified_chains == (("leaf", "root"),)
    assert body.client_tls.certs == ()


def test_the_user_key_is_another_each_time(world: World) -> None:
    for _ in range(2):
        world.ask(world.come())
    first, second = (world.request(message).nats.user_nkey for message in world.messages)
    assert first != second


def test_the_reply_is_an_inbox_of_the_servers(world: World) -> None:
    world.ask(world.come())
    assert re.fullmatch(INBOX, world.messages[0].reply)


@pytest.mark.parametrize(
    ("said", "user"),
    [({"nkey": "N", "user": "u"}, "N"), ({"user": "u"}, "u"), ({"auth_token": "t"}, ""), ({}, "")],
)
def test_under_which_name_it_comes(world: World, said: dict[str, str], user: str) -> None:
    world.ask(world.come(**said))
    assert world.request(world.messages[0]).nats.client_info.user == (user or world.sentinel.public)


def test_the_nonce_is_told_if_there_is_a_signature(world: World) -> None:
    world.ask(world.come(sig="AAAA"))
    body = world.request(world.messages[0]).nats
    assert (body.client_info.nonce, body.connect_opts.sig) == ("nonce", "AAAA")


def test_the_default_token_is_told_in_place_of_none() -> None:
    world = World()
    token = world.sentinel_token()
    assert world.core.trust is not None
    world.core.trust = replace(world.core.trust, default_sentinel=token)
    for said in ("", "opaque"):
        world.ask(world.come(jwt=said, user="bob"))
        assert world.request(world.messages[-1]).nats.connect_opts.jwt == token


@pytest.mark.parametrize("opaque", [False, True])
def test_a_password_of_mqtt_may_be_anything(world: World, opaque: bool) -> None:
    token = world.sentinel_token()
    assert world.core.trust is not None
    if opaque:
        world.core.trust = replace(world.core.trust, default_sentinel=token)
    password = "opaque" if opaque else token
    client = world.core.open(Kind.MQTT, Port(), "10.1.2.3", 1883)
    client.options = ConnectOptions(user="bob", password=password)
    client.mqtt_id = "dev1"
    world.ask(client)
    body = world.request(world.messages[0]).nats
    assert (body.client_info.type, body.client_info.mqtt_id) == ("mqtt", "dev1")
    said = body.connect_opts
    assert (said.jwt, said.user, said.password, said.auth_token) == (token, "bob", password, password)


def test_a_request_is_sealed_for_an_account_with_a_curve_key() -> None:
    world = World(xkey=True)
    world.reply = lambda request: [world.good(request)]
    client = world.come()
    assert world.enter(client)
    message = world.messages[0]
    xkey = world.core.identity.xkey
    assert message.headers == f"NATS/1.0\r\nNats-Server-Xkey: {xkey}\r\n\r\n".encode()
    assert message.payload.startswith(b"xkv1")
    assert world.request(message).nats.server_id.xkey == xkey


# --- answers ---------------------------------------------------------------------------------------


def test_in_the_account_the_answer_names(world: World) -> None:
    world.reply = lambda request: [world.good(request, name="bob", subs=1)]
    client = world.come(user="alice", auth_token="t")
    placed = world.enter(client)
    assert placed is not None
    assert client.account is world.other
    assert list(world.other.clients) == [client.cid]
    assert not world.callout.clients
    assert (client.username, client.token, client.options.jwt) == ("bob", "", "")
    assert client.name_tag == "target"
    assert client.limits.subscriptions == -1
    assert client.issuer == world.target.public
    assert client.user is not None
    assert client.user.nats.subs == 1
    assert client.callout is placed
    assert placed.sentinel.name == "sentinel"
    assert client.closed is None


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"nkey": "N", "user": "u", "auth_token": "t"}, "N"),
        ({"user": "u", "auth_token": "t"}, "u"),
        ({"auth_token": "t"}, "[REDACTED]"),
        ({}, ""),
    ],
)
def test_the_name_of_who_got_none(world: World, said: dict[str, str], name: str) -> None:
    world.reply = lambda request: [world.good(request)]
    client = world.come(**said)
    assert world.enter(client)
    assert client.username == name


def test_nothing_of_the_newcomer_happens_while_the_service_speaks(world: World) -> None:
    world.reply = lambda request: [world.good(request)]
    world.ask(world.come())
    assert not world.results
    world.pass_time()
    assert len(world.results) == 1


def test_only_the_first_answer_counts(world: World) -> None:
    world.reply = lambda request: [world.response(request, error="first"), world.good(request)]
    client = world.come()
    assert world.enter(client) is None
    assert world.watcher.seen == [(world.callout, "Auth callout service returned an error: first")]
    assert not world.core.interest(world.callout, world.messages[0].reply)


def test_a_refusal_closes_with_the_usual_words_and_tells_the_account_why(world: World) -> None:
    world.reply = lambda request: [world.response(request, error="nope")]
    client = world.come()
    assert world.enter(client) is None
    assert world.words_to(client) == b"-ERR 'Authorization Violation'\r\n"
    assert client.closed is Closed.AUTHENTICATION_FAILURE
    assert world.watcher.seen == [(world.callout, "Auth callout service returned an error: nope")]
    assert world.watcher.where == [world.house.public]
    assert not world.callout.clients


def test_silence_is_a_refusal_when_time_is_up(world: World) -> None:
    client = world.come()
    world.ask(client)
    world.pass_time(TIMEOUT - 0.01)
    assert not world.results
    world.pass_time(0.02)
    assert world.delegation.place(client, world.results[0]) is None
    assert client.closed is Closed.AUTHENTICATION_FAILURE
    assert world.watcher.seen == [(world.callout, "")]


def test_an_answer_that_comes_too_late_is_nobodys(world: World) -> None:
    world.ask(world.come())
    world.pass_time(TIMEOUT)
    message = world.messages[0]
    assert not world.core.publish(world.callout, message.reply, world.good(world.request(message)))
    world.pass_time(1.0)
    assert len(world.results) == 1


def test_no_room_in_the_target(world: World) -> None:
    assert world.other.claims is not None
    world.change(world.other, limits=replace(world.other.claims.nats.limits, conn=0))
    world.reply = lambda request: [world.good(request)]
    client = world.come()
    assert world.enter(client) is None
    assert world.words_to(client) == b"-ERR 'maximum account active connections exceeded'\r\n"
    assert client.closed is Closed.MAX_ACCOUNT_CONNECTIONS
    words = f"Could not register auth callout user: {texts.TOO_MANY_ACCOUNT_CONNECTIONS}"
    assert world.watcher.seen == [(world.callout, words)]
    assert world.watcher.where == [world.target.public]
    assert not world.other.clients


def test_room_for_one_is_not_given_to_two(world: World) -> None:
    assert world.other.claims is not None
    world.change(world.other, limits=replace(world.other.claims.nats.limits, conn=1))
    world.reply = lambda request: [world.good(request)]
    clients = [world.come(), world.come()]
    for client in clients:
        world.ask_and_place(client)
    world.pass_time()
    assert [client.closed for client in clients] == [None, Closed.MAX_ACCOUNT_CONNECTIONS]


def test_the_same_account_does_not_count_it_twice(world: World) -> None:
    assert world.callout.claims is not None
    world.change(world.callout, limits=replace(world.callout.claims.nats.limits, conn=1))
    world.reply = lambda request: [world.good(request, by=world.house.seed)]
    client = world.come()
    assert world.enter(client)
    assert client.account is world.callout
    assert not client.permissions.can_publish(SUBJECT)


def test_the_target_is_fetched_if_need_be(world: World) -> None:
    far = House()
    world.change(
        world.callout,
        authorization=ExternalAuthorization(auth_users=(world.service.public,), allowed_accounts=("*",)),
    )
    world.tokens[far.public] = "to come"
    world.reply = lambda request: [world.good(request, by=far.seed)]
    client = world.come()
    world.ask(client)
    world.pass_time()
    assert not world.results
    account = world.account(far, "far")
    world.fetched[0](None)
    assert world.delegation.place(client, world.results[0])
    assert client.account is account


def test_a_target_nobody_knows(world: World) -> None:
    far = House()
    world.change(
        world.callout,
        authorization=ExternalAuthorization(auth_users=(world.service.public,), allowed_accounts=("*",)),
    )
    world.reply = lambda request: [world.good(request, by=far.seed)]
    assert world.enter(world.come()) is None
    words = f'No valid account "{far.public}" for auth callout response on account "{world.house.public}"'
    assert world.watcher.seen == [(world.callout, f"{words}: account missing")]


def test_a_fetch_counts_in_the_time_there_is(world: World) -> None:
    far = House()
    world.change(
        world.callout,
        authorization=ExternalAuthorization(auth_users=(world.service.public,), allowed_accounts=("*",)),
    )
    world.tokens[far.public] = "never"
    world.reply = lambda request: [world.good(request, by=far.seed)]
    world.ask(world.come())
    world.pass_time(TIMEOUT)
    world.fetched[0](None)
    assert len(world.results) == 1
    assert isinstance(world.results[0], Declined)


def test_sealed_answers() -> None:
    world = World(xkey=True)
    world.reply = lambda request: [
        seal(world.good(request), sender=world.curve, recipient=world.core.identity.xkey)
    ]
    assert world.enter(world.come())


# --- while it waits --------------------------------------------------------------------------------


def test_it_counts_in_the_callouts_account(world: World) -> None:
    client = world.come()
    world.ask(client)
    assert list(world.callout.clients) == [client.cid]
    assert client.user is not None
    assert client.user.name == "sentinel"


def test_ended_by_us_while_it_waits(world: World) -> None:
    client = world.come()
    world.ask(client)
    world.core.close(client, Closed.CREDENTIALS_REVOKED, texts.USER_REVOKED)
    message = world.messages[0]
    world.core.publish(world.callout, message.reply, world.good(world.request(message)))
    world.pass_time(TIMEOUT)
    assert not world.results
    assert world.watcher.seen == [(world.callout, "Could not register auth callout user: connection closed")]


def test_gone_by_itself_while_it_waits(world: World) -> None:
    client = world.come()
    world.ask(client)
    world.core.close(client, Closed.CLIENT_CLOSED)
    message = world.messages[0]
    world.core.publish(world.callout, message.reply, world.good(world.request(message)))
    world.pass_time(TIMEOUT)
    assert not world.results
    assert not world.watcher.seen


def test_the_time_of_what_it_came_with_is_still_measured(world: World) -> None:
    world.reply = lambda request: [world.good(request, exp=int(START) + 100)]
    client = world.come(jwt=world.sentinel_token(exp=int(START) + 10))
    placed = world.enter(client)
    assert placed is not None
    assert placed.admission.expires_at == pytest.approx(START + 10)
    world.pass_time(10.5)
    assert client.closed is Closed.AUTHENTICATION_EXPIRED


def test_over_in_the_second_it_begins(world: World) -> None:
    world.reply = lambda request: [world.good(request, exp=int(START))]
    client = world.come()
    assert world.enter(client) is None
    assert world.words_to(client) == b"-ERR 'User Authentication Expired'\r\n"
    assert client.closed is Closed.AUTHENTICATION_EXPIRED
    assert not world.watcher.seen


def test_what_it_came_with_had_no_subscriptions_left(world: World) -> None:
    world.reply = lambda request: [world.good(request)]
    client = world.come(jwt=world.sentinel_token(subs=0))
    assert world.enter(client)
    world.pass_time(0.1)
    assert world.words_to(client) == b"-ERR 'maximum subscriptions exceeded'\r\n"
    assert client.closed is Closed.MAX_SUBSCRIPTIONS


# --- refused before it was asked -------------------------------------------------------------------


def other_sentinel(world: World, **members: Any) -> Client:
    return world.come(jwt=world.sentinel_token(**members))


def test_refused_late_waits_as_if_it_were_asked(world: World) -> None:
    client = other_sentinel(world, src=("192.168.0.0/16",))
    _, admission = world.admission(client)
    assert world.delegation.waits_in_vain(world.callout, admission)
    assert world.delegation.turned_away(client, world.callout, admission)
    world.pass_time(TIMEOUT - 0.1)
    assert client.cid in world.core.clients
    world.pass_time(0.2)
    assert client.closed is Closed.AUTHENTICATION_FAILURE
    assert world.words_to(client) == b"-ERR 'Authorization Violation'\r\n"
    assert world.watcher.seen == [(world.callout, "")]
    assert world.watcher.where == [""]
    assert not world.messages


def test_who_answers_is_refused_at_once(world: World) -> None:
    client = other_sentinel(world, sub=world.service.public, src=("192.168.0.0/16",))
    _, admission = world.admission(client)
    assert not world.delegation.waits_in_vain(world.callout, admission)
    assert world.delegation.turned_away(client, world.callout, admission)
    assert client.closed is Closed.AUTHENTICATION_FAILURE
    assert world.watcher.seen == [(world.callout, "Authentication Failure")]


def test_full_accounts_refuse_at_once(world: World) -> None:
    assert world.callout.claims is not None
    world.change(world.callout, limits=replace(world.callout.claims.nats.limits, conn=0))
    client = world.come()
    _, admission = world.admission(client)
    assert not world.delegation.turned_away(client, world.callout, admission)
    assert client.closed is None


def test_an_account_without_callout_is_not_concerned(world: World) -> None:
    world.change(world.callout, authorization=ExternalAuthorization())
    client = other_sentinel(world, src=("192.168.0.0/16",))
    _, admission = world.admission(client)
    assert not world.delegation.turned_away(client, world.callout, admission)


def steps_to(gate: Gate) -> Verdict:
    """All gates passed up to this one."""
    gates = list(Gate)
    return Verdict(tuple(Step(each, each is not gate) for each in gates[: gates.index(gate) + 1]))


LATE = {gate for gate in Gate if (gate.number or 0) > 8} - {Gate.CONNECTIONS}
# A role that wants a proxy is asked for it once the account is found.
PROXY_OF_ROLE = Verdict(
    (Step(Gate.ACCOUNT, passed=True), Step(Gate.ROLE, passed=True), Step(Gate.PROXY_REQUIRED, passed=False))
)


@pytest.mark.parametrize(
    ("verdict", "waits"),
    [
        *((steps_to(gate), gate in LATE) for gate in Gate if 0 < (gate.number or 0) < 20),
        (PROXY_OF_ROLE, True),
    ],
)
def test_which_failures_wait(world: World, verdict: Verdict, waits: bool) -> None:
    claims = world.callout.claims
    assert isinstance(claims, AccountClaims)
    anybody = UserClaims(sub=world.sentinel.public)
    answering = UserClaims(sub=world.service.public)
    assert failure_delegates(claims, verdict, anybody) == waits
    assert failure_matters(claims, verdict) == waits
    assert not failure_delegates(claims, verdict, answering)
    assert not failure_delegates(None, verdict, anybody)
