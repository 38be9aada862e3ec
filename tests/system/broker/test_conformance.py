"""Three hundred of the cases of `make conformance`, always the same ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from tests.conformance.runner import Arena, rounds
from tests.conformance.themes import THEMES

CASES: Final = 300
SEED: Final = 20_260
_WEIGHTS: Final = sum(weight for _, weight in THEMES.values())


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with Arena() as arena:
        yield arena


@pytest.mark.component("nats-server")
@pytest.mark.parametrize("theme", sorted(THEMES))
def test_ours_does_what_the_real_server_does(theme: str, arena: Arena) -> None:
    cases, weight = THEMES[theme]
    count = -(-CASES * weight // _WEIGHTS)
    for among in rounds(cases, SEED, count):
        for difference in arena.compare_all(among.drawn):
            pytest.fail(f"{difference.text()}\n{difference.case.to_json()}")
