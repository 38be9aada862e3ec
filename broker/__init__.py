"""The reference broker: enforces the claims exactly as nats-server does, and can say why.

async with Broker() as broker:
    connection = await nats.connect(broker.url)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from broker.configuration.options import Options
    from broker.server import Broker

__all__ = ["Broker", "Options"]


def __getattr__(name: str) -> Any:
    # Loaded when asked for: the pure parts are used where no broker runs.
    if name == "Broker":
        from broker.server import Broker

        return Broker
    if name == "Options":
        from broker.configuration.options import Options

        return Options
    raise AttributeError(f"module 'broker' has no attribute {name!r}")
