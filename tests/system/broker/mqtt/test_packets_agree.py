"""Every packet beside the real nats-server: the same bytes go in, the same come out.

Packets of the answers are compared without their order: where the real server has work to do in
JetStream first, it is left open.
"""

from __future__ import annotations

import time
from typing import Any, Final

import pytest

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
from tests.system.broker.transport_scene import Line, MqttLine, Place, all_at_once

CONNECTS: Final[dict[str, dict[str, Any]]] = {
    "good": {},
    "no token": {"password": "x"},
    "no password": {"password": None},
    "neither user nor password": {"user": None, "password": None},
    "a password without a user": {"user": None},
    "an empty user": {"user": ""},
    "a user that is no text": {"user": b"\xff"},
    "a user with a null": {"user": "a\0"},
    "a long user": {"user": "u" * 60_000},
    "a password that is no text": {"password": b"\xff\xfe"},
    "a name that is no text": {"client_id": b"\xff"},
    "a name with a null": {"client_id": "a\0b"},
    **{f"a name with {each!r}": {"client_id": f"a{each}b"} for each in " .*>/\\\t\n\x7fé$#+"},
    "no name, nothing kept": {"client_id": ""},
    "no name, to be kept": {"client_id": "", "clean": False},
    "level 3": {"level": 3},
    "level 5": {"level": 5},
    "level 0x84": {"level": 0x84},
    "the old name": {"name": "MQIsdp", "level": 3},
    "a small name": {"name": "mqtt"},
    "the reserved flag": {"flags": 0xC3},
    "quality of no will": {"flags": 0xCA},
    "retaining no will": {"flags": 0xE2},
    "a will of quality 3": {"will": ("w", b"x"), "will_qos": 3},
    "a will of no topic": {"will": ("", b"x")},
    "a will to all": {"will": ("a/#", b"x")},
    "a will with a blank": {"will": ("a b", b"x")},
    "a will": {"will": ("a", b"")},
}
AFTER: Final[dict[str, bytes]] = {
    "ping": PING,
    "a second connect": mqtt_connect(),
    **{f"packet {kind:02x}": bytes([kind, 0]) for kind in (0x00, 0x20, 0x90, 0xB0, 0xD0, 0xF0)},
    **{f"flags {kind:02x}": bytes([kind, 2, 0, 1]) for kind in (0x41, 0x51, 0x60, 0x71, 0x80, 0xA0)},
    "flags c1": b"\xc1\x00",
    "flags e1": b"\xe1\x00",
    "a ping with more": b"\xc0\x01a",
    "a disconnect with more": b"\xe0\x01a",
    "a puback with more": b"\x40\x03abc",
    "a puback with less": b"\x40\x01a",
    "a size of five bytes": b"\x30\xff\xff\xff\xff\x01",
    **{f"answer {kind:02x} to nothing": mqtt_answer(kind, 9) + PING for kind in (0x40, 0x50, 0x62, 0x70)},
    **{f"answer {kind:02x} to 0": mqtt_answer(kind, 0) + PING for kind in (0x40, 0x50, 0x62, 0x70)},
    "subscribe as 0": mqtt_subscribe(0, ("a", 0)),
    "subscribe to nothing": mqtt_subscribe(1),
    "subscribe to no topic": mqtt_subscribe(1, ("", 0)),
    "subscribe in quality 3": mqtt_subscribe(1, ("a", 3)),
    "subscribe to no text": mqtt_subscribe(1, (b"\xff", 0)),
    "subscribe to a null": mqtt_subscribe(1, ("a\0", 0)),
    "subscribe, cut in the topic": packet(0x82, b"\0\1\0\3ab"),
    "subscribe, cut before the quality": packet(0x82, b"\0\1\0\1a"),
    "subscribe in every quality": mqtt_subscribe(258, ("a", 0), ("b", 1), ("c", 2)),
    "subscribe to the odd": mqtt_subscribe(
        2,
        *(
            (each, 0)
            for each in (
                *("a b", "a/+/b", "#", "a#", "+a", "a/#/b", "/", "//", "a.b", "$MQTT/x", "$SYS/x"),
                *("a\x7f", "é/ü", "a/*", "a/>/b", ">", "+/+", "a/", "/a", ".", "a//b", "a\tb", "#/a"),
            )
        ),
    ),
    "unsubscribe": mqtt_unsubscribe(3, "a", "b b"),
    "unsubscribe from nothing": mqtt_unsubscribe(3),
    "unsubscribe from no topic": mqtt_unsubscribe(3, ""),
    "publish": mqtt_publish("a", b"x") + PING,
    "publish in quality 1": mqtt_publish("a", b"x", qos=1, number=7),
    "publish in quality 2": mqtt_publish("a", b"x", qos=2, number=7),
    "publish in quality 3": mqtt_publish("a", b"x", qos=3, number=7),
    "publish as 0": mqtt_publish("a", b"x", qos=1, number=0),
    "publish to nothing": mqtt_publish("", b"x"),
    "publish to one level": mqtt_publish("a/+", b"x"),
    "publish to all": mqtt_publish("#", b"x"),
    "publish to a blank": mqtt_publish("a b", b"x"),
    "publish to a DEL": mqtt_publish("a\x7f", b"x"),
    "publish to no text": mqtt_publish(b"\xff", b"x"),
    "publish to a null": mqtt_publish("a\0", b"x"),
    "publish to a star": mqtt_publish("a/*", b"x") + PING,
    "publish to a star in quality 1": mqtt_publish("a/*", b"x", qos=1, number=1) + PING,
    "publish to >": mqtt_publish(">", b"x") + PING,
    "publish, cut in the topic": packet(0x30, b"\0\5ab") + PING + PING,
    "publish, cut in the number": packet(0x32, b"\0\1a\0") + PING,
    "publish again": mqtt_publish("a", b"x", dup=True) + PING,
    "publish to $SYS": mqtt_publish("$SYS/a", b"x") + PING,
    "publish to $MQTT": mqtt_publish("$MQTT/a", b"x", qos=1, number=1) + PING,
    "publish the most": mqtt_publish("a", b"x" * (1_048_576 - 25)) + PING,
    "publish more": mqtt_publish("a", b"x" * (1_048_576 - 24)) + PING,
    "publish the most in quality 2": mqtt_publish("a", b"x" * (1_048_576 - 43), qos=2, number=3) + PING,
    "publish more in quality 2": mqtt_publish("a", b"x" * (1_048_576 - 42), qos=2, number=3) + PING,
    "publish to itself": mqtt_subscribe(1, ("own/#", 0))
    + mqtt_publish("own/b", b"x")
    + mqtt_publish("own", b"y"),
    "disconnect": DISCONNECT,
    "disconnect and more": DISCONNECT + PING,
}
FIRST: Final[dict[str, bytes]] = {
    "a ping first": PING,
    "HTTP": b"GET / HTTP/1.1\r\n",
    "a size that never ends": b"\x10\xff\xff\xff\xff\x01",
    "a size beyond all": b"\x10\xff\xff\xff\x7f",
    "a size beyond a message": b"\x10\x80\x80\x40",
    "a connect that is too short": packet(0x10, text("MQTT") + bytes([4, 0xC2, 0])),
    "a connect with flags": b"\x11" + mqtt_connect()[1:],
}


