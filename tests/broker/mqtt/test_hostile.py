"""Whatever clients send, in whatever pieces: nothing fails, nothing stays behind, nobody else is disturbed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.broker.mqtt.wire import (
    DISCONNECT,
    PING,
    mqtt_answer,
    mqtt_connect,
    mqtt_publish,
    mqtt_subscribe,
    mqtt_unsubscribe,
    packets_of,
)
from tests.broker.mqtt.world import Peer, World

topics = st.sampled_from(["a", "a/b", "a//", "/", "$x", "a.b", "w", "é", "a b", "+", "a/#", "#", "\x7f", ""])
numbers = st.integers(0, 4)
qualities = st.integers(0, 3)
packets = st.one_of(
    st.builds(
        lambda topic, payload, qos, number, retain: mqtt_publish(
            topic, payload, qos=qos, number=number, retain=retain
        ),
        topics,
        st.binary(max_size=40),
        qualities,
        numbers,
        st.booleans(),
    ),
    st.builds(
        lambda number, filters: mqtt_subscribe(number, *filters),
        numbers,
        st.lists(st.tuples(topics, qualities)),
    ),
    st.builds(lambda number, filters: mqtt_unsubscribe(number, *filters), numbers, st.lists(topics)),
    st.builds(mqtt_answer, st.sampled_from([0x40, 0x50, 0x62, 0x70]), numbers),
    st.sampled_from([PING, DISCONNECT]),
    st.binary(max_size=8),
)
connects = st.builds(
    lambda name, clean, keep_alive, topic, qos: mqtt_connect(
        name, user=None, clean=clean, keep_alive=keep_alive, will=(topic, b"gone"), will_qos=qos
    ),
    st.sampled_from(["one", "two"]),
    st.booleans(),
    st.integers(0, 3),
    st.sampled_from(["w", "w/x", "a b"]),
    st.integers(0, 2),
)
steps = st.one_of(
    st.tuples(st.just("send"), st.integers(0, 2), packets),
    st.tuples(st.just("come"), st.integers(0, 2), connects),
    st.tuples(st.just("go"), st.integers(0, 2), st.just(b"")),
    st.tuples(st.just("wait"), st.sampled_from([0, 1, 40]), st.just(b"")),
)


@given(st.lists(steps, max_size=40), st.integers(1, 3))
def test_any_course_of_things(course: list[tuple[str, int, bytes]], at_most: int) -> None:
    world = World(max_unacknowledged=at_most, max_bytes=3000)
    watch = world.client("watch", clean=False)
    watch.send(mqtt_subscribe(1, ("#", 0)))
    peers = [Peer(world) for _ in range(3)]
    for what, which, data in course:
        if what == "wait":
            world.pass_time(which)
        elif what == "go":
            peers[which].go()
        else:
            if what == "come":
                peers[which] = Peer(world)
            peers[which].send(data)
        assert 0 <= world.memory.ledger.used <= 3000
        for peer in peers:
            packets_of(b"".join(peer.out))  # whole packets, all of them
    assert watch.end() is None
    expected = [each for each in world.heard if not each.subject.startswith("$")]
    assert len([each for each in watch.heard() if each[0] & 0xF0 == 0x30]) == len(expected)

    for peer in peers:
        peer.go()
    watch.go()
    for name in ("one", "two", "watch"):
        world.pass_time(2)
        last = world.client(name, clean=True)
        last.send(DISCONNECT)
    kept = sum(len(each.topic) + len(each.payload) + 256 for _, each in world.memory.retained.match(">"))
    assert world.memory.ledger.used == kept
    assert len(world.trie) == 0
    assert world.memory.sessions == {}


@given(st.binary(max_size=200))
def test_any_bytes_after_a_connect(data: bytes) -> None:
    whole, slow = World().client(), World().client()
    whole.send(data)
    for byte in data:
        slow.send(bytes([byte]))
    assert (slow.end(), slow.heard()) == (whole.end(), whole.heard())
