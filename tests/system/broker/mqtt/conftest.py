"""The real server and ours, each with the MQTT way in; they last for a whole module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.broker.mqtt.scene import ACCOUNTS, HOUSES
from tests.system.broker.transport_scene import MqttLine, Place, hang_up


@pytest.fixture(scope="module")
def places() -> Iterator[tuple[Place, Place]]:
    """The real server, and ours."""
    block = 'ack_wait: "1s", max_ack_pending: 3'
    with (
        Place("real", mqtt=block, houses=HOUSES, accounts=ACCOUNTS) as real,
        Place("ours", mqtt=block, houses=HOUSES, accounts=ACCOUNTS) as ours,
    ):
        for letter in HOUSES:
            MqttLine(real, "first", letter=letter)  # what an account needs of JetStream is made at its first
            MqttLine(ours, "first", letter=letter)
        hang_up()
        yield real, ours


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    hang_up()
