"""Auth callouts: when the service is asked."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.system.broker.callout.rows import FULL, GOOD, ROWS, attempt
from tests.system.broker.callout.scene import Scene, Which
from tests.system.broker.callout.waiting import LONG, Waiting

pytestmark = pytest.mark.component("nats-server")


def asked(which: Which) -> int:
    """How often the service is asked when the account takes two besides it, and a third comes while one waits."""
    with Scene(timeout=LONG) as scene:
        scene.change("C", limits=replace(scene.claims["C"].nats.limits, conn=2))
        scene.play(which)
        waiting = Waiting(scene, GOOD)
        late = scene.wire(jwt=scene.sentinel_token)
        late.connect()
        assert late.until_pong() == [f"-ERR '{FULL}'", "closed"]
        assert waiting.seen().account == "A"
        # The service takes one question after another: this answer comes after all before it.
        attempt(scene, ROWS["good"])
        return len(scene.requests)


def test_a_full_account_s_service_is_not_asked_in_vain() -> None:
    assert [asked("real"), asked("ours")] == [3, 2]
