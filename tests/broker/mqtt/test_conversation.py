"""Conversations: coming in, publishing, subscribing, and the end."""

from __future__ import annotations

import pytest

from broker.mqtt.conversation import Settings
from broker.protocol.texts import Closed
from tests.broker.mqtt.wire import (
    DISCONNECT,
    PING,
    PINGED,
    mqtt_answer,
    mqtt_connect,
    mqtt_publish,
    mqtt_subscribe,
    mqtt_unsubscribe,
)
from tests.broker.mqtt.world import Peer, World

IN = b"\x20\x02\x00\x00"


def suback(number: int, *granted: int) -> bytes:
    return bytes([0x90, 2 + len(granted), 0, number, *granted])


# --- coming in -------------------------------------------------------------------------------------


def test_a_client_comes_in() -> None:
    peer = Peer(World())
    assert peer.ask(mqtt_connect("c", password="p", keep_alive=60)) == [IN]
    assert peer.asked is not None
    assert (peer.asked.client_id, peer.asked.user, peer.asked.password) == ("c", "u", "p")
    assert peer.ask(PING) == [PINGED]


def test_byte_by_byte() -> None:
    peer = Peer(World())
    for byte in mqtt_connect() + PING + mqtt_subscribe(1, ("a", 0)) + mqtt_publish("a", b"x"):
        peer.send(bytes([byte]))
    assert peer.heard() == [IN, PINGED, suback(1, 0), mqtt_publish("a", b"x")]


def test_one_without_a_name_gets_one() -> None:
    peer = Peer(World())
    peer.send(mqtt_connect(""))
    assert peer.asked is not None
    assert peer.asked.client_id.startswith("unique")


def test_who_is_refused_is_told() -> None:
    peer = Peer(World())
    peer.decides = "no"
    assert peer.ask(mqtt_connect(), PING) == [b"\x20\x02\x00\x05"]
    assert peer.why is Closed.AUTHENTICATION_FAILURE


def test_nothing_is_read_while_it_is_decided() -> None:
    world = World()
    peer = Peer(world)
    peer.decides = "later"
    assert peer.ask(mqtt_connect(), PING, PING) == []
    assert peer.conversation.waits
    assert peer.conversation.reader.buffered == 4
    peer.conversation.admitted(world.memory)
    assert peer.heard() == [IN, PINGED, PINGED]


@pytest.mark.parametrize("first", [PING, b"GET / HTTP/1.1\r\n", b"\x00", b"\x82"])
def test_the_first_word_is_connect(first: bytes) -> None:
    peer = Peer(World())
    assert peer.ask(first) == []
    assert peer.why is Closed.PROTOCOL_VIOLATION


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (mqtt_connect(level=5), [b"\x20\x02\x00\x01"]),
        (mqtt_connect("a b"), [b"\x20\x02\x00\x02"]),
        (mqtt_connect(user=""), [b"\x20\x02\x00\x04"]),
        (mqtt_connect(user=None, password="p"), []),
        (mqtt_connect(will=("a/#", b"")), []),
        (mqtt_connect(will=("a b", b"")), []),
    ],
)
def test_who_says_it_wrongly_is_told_at_most_a_number(data: bytes, told: list[bytes]) -> None:
    peer = Peer(World())
    assert peer.ask(data, PING) == told
    assert peer.why is Closed.PROTOCOL_VIOLATION
    assert peer.asked is None


def test_the_second_connect_ends_it() -> None:
    peer = World().client()
    peer.send(mqtt_connect())
    assert peer.why is Closed.PROTOCOL_VIOLATION


def test_a_connect_has_the_measure_of_a_message() -> None:
    peer = Peer(World(), payload=100)
    peer.send(b"\x10\x63")
    assert peer.why is Closed.MAX_PAYLOAD


@pytest.mark.parametrize(("keep_alive", "patience"), [(1, 1.0), (2, 3.0), (3, 4.0), (60, 90.0)])
def test_silence(keep_alive: int, patience: float) -> None:
    world = World()
    peer = world.client(keep_alive=keep_alive)
    world.pass_time(patience - 0.5)
    peer.send(PING)
    world.pass_time(patience - 0.1)
    assert peer.why is None
    world.pass_time(0.2)
    assert peer.why is Closed.READ_ERROR


