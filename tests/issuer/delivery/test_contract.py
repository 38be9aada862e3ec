"""The double keeps to what the real servers do; tests/system asks the same of those."""

from __future__ import annotations

import asyncio

import pytest

from tests.fleet_simulator import SimulatedFleet
from tests.issuer.delivery.contract import RULES, Rule
from tests.issuer.delivery.town import Town


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("servers", [1, 3])
def test_the_double_keeps_the_contract(town: Town, rule: Rule, servers: int) -> None:
    async def ask() -> None:
        fleet = SimulatedFleet(town.operator.public, *(f"s{i}" for i in range(servers)))
        await rule(await fleet.connect(), town, servers)

    asyncio.run(ask())
