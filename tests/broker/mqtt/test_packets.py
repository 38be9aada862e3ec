"""Packets: read whole, byte by byte, and with bytes left over; written as the standard says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.mqtt import packets
from broker.mqtt.packets import (
    Acknowledgement,
    Connect,
    Disconnect,
    Packet,
    PacketFault,
    PingRequest,
    Publish,
    Reader,
    Refusal,
    Subscribe,
    TooLong,
    Unsubscribe,
    Will,
)
from tests.broker.mqtt.wire import (
    DISCONNECT,
    PING,
    mqtt_answer,
    mqtt_connect,
    mqtt_publish,
    mqtt_subscribe,
    mqtt_unsubscribe,
    packet,
    packets_of,
    text,
)

LIMIT = 1 << 20


def every(reader: Reader) -> list[Packet]:
    found = []
    while (each := reader.next()) is not None:
        found.append(each)
    return found


def read(data: bytes, *, reject_qos2: bool = False) -> list[Packet]:
    """The packets in these bytes, the same however they come; behind them waits half of another."""
    whole = Reader(LIMIT, reject_qos2=reject_qos2)
    whole.feed(data + PING[:1])
    found = every(whole)
    assert whole.buffered == 1
    slow = Reader(LIMIT, reject_qos2=reject_qos2)
    trickled = []
    for byte in data:
        slow.feed(bytes([byte]))
        trickled += every(slow)
    assert trickled == found
    assert slow.buffered == 0
    return found


def fault(data: bytes, *, reject_qos2: bool = False) -> PacketFault:
    """The fault in these bytes, the same however they come."""
    whole = Reader(LIMIT, reject_qos2=reject_qos2)
    whole.feed(data)
    with pytest.raises(PacketFault) as caught:
        every(whole)
    slow = Reader(LIMIT, reject_qos2=reject_qos2)

    def trickle() -> None:
        for byte in data:
            slow.feed(bytes([byte]))
            every(slow)

    with pytest.raises(PacketFault) as later:
        trickle()
    assert (str(later.value), later.value.refusal) == (str(caught.value), caught.value.refusal)
    return caught.value


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (mqtt_connect("c", user=None), Connect("c", clean=True, keep_alive=0)),
        (
            mqtt_connect("c", password="p", clean=False, keep_alive=60),
            Connect("c", clean=False, keep_alive=60, user="u", password="p"),
        ),
        (
            mqtt_connect("c", user=None, will=("a/b", b"\xff"), will_qos=2, will_retain=True),
            Connect("c", clean=True, keep_alive=0, will=Will("a/b", b"\xff", 2, retain=True)),
        ),
        (mqtt_connect("", user=None), Connect("", clean=True, keep_alive=0)),
        (
            mqtt_connect("é/$#+", user="ü", password=b"\xff"),
            Connect("é/$#+", clean=True, keep_alive=0, user="ü", password="\N{REPLACEMENT CHARACTER}"),
        ),
        (mqtt_publish("a", b"x"), Publish("a", b"x")),
        (mqtt_publish("a/é", b"", qos=1, number=7), Publish("a/é", b"", 1, 7)),
        (
            mqtt_publish("a", b"x" * 200, qos=2, number=65_535, retain=True, dup=True),
            Publish("a", b"x" * 200, 2, 65_535, retain=True, dup=True),
        ),
        (mqtt_answer(0x40, 1), Acknowledgement(packets.PUBACK, 1)),
        (mqtt_answer(0x50, 2), Acknowledgement(packets.PUBREC, 2)),
        (mqtt_answer(0x62, 3), Acknowledgement(packets.PUBREL, 3)),
        (mqtt_answer(0x70, 258), Acknowledgement(packets.PUBCOMP, 258)),
        (mqtt_subscribe(1, ("a", 0), ("b/#", 2)), Subscribe(1, (("a", 0), ("b/#", 2)))),
        (mqtt_unsubscribe(2, "a", "b b"), Unsubscribe(2, ("a", "b b"))),
        (PING, PingRequest()),
        (DISCONNECT, Disconnect()),
    ],
)
def test_what_clients_may_send(data: bytes, value: Packet) -> None:
    assert read(data) == [value]
    assert read(data + data + PING) == [value, value, PingRequest()]


CONNECTS: list[tuple[bytes, Refusal | None]] = [
    (mqtt_connect(level=3), Refusal.PROTOCOL_LEVEL),
    (mqtt_connect(level=5), Refusal.PROTOCOL_LEVEL),
    (mqtt_connect(name="MQIsdp", level=3), None),
    (mqtt_connect(name="mqtt"), None),
    (mqtt_connect(flags=0x83), None),
    (mqtt_connect(flags=0x8A), None),
    (mqtt_connect(flags=0xA2), None),
    (mqtt_connect(will=("a", b""), will_qos=3), None),
    (mqtt_connect(will=("", b"")), None),
    (mqtt_connect(will=(b"\xff", b"")), None),
    (mqtt_connect(user=None, password="p"), None),
    (mqtt_connect(user=""), Refusal.USER_OR_PASSWORD),
    (mqtt_connect(user=b"\xff"), Refusal.USER_OR_PASSWORD),
    (mqtt_connect(user="a\0"), Refusal.USER_OR_PASSWORD),
    (mqtt_connect(b"\xff"), Refusal.CLIENT_ID),
    (mqtt_connect("a\0"), Refusal.CLIENT_ID),
    *((mqtt_connect(f"a{blank}b"), Refusal.CLIENT_ID) for blank in " \t\r\n\f.*>"),
    (mqtt_connect("", clean=False), Refusal.CLIENT_ID),
    (packet(0x10, text("MQTT") + bytes([4, 0x82, 0])), None),
    (packet(0x10, mqtt_connect(user=None)[2:] + b"more"), None),
    (packet(0x10, b""), None),
]


@pytest.mark.parametrize(("data", "refusal"), CONNECTS)
def test_connects_that_none_may_send(data: bytes, refusal: Refusal | None) -> None:
    assert fault(data).refusal is refusal


def test_a_client_that_is_refused_its_quality() -> None:
    assert fault(mqtt_connect(will=("a", b""), will_qos=2), reject_qos2=True).refusal is Refusal.WILL_QOS_2
    assert fault(mqtt_publish("a", qos=2, number=1), reject_qos2=True).refusal is None
    assert read(mqtt_publish("a", qos=1, number=1), reject_qos2=True) == [Publish("a", b"", 1, 1)]


@pytest.mark.parametrize(
    "data",
    [
        *(bytes([kind, 0]) for kind in (0x00, 0x20, 0x90, 0xB0, 0xD0, 0xF0)),
        *(bytes([kind, 2, 0, 1]) for kind in (0x41, 0x51, 0x60, 0x71, 0x80, 0xA0)),
        b"\x11\x00",
        b"\xc1\x00",
        b"\xe1\x00",
        b"\xc0\x01a",
        b"\xe0\x01a",
        b"\x40\x03abc",
        b"\x40\x01a",
        b"\x62\x00",
        b"\x30\xff\xff\xff\xff\x01",
        *(mqtt_answer(kind, 0) for kind in (0x40, 0x50, 0x62, 0x70)),
        mqtt_subscribe(0, ("a", 0)),
        mqtt_subscribe(1),
        mqtt_subscribe(1, ("", 0)),
        mqtt_subscribe(1, ("a", 3)),
        mqtt_subscribe(1, (b"\xff", 0)),
        mqtt_subscribe(1, ("a\0", 0)),
        packet(0x82, b"\0\1\0\3ab"),
        packet(0x82, b"\0\1\0\1a"),
        mqtt_unsubscribe(1),
        mqtt_unsubscribe(1, ""),
        mqtt_unsubscribe(0, "a"),
        mqtt_publish("a", qos=3, number=1),
        mqtt_publish("a", qos=1, number=0),
        mqtt_publish(""),
        mqtt_publish(b"\xff"),
        mqtt_publish("a\0"),
        packet(0x30, b"\0\5ab"),
        packet(0x32, b"\0\1a\0"),
        packet(0x30, b"\0"),
    ],
)
def test_what_none_may_send(data: bytes) -> None:
    assert fault(data).refusal is None


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 100_000])
def test_sizes(size: int) -> None:
    payload = b"x" * size
    (found,) = packets_of(packets.publish(b"a", payload))
    reader = Reader(LIMIT)
    reader.feed(found)
    assert reader.next() == Publish("a", payload)


def test_nothing_longer_than_the_limit_is_waited_for() -> None:
    reader = Reader(50)
    reader.feed(mqtt_publish("a", b"x" * 45))
    assert reader.next() == Publish("a", b"x" * 45)
    reader.feed(b"\x30\x31")
    with pytest.raises(TooLong):
        reader.next()


def test_what_the_broker_writes() -> None:
    assert packets.connack() == b"\x20\x02\x00\x00"
    assert packets.connack(present=True) == b"\x20\x02\x01\x00"
    assert packets.connack(Refusal.NOT_AUTHORIZED, present=True) == b"\x20\x02\x00\x05"
    assert packets.answer(packets.PUBACK, 258) == b"\x40\x02\x01\x02"
    assert packets.answer(packets.PUBREL, 1) == b"\x62\x02\x00\x01"
    assert packets.answer(packets.UNSUBACK, 1) == b"\xb0\x02\x00\x01"
    assert packets.suback(1, (0, 1, 0x80)) == b"\x90\x05\x00\x01\x00\x01\x80"
    assert packets.publish(b"a/b", b"hi", qos=1, number=3, dup=True) == b"\x3a\x09\x00\x03a/b\x00\x03hi"
    assert packets.PING_RESPONSE == b"\xd0\x00"


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(read(mqtt_connect(password="secret")))


topics = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
numbers = st.integers(1, 65_535)
publishes = st.builds(
    lambda topic, payload, qos, number, retain, dup: Publish(
        topic, payload, qos, number if qos else 0, retain, dup
    ),
    topics,
    st.binary(max_size=200),
    st.integers(0, 2),
    numbers,
    st.booleans(),
    st.booleans(),
)


@given(st.lists(publishes, max_size=4))
def test_messages_can_be_read_as_they_were_written(messages: list[Publish]) -> None:
    data = b"".join(
        packets.publish(
            each.topic.encode(),
            each.payload,
            qos=each.qos,
            number=each.number,
            retain=each.retain,
            dup=each.dup,
        )
        for each in messages
    )
    assert read(data) == messages


@given(numbers, st.lists(st.tuples(topics, st.integers(0, 2)), min_size=1, max_size=5))
def test_subscriptions_can_be_read(number: int, filters: list[tuple[str, int]]) -> None:
    assert read(mqtt_subscribe(number, *filters)) == [Subscribe(number, tuple(filters))]
    names = [name for name, _ in filters]
    assert read(mqtt_unsubscribe(number, *names)) == [Unsubscribe(number, tuple(names))]


def outcome(feed: Callable[[Reader], None]) -> list[object]:
    reader = Reader(LIMIT)
    found: list[object] = []
    try:
        feed(reader)
        while (each := reader.next()) is not None:
            found.append(each)
    except (PacketFault, TooLong) as error:
        found.append(type(error))
    return found


@given(st.binary(max_size=60) | st.lists(publishes.map(lambda p: p.payload)).map(b"".join))
def test_any_bytes_end_the_same_way_however_they_come(data: bytes) -> None:
    whole = outcome(lambda reader: reader.feed(data))
    slow = Reader(LIMIT)
    found: list[object] = []
    try:
        for byte in data:
            slow.feed(bytes([byte]))
            while (each := slow.next()) is not None:
                found.append(each)
    except (PacketFault, TooLong) as error:
        found.append(type(error))
    assert found == whole


@given(st.integers(0, (1 << 28) - 1))
def test_sizes_are_written_as_the_standard_says(size: int) -> None:
    written = packets.size_of(size)
    assert sum((byte & 0x7F) << (7 * at) for at, byte in enumerate(written)) == size
    assert [byte >> 7 for byte in written] == [1] * (len(written) - 1) + [0]
    assert 1 <= len(written) <= 4
