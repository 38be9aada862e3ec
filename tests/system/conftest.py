"""System tests need the real nats-server; each is told apart by the folder, not by a marker."""

from __future__ import annotations

import pytest

from tests import components


@pytest.fixture(autouse=True)
def _needs_the_server() -> None:
    components.require("nats-server")
