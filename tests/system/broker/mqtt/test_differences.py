"""Where MQTT differs from nats-server on purpose: both servers asked (docs/broker/differences.md)."""

from __future__ import annotations

import time
from typing import Any

from issuer.claims.fields import Permissions
from tests.broker.mqtt.wire import (
    mqtt_answer,
    mqtt_connect,
    mqtt_publish,
    mqtt_subscribe,
    packet,
)
from tests.system.broker.mqtt.scene import account, hears, permission
from tests.system.broker.transport_scene import Line, MqttLine, Place

IN = b"\x20\x02\x00\x00"


def test_a_connect_longer_than_it_says(places: tuple[Place, Place]) -> None:
    """What follows in the packet is the next packet to nats-server; to us it is no CONNECT."""

    def scene(place: Place) -> tuple[bytes, bool]:
        with Line(place.mqtt) as line:
            body = mqtt_connect("long", password=place.token())[3:]
            line.send(packet(0x10, body + b"\xc0\x00"))
            heard = line.hear()
            return heard.data, heard.closed

    real, ours = map(scene, places)
    assert real == (IN + b"\xd0\x00", False)
    assert ours == (b"", True)


def test_quality_1_through_an_import(places: tuple[Place, Place]) -> None:
    """nats-server loses it, though it delivers the same message in quality 0."""

    def scene(place: Place) -> tuple[Any, Any]:
        stream, service = MqttLine(place, "b", letter="B"), MqttLine(place, "a")
        stream.subscribe(("im/#", 1))
        service.subscribe(("svc/#", 1))
        MqttLine(place, "a2").say(mqtt_publish("ev/x", b"1", qos=1, number=1))
        MqttLine(place, "b2", letter="B").say(mqtt_publish("svc/x", b"1", qos=1, number=1))
        return hears(stream, 0.4), hears(service, 0.2)

    real, ours = map(scene, places)
    assert real == ([], [])
    assert ours == (
        [mqtt_publish("im/x", b"1", qos=1, number=1)],
        [mqtt_publish("svc/x", b"1", qos=1, number=1)],
    )


def test_a_subscription_that_is_taken_away(places: tuple[Place, Place]) -> None:
    """nats-server goes on with its messages of quality 1."""

    def scene(place: Place) -> Any:
        place.push(account("D", default_permissions=Permissions(sub=permission("d.>"))))
        line = MqttLine(place, "held", letter="D")
        line.subscribe(("d/a", 1))
        place.push(account("D", default_permissions=Permissions(sub=permission("e.>"))))
        time.sleep(0.2)
        other = MqttLine(place, "other", letter="D")
        other.say(mqtt_publish("d/a", b"0"), mqtt_publish("d/a", b"1", qos=1, number=1))
        return hears(line, 0.4)

    real, ours = map(scene, places)
    assert real == [mqtt_publish("d/a", b"1", qos=1, number=1)]
    assert ours == []


def test_what_was_staged_before_a_new_beginning(places: tuple[Place, Place]) -> None:
    """nats-server takes the next message of this number for the same one again, and publishes the old."""

    def scene(place: Place) -> Any:
        watch = MqttLine(place, "watch")
        watch.subscribe(("st/#", 0))
        for payload in (b"old", b"new"):
            line = MqttLine(place, "stages")
            line.send(mqtt_publish("st/a", payload, qos=2, number=5))
            line.next()
            if payload == b"new":
                time.sleep(0.1)
                line.send(mqtt_answer(0x62, 5))
                line.next()
            line.close()
            time.sleep(0.2)
        return hears(watch, 0.4)

    real, ours = map(scene, places)
    assert real == [mqtt_publish("st/a", b"old")]
    assert ours == [mqtt_publish("st/a", b"new")]


def test_a_release_on_the_heels_of_its_message(places: tuple[Place, Place]) -> None:
    """nats-server ends the connection when the release comes before JetStream has stored the message."""
    place = places[1]
    with Line(place.mqtt) as line:
        line.send(mqtt_connect("fast", password=place.token()))
        line.send(mqtt_publish("x", b"1", qos=2, number=5), mqtt_answer(0x62, 5))
        assert line.hear().data == IN + mqtt_answer(0x50, 5) + mqtt_answer(0x70, 5)


def test_the_server_s_own_subjects(places: tuple[Place, Place]) -> None:
    """nats-server keeps and gives messages by messages, which a NATS client hears as well."""

    def scene(place: Place) -> set[bytes]:
        nats = place.nats()
        nats.say(b"SUB > 1\r\n")
        line = MqttLine(place, "seen")
        line.send(mqtt_subscribe(1, ("seen/a", 1)), mqtt_publish("seen/a", b"1", qos=1, number=1))
        hears(line, 0.4)
        lines = nats.say().split(b"\r\n")
        return {each.split(b" ")[1] for each in lines if each.startswith((b"MSG ", b"HMSG "))}

    real, ours = map(scene, places)
    assert b"seen.a" in real
    assert any(subject.startswith(b"$MQTT.") for subject in real)
    assert ours == {b"seen.a"}
