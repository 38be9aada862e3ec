"""What changes while MQTT clients are connected, and what monitoring shows of them, beside the real server."""

from __future__ import annotations

import time
from typing import Any

from issuer.claims.fields import Permissions
from tests.broker.mqtt.wire import DISCONNECT, PING, mqtt_connect, mqtt_publish
from tests.system.broker.mqtt.scene import account, hears, permission
from tests.system.broker.transport_scene import Line, MqttLine, Place


def test_changes_of_an_account(places: tuple[Place, Place]) -> None:
    wide = {"conn": 5}

    def scene(place: Place) -> Any:
        line = MqttLine(place, "live1", letter="D")
        place.push(account("D", limits={"conn": 1, "disallow_bearer": True}))
        found = {"bearers shut out": hears(line)}
        place.push(account("D", limits=wide))
        older, newer = MqttLine(place, "live2", letter="D"), MqttLine(place, "live3", letter="D")
        place.push(account("D", limits={"conn": 1}))
        found["pruned"] = [*hears(older, 0.3), "|", *hears(newer)]
        place.push(account("D", limits=wide))
        line = MqttLine(place, "live4", letter="D")
        place.push(account("D", limits=wide, revocations={"*": int(time.time()) + 5}))
        found["revoked"] = hears(line)
        place.push(account("D", limits=wide, default_permissions=Permissions(sub=permission("d.>"))))
        line = MqttLine(place, "live5", letter="D")
        found["granted"] = [line.subscribe(("d/a", 1), ("e/a", 1), ("d/#", 0))]
        place.push(account("D", limits=wide, default_permissions=Permissions(sub=permission("e.>"))))
        found["taken away"] = hears(line, 0.3)
        line.send(mqtt_publish("d/a", b"0"), PING)
        found["then"] = hears(line, 0.3)
        place.push(account("D", limits={"conn": 5, "subs": 0}))
        found["no subscriptions"] = hears(line)
        with Line(place.mqtt) as late:
            late.send(mqtt_connect("live6", password=place.token("D")))
            heard = late.hear(quiet=0.4)
            found["none at all"] = [heard.data, str(heard.closed)]
        return found

    real, ours = map(scene, places)
    assert ours == real


def test_a_token_whose_time_is_over(places: tuple[Place, Place]) -> None:
    def scene(place: Place) -> Any:
        watch = MqttLine(place, "heir")
        watch.subscribe(("end/#", 0))
        line = MqttLine(
            place, "mortal", token=place.token(expires=int(time.time()) + 2), will=("end/x", b"gone")
        )
        return hears(line, 3), hears(watch, 0.3)

    real, ours = map(scene, places)
    assert ours == real


def test_what_monitoring_shows(places: tuple[Place, Place]) -> None:
    shown = ("type", "kind", "reason", "subscriptions", "in_msgs", "in_bytes")

    def scene(place: Place) -> Any:
        line = MqttLine(place, "shown")
        line.subscribe(("mon/#", 1))
        line.say(mqtt_publish("mon/x", b"12345"))
        with MqttLine(place, "gone") as gone:
            gone.send(DISCONNECT)
            gone.hear()
        connections = {each.get("mqtt_client"): each for each in place.connections()}
        return [{name: connections[client].get(name) for name in shown} for client in ("shown", "gone")]

    real, ours = map(scene, places)
    assert ours == real