def single(place: Place) -> dict[str, tuple[list[bytes], bool]]:
    """Every script on a connection of its own."""
    # Who subscribes does so in another account: what the others publish would be heard at any time.
    token, apart = place.token(), place.token("C")
    scripts = dict(FIRST)
    for at, (name, how) in enumerate(CONNECTS.items()):
        scripts[f"connect: {name}"] = mqtt_connect(**{"client_id": f"k{at}", "password": token, **how})
    for at, (name, data) in enumerate(AFTER.items()):
        scripts[name] = mqtt_connect(f"s{at}", password=apart if name.startswith("sub") else token) + data
    heard = all_at_once({name: (Line(place.mqtt), data) for name, data in scripts.items()}, seconds=1.5)
    return {name: (sorted(packets_of(each.data)), each.closed) for name, each in heard.items()}


def test_every_packet_has_the_same_answer(places: tuple[Place, Place]) -> None:
    real, ours = map(single, places)
    assert ours == real


def test_tokens_and_types(places: tuple[Place, Place]) -> None:
    def scene(place: Place) -> list[tuple[bytes, bool]]:
        tokens = [
            place.token(allowed_connection_types=("MQTT",)),
            place.token(allowed_connection_types=("MQTT_WS",)),
            place.token(allowed_connection_types=("STANDARD", "mqtt")),
            place.token(allowed_connection_types=("NONE",)),
            place.token(bearer=False),
            place.token(subs=0),
            place.token(subs=1, payload=10),
        ]
        script = mqtt_subscribe(1, ("a/#", 1)) + mqtt_publish("b", b"x" * 20) + PING
        lines = {
            str(at): (Line(place.mqtt), mqtt_connect(f"t{at}", password=token) + script)
            for at, token in enumerate(tokens)
        }
        return [(each.data, each.closed) for each in all_at_once(lines).values()]

    real, ours = map(scene, places)
    assert ours == real
    assert real[1] == (b"\x20\x02\x00\x05", True)


@pytest.mark.parametrize(("keep_alive", "patience"), [(1, 1.0), (3, 4.0)])
def test_silence_ends_it(places: tuple[Place, Place], keep_alive: int, patience: float) -> None:
    for place in places:
        line = MqttLine(place, f"silent{keep_alive}", keep_alive=keep_alive)
        start = time.monotonic()
        assert not line.more(patience + 1)
        assert line.closed
        assert abs(time.monotonic() - start - patience) < 0.4


def test_no_connect_ends_it(places: tuple[Place, Place]) -> None:
    for place in places:
        with Line(place.mqtt) as line:
            start = time.monotonic()
            heard = line.hear(first=4)
            assert (heard.data, heard.closed) == (b"", True)
            assert abs(time.monotonic() - start - 2) < 0.5