def test_who_asks_for_no_patience_has_all() -> None:
    world = World()
    peer = world.client()
    world.pass_time(1_000_000)
    assert peer.why is None


# --- publishing ------------------------------------------------------------------------------------


def test_every_quality_reaches_the_account() -> None:
    world = World()
    peer = world.client()
    assert peer.ask(mqtt_publish("a/b", b"0")) == []
    assert peer.ask(mqtt_publish("a/b", b"1", qos=1, number=7)) == [mqtt_answer(0x40, 7)]
    assert peer.ask(mqtt_publish("a/b", b"2", qos=2, number=8)) == [mqtt_answer(0x50, 8)]
    assert [each.payload for each in world.heard] == [b"0", b"1"]
    assert peer.ask(mqtt_publish("a/b", b"2", qos=2, number=8, dup=True)) == [mqtt_answer(0x50, 8)]
    assert peer.ask(mqtt_answer(0x62, 8)) == [mqtt_answer(0x70, 8)]
    assert peer.ask(mqtt_answer(0x62, 8)) == [mqtt_answer(0x70, 8)]
    assert [(each.subject, each.payload, each.qos) for each in world.heard] == [
        ("a.b", b"0", 0),
        ("a.b", b"1", 1),
        ("a.b", b"2", 2),
    ]


def test_what_may_not_be_published_is_acknowledged_all_the_same() -> None:
    world = World()
    peer = world.client()
    peer.not_publish = {"a"}
    assert peer.ask(mqtt_publish("a", b"1", qos=1, number=7, retain=True)) == [mqtt_answer(0x40, 7)]
    assert world.heard == []
    assert world.memory.retained.count == 0


@pytest.mark.parametrize("topic", ["a/+", "#", "a b", "a\x7f"])
def test_topics_that_none_may_publish_to(topic: str) -> None:
    peer = World().client()
    peer.publish(topic)
    assert peer.why is Closed.PROTOCOL_VIOLATION


@pytest.mark.parametrize(("qos", "rest"), [(0, 75), (1, 75), (2, 57)])
def test_a_message_has_its_measure_with_its_headers(qos: int, rest: int) -> None:
    peer = World().client(payload=100)
    peer.publish("a", b"x" * rest, qos=qos, number=1)
    assert peer.why is None
    peer.publish("a", b"x" * (rest + 1), qos=qos, number=2)
    assert peer.why is Closed.MAX_PAYLOAD


def test_a_size_far_beyond_is_not_waited_for() -> None:
    peer = World().client(payload=100)
    peer.send(b"\x30\xff\xff\x7f")
    assert peer.why is Closed.MAX_PAYLOAD


def test_no_measure_at_all() -> None:
    peer = World().client(payload=-1)
    peer.publish("a", b"x" * 3_000_000)
    assert peer.why is None


def test_quality_2_may_be_refused() -> None:
    settings = Settings(reject_qos2_publish=True)
    peer = World().client(settings=settings)
    peer.publish("a", qos=2, number=1)
    assert peer.why is Closed.PROTOCOL_VIOLATION
    refused = Peer(World(), settings=settings)
    assert refused.ask(mqtt_connect(will=("a", b""), will_qos=2)) == [b"\x20\x02\x00\x10"]


def test_quality_2_needs_room() -> None:
    peer = World(max_bytes=1000).client()
    peer.publish("a", b"x" * 700, qos=2, number=1)
    assert peer.why is None
    peer.publish("a", b"x" * 700, qos=2, number=2)
    assert peer.why is Closed.PROTOCOL_VIOLATION


@pytest.mark.parametrize("kind", [0x40, 0x50, 0x62, 0x70])
def test_answers_to_nothing_mean_little(kind: int) -> None:
    expected = {0x50: [mqtt_answer(0x62, 9)], 0x62: [mqtt_answer(0x70, 9)]}
    peer = World().client()
    assert peer.ask(mqtt_answer(kind, 9)) == expected.get(kind, [])
    assert peer.why is None


# --- subscribing -----------------------------------------------------------------------------------


def test_filters_are_granted_one_by_one() -> None:
    peer = World().client()
    peer.not_subscribe = {"no"}
    filters = (("a", 0), ("b", 1), ("c", 2), ("no", 1), ("a b", 0), ("$MQTT/x", 0), ("+/#/x", 0), ("/", 1))
    assert peer.ask(mqtt_subscribe(1, *filters)) == [suback(1, 0, 1, 2, 0x80, 0x80, 0x80, 0x80, 1)]


