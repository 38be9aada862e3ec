"""Every test here runs on the real server and on ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.system.broker.callout.scene import Scene, Which


@pytest.fixture(scope="module", params=["real", "ours"])
def which(request: pytest.FixtureRequest) -> Which:
    found: Which = request.param
    return found


@pytest.fixture(scope="module")
def shared(which: Which) -> Iterator[Scene]:
    """A scene that nobody changes."""
    with Scene() as scene:
        scene.play(which)
        yield scene


@pytest.fixture(scope="module")
def shared_sealed(which: Which) -> Iterator[Scene]:
    """The same with a curve key."""
    with Scene(xkey=True) as scene:
        scene.play(which)
        yield scene


@pytest.fixture
def own(which: Which) -> Iterator[Callable[..., Scene]]:
    """A scene for one test; `play` it when its claims are said."""
    made: list[Scene] = []

    def make(**options: Any) -> Scene:
        scene = Scene(**options)
        made.append(scene)
        return scene

    try:
        yield make
    finally:
        for scene in made:
            scene.__exit__()
