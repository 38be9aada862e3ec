"""What is kept for a client: given once, given again, waiting while it is away."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from broker.mqtt import memory as memory_module
from broker.protocol.texts import Closed
from tests.broker.mqtt.wire import (
    DISCONNECT,
    PING,
    mqtt_answer,
    mqtt_connect,
    mqtt_publish,
    mqtt_subscribe,
    mqtt_unsubscribe,
)
from tests.broker.mqtt.world import ACK_WAIT, Peer, World

FRESH = b"\x20\x02\x00\x00"
PRESENT = b"\x20\x02\x01\x00"


def message(payload: bytes, number: int, *, topic: str = "a", dup: bool = False, qos: int = 1) -> bytes:
    return mqtt_publish(topic, payload, qos=qos, number=number, dup=dup)


def subscriber(world: World, *filters: tuple[str, int], client_id: str = "c") -> Peer:
    peer = world.client(client_id, clean=False)
    peer.ask(mqtt_subscribe(1, *(filters or (("a", 1),))))
    return peer


def publisher(world: World) -> Peer:
    return world.client("publisher")


# --- giving again ----------------------------------------------------------------------------------


def test_what_is_acknowledged_is_not_given_again() -> None:
    world = World()
    peer = subscriber(world)
    publisher(world).publish("a", b"x", qos=1, number=1)
    assert peer.heard() == [message(b"x", 1)]
    peer.send(mqtt_answer(0x40, 1))
    world.pass_time(10 * ACK_WAIT)
    assert peer.heard() == []
    assert world.memory.ledger.used == 0


def test_what_is_not_acknowledged_is_given_again_and_again() -> None:
    world = World()
    peer = subscriber(world)
    publisher(world).publish("a", b"x", qos=1, number=1)
    peer.heard()
    world.pass_time(ACK_WAIT - 0.1)
    assert peer.heard() == []
    world.pass_time(0.2)
    assert peer.heard() == [message(b"x", 1, dup=True)]
    world.pass_time(2 * ACK_WAIT)
    assert peer.heard() == [message(b"x", 1, dup=True)] * 2


def test_each_is_given_again_in_its_own_time() -> None:
    world = World()
    peer, other = subscriber(world), publisher(world)
    other.publish("a", b"x", qos=1, number=1)
    world.pass_time(10)
    other.publish("a", b"y", qos=1, number=2)
    peer.heard()
    world.pass_time(ACK_WAIT - 9)
    assert peer.heard() == [message(b"x", 1, dup=True)]
    world.pass_time(10)
    assert peer.heard() == [message(b"y", 2, dup=True)]


def test_in_quality_2_the_release_is_given_again() -> None:
    world = World()
    peer = subscriber(world, ("a", 2))
    publisher(world).send(mqtt_publish("a", b"x", qos=2, number=9), mqtt_answer(0x62, 9))
    assert peer.heard() == [message(b"x", 1, qos=2)]
    world.pass_time(ACK_WAIT + 1)
    assert peer.ask(mqtt_answer(0x50, 1)) == [mqtt_answer(0x62, 1)]
    world.pass_time(ACK_WAIT + 1)
    assert peer.heard() == [mqtt_answer(0x62, 1)]
    assert peer.ask(mqtt_answer(0x70, 1)) == []
    world.pass_time(10 * ACK_WAIT)
    assert peer.heard() == []


def test_no_more_than_so_many_are_in_hand() -> None:
    world = World(max_unacknowledged=3)
    peer, other = subscriber(world), publisher(world)
    for at in range(1, 6):
        other.publish("a", b"%d" % at, qos=1, number=at)
    assert peer.heard() == [message(b"%d" % at, at) for at in (1, 2, 3)]
    assert peer.ask(mqtt_answer(0x40, 2)) == [message(b"4", 4)]
    assert peer.ask(mqtt_answer(0x40, 9)) == []
    assert peer.ask(mqtt_answer(0x40, 1), mqtt_answer(0x40, 3)) == [message(b"5", 5)]


def test_a_release_that_waits_is_in_hand_as_well() -> None:
    world = World(max_unacknowledged=1)
    peer, other = subscriber(world, ("a", 2)), publisher(world)
    for at in (1, 2):
        other.send(mqtt_publish("a", b"%d" % at, qos=2, number=at), mqtt_answer(0x62, at))
    peer.heard()
    assert peer.ask(mqtt_answer(0x50, 1)) == [mqtt_answer(0x62, 1)]
    assert peer.ask(mqtt_answer(0x70, 1)) == [message(b"2", 2, qos=2)]


def test_retained_messages_are_given_once() -> None:
    world = World()
    publisher(world).publish("a", b"x", qos=1, number=1, retain=True)
    peer = world.client(clean=False)
    assert peer.ask(mqtt_subscribe(1, ("a", 1)))[1] == mqtt_publish("a", b"x", qos=1, number=1, retain=True)
    world.pass_time(10 * ACK_WAIT)
    assert peer.heard() == []
    peer.go()
    again = world.client(clean=False)
    world.pass_time(10 * ACK_WAIT)
    assert again.heard() == [PRESENT]


# --- coming back -----------------------------------------------------------------------------------


def test_what_comes_while_a_client_is_away_waits() -> None:
    world = World()
    peer = subscriber(world, ("a", 1), ("b/#", 1), ("c", 0))
    peer.go()
    other = publisher(world)
    other.publish("a", b"1", qos=1, number=1)
    other.publish("a", b"none", qos=0)
    other.publish("b", b"2", qos=2, number=2)
    other.send(mqtt_answer(0x62, 2))
    other.publish("b/c", b"3", qos=1, number=3)
    other.publish("c", b"none", qos=1, number=4)
    world.publish("a", b"none of nats")
    again = world.client(clean=False)
    assert again.heard() == [
        PRESENT,
        message(b"1", 1),
        message(b"2", 2, topic="b"),
        message(b"3", 3, topic="b/c"),
    ]
    other.publish("c", b"live")
    assert again.heard() == [mqtt_publish("c", b"live")]


def test_nobody_hears_twice() -> None:
    world = World()
    for _ in range(3):
        peer = subscriber(world)
        peer.go()
    assert len(world.trie) == 1
    peer = world.client(clean=False)
    publisher(world).publish("a", b"x", qos=1, number=1)
    assert peer.heard() == [PRESENT, message(b"x", 1)]


@pytest.mark.parametrize(("away", "rest"), [(10.0, 20.0), (29.0, 1.0), (100.0, 0.0)])
def test_what_was_in_hand_is_given_again_when_it_is_time(away: float, rest: float) -> None:
    world = World()
    peer = subscriber(world)
    publisher(world).publish("a", b"x", qos=1, number=1)
    peer.go()
    world.pass_time(away)
    again = world.client(clean=False)
    if rest:
        world.pass_time(rest - 0.5)
        assert again.heard() == [PRESENT]
        world.pass_time(1)
        assert again.heard() == [message(b"x", 1, dup=True)]
    else:
        assert again.heard() == [PRESENT, message(b"x", 1, dup=True)]


def test_an_acknowledgement_may_come_on_another_connection() -> None:
    world = World()
    peer = subscriber(world)
    publisher(world).publish("a", b"x", qos=1, number=1)
    peer.go()
    again = world.client(clean=False)
    again.send(mqtt_answer(0x40, 1))
    world.pass_time(10 * ACK_WAIT)
    assert again.heard() == [PRESENT]


def test_a_staged_message_survives_a_connection() -> None:
    world = World()
    peer = world.client(clean=False)
    peer.publish("a", b"x", qos=2, number=5)
    peer.go()
    assert world.client(clean=False).ask(mqtt_answer(0x62, 5)) == [mqtt_answer(0x70, 5)]
    assert [each.payload for each in world.heard] == [b"x"]


@pytest.mark.parametrize("clean_first", [True, False])
def test_a_new_beginning_forgets(*, clean_first: bool) -> None:
    world = World()
    peer = world.client(clean=clean_first)
    peer.ask(mqtt_subscribe(1, ("a", 1)))
    peer.publish("s", b"staged", qos=2, number=1)
    publisher(world).publish("a", b"x", qos=1, number=1)
    peer.go()
    again = world.client(clean=not clean_first)
    assert again.heard() == [FRESH]
    assert again.subs == {}
    world.pass_time(10 * ACK_WAIT)
    assert again.heard() == []
    assert world.memory.ledger.used == 0


def test_what_is_unsubscribed_does_not_wait() -> None:
    world = World()
    peer = subscriber(world, ("a", 1), ("b", 1))
    peer.ask(mqtt_unsubscribe(2, "a"))
    peer.go()
    other = publisher(world)
    other.publish("a", b"1", qos=1, number=1)
    other.publish("b", b"2", qos=1, number=2)
    assert world.client(clean=False).heard() == [PRESENT, message(b"2", 1, topic="b")]


def test_unsubscribing_takes_along_what_was_in_hand() -> None:
    world = World(max_unacknowledged=1)
    peer, other = subscriber(world, ("a", 1), ("b", 1)), publisher(world)
    other.publish("a", b"1", qos=1, number=1)
    other.publish("a", b"2", qos=1, number=2)
    other.publish("b", b"3", qos=1, number=3)
    assert peer.heard() == [message(b"1", 1)]
    peer.ask(mqtt_unsubscribe(2, "a"))
    assert peer.ask(mqtt_answer(0x40, 1)) == [message(b"3", 2, topic="b")]
    peer.send(mqtt_answer(0x40, 2))
    assert world.memory.ledger.used == 0


def test_topics_with_a_dollar_stay_hidden_while_a_client_is_away() -> None:
    world = World()
    subscriber(world, ("#", 1), ("$x/y", 1)).go()
    publisher(world).publish("$x/y", b"1", qos=1, number=1)
    assert world.client(clean=False).heard() == [PRESENT, message(b"1", 1, topic="$x/y")]


# --- what is no longer allowed ---------------------------------------------------------------------


def test_what_may_no_longer_be_subscribed_to_is_not_given() -> None:
    world = World()
    subscriber(world, ("a", 1), ("b/#", 1), ("c", 1)).go()
    other = publisher(world)
    for at, topic in enumerate(("a", "b", "b/c", "c"), 1):
        other.publish(topic, b"x", qos=1, number=at)
    peer = Peer(world)
    peer.not_subscribe = {"a", "b"}
    peer.send(mqtt_connect("c", clean=False))
    assert peer.heard() == [PRESENT, message(b"x", 1, topic="c")]
    peer.send(mqtt_answer(0x40, 1))
    assert world.memory.ledger.used == 0


def test_what_may_no_longer_be_delivered_is_not_given() -> None:
    world = World()
    subscriber(world, ("a/#", 1)).go()
    other = publisher(world)
    other.publish("a/secret", b"x", qos=1, number=1)
    other.publish("a/open", b"y", qos=1, number=2)
    peer = Peer(world)
    peer.not_deliver = {"a.secret"}
    peer.send(mqtt_connect("c", clean=False))
    assert peer.heard() == [PRESENT, message(b"y", 1, topic="a/open")]


def test_a_subscription_that_is_taken_away_takes_what_was_kept_for_it() -> None:
    world = World(max_unacknowledged=1)
    peer, other = subscriber(world, ("a", 1), ("b", 1)), publisher(world)
    other.publish("a", b"1", qos=1, number=1)
    other.publish("a", b"2", qos=1, number=2)
    other.publish("b", b"3", qos=1, number=3)
    assert peer.heard() == [message(b"1", 1)]
    peer.take_away("a")
    world.pass_time(ACK_WAIT + 1)
    assert peer.heard() == [message(b"3", 2, topic="b")]


# --- one name, two connections ---------------------------------------------------------------------


def test_the_newer_connection_takes_the_name() -> None:
    world = World()
    first = subscriber(world)
    second = world.client(clean=False)
    assert first.why is Closed.DUPLICATE_CLIENT_ID
    assert second.heard() == [PRESENT]
    publisher(world).publish("a", b"x", qos=1, number=1)
    assert second.heard() == [message(b"x", 1)]
    assert first.heard() == []


def test_who_loses_its_name_leaves_no_will() -> None:
    world = World()
    world.client(will=("w", b"gone"))
    world.client()
    assert world.heard == []


def test_names_are_not_snatched_back_and_forth() -> None:
    world = World()
    world.client()
    second = world.client()
    third = world.client()
    third.send(PING)
    world.pass_time(0.9)
    assert third.end() is None
    assert third.heard() == []
    world.pass_time(0.2)
    assert third.end() is Closed.DUPLICATE_CLIENT_ID
    assert second.heard() == [FRESH]
    assert second.end() is None
    assert world.client().heard() == [FRESH]
    assert second.end() is Closed.DUPLICATE_CLIENT_ID


def test_a_name_that_is_left_is_free() -> None:
    world = World()
    world.client()
    world.client().send(DISCONNECT)
    assert world.client().heard() == [FRESH]


# --- room ------------------------------------------------------------------------------------------


def test_what_has_no_room_is_lost() -> None:
    world = World(max_bytes=1000)
    peer = subscriber(world)
    peer.go()
    other = publisher(world)
    for at in range(1, 6):
        other.publish("a", b"%d" % at * 100, qos=1, number=at)
    again = world.client(clean=False)
    assert again.heard() == [PRESENT, *(message(b"%d" % at * 100, at) for at in (1, 2))]
    again.send(mqtt_answer(0x40, 1), mqtt_answer(0x40, 2))
    assert world.memory.ledger.used == 0


def test_sessions_longest_away_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "MAX_SESSIONS", 3)
    world = World()
    here = subscriber(world, client_id="here")
    for name in ("one", "two"):
        subscriber(world, client_id=name).go()
    subscriber(world, client_id="three")
    assert set(world.memory.sessions) == {"here", "two", "three"}
    assert here.why is None
    assert len(world.trie) == 1 + 2 + 2


def test_numbers_are_used_in_turn() -> None:
    world = World()
    peer, other = subscriber(world), publisher(world)
    world.memory.sessions["c"]._last = 65_533
    for payload in (b"1", b"2", b"3"):
        other.publish("a", payload, qos=1, number=1)
    assert peer.heard() == [message(b"1", 65_534), message(b"2", 65_535), message(b"3", 1)]
    world.memory.sessions["c"]._last = 65_533
    other.publish("a", b"4", qos=1, number=1)
    assert peer.heard() == [message(b"4", 2)]


# --- whatever happens ------------------------------------------------------------------------------


class Life(RuleBasedStateMachine):
    """A client comes and goes and acknowledges what it likes; every message reaches it, none twice fresh."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(max_unacknowledged=4)
        self.other = publisher(self.world)
        self.peer: Peer | None = subscriber(self.world)
        self.sent = 0
        self.fresh: list[bytes] = []
        self.in_hand: dict[int, bytes] = {}

    def _read(self) -> None:
        if self.peer is None:
            return
        for each in self.peer.heard():
            if each[0] & 0xF0 == 0x30:
                number, payload = int.from_bytes(each[5:7], "big"), each[7:]
                if each[0] & 8:
                    assert self.in_hand.get(number) == payload
                else:
                    assert number not in self.in_hand
                    self.fresh.append(payload)
                self.in_hand[number] = payload

    @rule()
    def publish(self) -> None:
        self.sent += 1
        self.other.publish("a", b"%d" % self.sent, qos=1, number=1)

    @rule(which=st.integers(0, 3))
    def acknowledge(self, which: int) -> None:
        self._read()
        if self.peer is not None and len(self.in_hand) > which:
            number = list(self.in_hand)[which]
            del self.in_hand[number]
            self.peer.send(mqtt_answer(0x40, number))

    @rule(seconds=st.sampled_from([0.5, 5.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule()
    def leave(self) -> None:
        self._read()
        if self.peer is not None:
            self.peer.go()
            self.peer = None

    @rule()
    def come(self) -> None:
        if self.peer is None:
            self.peer = self.world.client(clean=False)

    @invariant()
    def in_order(self) -> None:
        self._read()
        assert self.fresh == [b"%d" % at for at in range(1, len(self.fresh) + 1)]
        assert len(self.in_hand) <= 4

    def teardown(self) -> None:
        self.come()
        for _ in range(self.sent + 1):
            self.acknowledge(0)
        assert len(self.fresh) == self.sent
        while self.in_hand:
            self.acknowledge(0)
        assert self.world.memory.ledger.used == 0
        assert len(self.world.trie) == 2


Life.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLife = Life.TestCase