def test_messages_of_nats_come_in_quality_0() -> None:
    world = World()
    peer = world.client()
    peer.ask(mqtt_subscribe(1, ("a/+", 1)))
    world.publish("a.b", b"x")
    world.publish("a.b", b"said to be more", qos=1)
    world.publish("a.b/.", b"another level")
    assert peer.heard() == [mqtt_publish("a/b", b"x")]


def test_who_subscribes_less_gets_less() -> None:
    world = World()
    peer = world.client()
    peer.ask(mqtt_subscribe(1, ("a", 0), ("b", 1)))
    for topic, qos in (("a", 1), ("b", 0), ("b", 1), ("b", 2)):
        world.client("other").publish(topic, b"%d" % qos, qos=qos, number=1)
        world.pass_time(2)
    world.client("other").send(mqtt_publish("b", b"2", qos=2, number=1), mqtt_answer(0x62, 1))
    assert peer.heard() == [
        mqtt_publish("a", b"1"),
        mqtt_publish("b", b"0"),
        mqtt_publish("b", b"1", qos=1, number=1),
        mqtt_publish("b", b"2", qos=1, number=2),
    ]


def test_all_levels_below_mean_the_one_above_too() -> None:
    world = World()
    peer = world.client()
    peer.ask(mqtt_subscribe(1, ("a/#", 0)))
    for subject in ("a", "a.b", "a.b.c", "b"):
        world.publish(subject)
    assert peer.heard() == [mqtt_publish(topic) for topic in ("a", "a/b", "a/b/c")]
    assert peer.ask(mqtt_unsubscribe(2, "a/#", "nothing", "a b")) == [b"\xb0\x02\x00\x02"]
    world.publish("a")
    world.publish("a.b")
    assert peer.heard() == []
    assert peer.subs == {}


def test_topics_with_a_dollar_are_hidden_from_what_begins_wild() -> None:
    world = World()
    peer = world.client()
    peer.ask(mqtt_subscribe(1, ("#", 0), ("+/x", 1), ("$a/+", 0)))
    world.publish("$a.x", b"0")
    assert peer.heard() == [mqtt_publish("$a/x", b"0")]


def test_subscribing_again_changes_the_quality() -> None:
    world = World()
    peer, other = world.client(), world.client("other")
    assert peer.ask(mqtt_subscribe(1, ("a", 1))) == [suback(1, 1)]
    assert peer.ask(mqtt_subscribe(2, ("a", 0))) == [suback(2, 0)]
    other.publish("a", b"1", qos=1, number=1)
    assert peer.heard() == [mqtt_publish("a", b"1")]
    assert len(peer.subs) == 1
    assert peer.ask(mqtt_subscribe(3, ("a", 2))) == [suback(3, 2)]
    other.publish("a", b"2", qos=1, number=1)
    assert peer.heard() == [mqtt_publish("a", b"2", qos=1, number=1)]


def test_a_queue_keeps_the_quality_it_was_made_with() -> None:
    world = World()
    peer, other = world.client(), world.client("other")
    assert peer.ask(mqtt_subscribe(1, ("a", 1))) == [suback(1, 1)]
    assert peer.ask(mqtt_subscribe(1, ("a", 2))) == [suback(1, 2)]
    other.send(mqtt_publish("a", b"2", qos=2, number=1), mqtt_answer(0x62, 1))
    assert peer.heard() == [mqtt_publish("a", b"2", qos=1, number=1)]


def test_a_filter_counts_as_often_as_on_the_server() -> None:
    peer = World().client()
    peer.limit = 4
    assert peer.ask(mqtt_subscribe(1, ("a/#", 1))) == [suback(1, 1)]
    assert peer.ask(mqtt_subscribe(1, ("b", 0))) == [suback(1, 0x80)]
    peer = World().client()
    peer.limit = 3
    assert peer.ask(mqtt_subscribe(1, ("a/#", 1), ("b", 2))) == [suback(1, 0x80, 2)]
    assert sorted(peer.subs) == [
        "$MQTT.deliver.pubrel.c",
        *sorted(set(peer.subs) - {"$MQTT.deliver.pubrel.c"}),
    ]


def test_quality_2_may_be_lowered() -> None:
    peer = World().client(settings=Settings(downgrade_qos2_subscribe=True))
    assert peer.ask(mqtt_subscribe(1, ("a", 2))) == [suback(1, 1)]


# --- retained messages -----------------------------------------------------------------------------


def test_a_retained_message_waits_for_subscribers() -> None:
    world = World()
    other = world.client("other")
    other.send(
        mqtt_publish("r", b"top", retain=True),
        mqtt_publish("r/a", b"A", retain=True, qos=1, number=1),
        mqtt_publish("r/b", b"B", retain=True),
        mqtt_publish("r/b", b"", retain=True),
    )
    peer = world.client()
    answers = peer.ask(mqtt_subscribe(1, ("r/#", 1)))
    assert answers[0] == suback(1, 1)
    assert sorted(answers[1:]) == [
        mqtt_publish("r", b"top", retain=True),
        mqtt_publish("r/a", b"A", retain=True, qos=1, number=1),
    ]
    assert peer.ask(mqtt_subscribe(2, ("r/a", 0))) == [suback(2, 0), mqtt_publish("r/a", b"A", retain=True)]
    other.publish("r/a", b"new", retain=True)
    assert sorted(peer.heard()) == [mqtt_publish("r/a", b"new")] * 2


def test_a_retained_message_may_be_kept_from_a_subscriber() -> None:
    world = World()
    world.client("other").publish("r/a", b"A", retain=True)
    peer = world.client()
    peer.not_deliver = {"r.a"}
    assert peer.ask(mqtt_subscribe(1, ("r/#", 0))) == [suback(1, 0)]


def test_a_retained_message_is_kept_where_a_mapping_sent_it() -> None:
    world = World()
    other = world.client("other")
    other.maps = {"m.a": "n.a"}
    other.publish("m/a", b"A", retain=True)
    peer = world.client()
    assert peer.ask(mqtt_subscribe(1, ("m/a", 0))) == [suback(1, 0)]
    assert peer.ask(mqtt_subscribe(1, ("n/a", 0))) == [suback(1, 0), mqtt_publish("n/a", b"A", retain=True)]


def test_retained_messages_need_room() -> None:
    world = World(max_bytes=1000)
    other = world.client("other")
    other.publish("r/a", b"x" * 500, retain=True)
    other.publish("r/b", b"x" * 500, retain=True)
    other.publish("r/a", b"y" * 500, retain=True)
    assert [subject for subject, _ in world.memory.retained.match("r.>")] == ["r.a"]
    other.publish("r/a", b"", retain=True)
    assert world.memory.ledger.used == 0


# --- the end ---------------------------------------------------------------------------------------


def test_a_will_is_done_when_a_client_is_lost() -> None:
    world = World()
    peer = world.client(will=("w", b"gone"), will_qos=1, will_retain=True)
    peer.go()
    assert [(each.subject, each.payload, each.qos) for each in world.heard] == [("w", b"gone", 1)]
    assert world.memory.retained.count == 1


@pytest.mark.parametrize("why", [b"\xf0\x00", mqtt_connect()])
def test_a_will_is_done_when_a_client_breaks_the_rules(why: bytes) -> None:
    world = World()
    world.client(will=("w", b"gone")).send(why)
    assert len(world.heard) == 1


def test_who_says_goodbye_leaves_no_will() -> None:
    world = World()
    peer = world.client(will=("w", b"gone"))
    peer.send(DISCONNECT, PING)
    assert peer.why is Closed.CLIENT_CLOSED
    assert peer.heard() == [IN]
    assert world.heard == []


def test_a_will_that_is_not_allowed_is_not_done() -> None:
    world = World()
    peer = world.client(will=("w", b"gone"), will_retain=True)
    peer.not_publish = {"w"}
    peer.go()
    assert world.heard == []
    assert world.memory.retained.count == 0


def test_nothing_is_kept_of_who_wants_nothing_kept() -> None:
    world = World()
    peer = world.client()
    peer.ask(mqtt_subscribe(1, ("a/#", 1)))
    world.client("other").publish("a/b", b"x", qos=1, number=1)
    peer.go()
    assert len(world.trie) == 0
    assert list(world.memory.sessions) == ["other"]
    assert world.memory.ledger.used == 0
    world.pass_time(1000)
