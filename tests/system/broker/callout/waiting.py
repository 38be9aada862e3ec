"""Clients at the door whose answer is held back."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from tests.system.broker.callout.rows import GOOD, Play
from tests.system.broker.callout.scene import Request, Scene, Seen

LONG: Final = 10.0
"""Seconds a server waits for an answer, where it is to come in time whatever happens before."""


class Waiting:
    """An attempt whose answer is held back until somebody wants to see what becomes of it."""

    def __init__(self, scene: Scene, play: Play = GOOD) -> None:
        self._found: list[Seen] = []
        self._answer = threading.Event()
        asked = threading.Event()

        def answer(request: Request) -> Sequence[bytes]:
            asked.set()
            assert self._answer.wait(2 * LONG)
            return [play(scene, request)]

        def run() -> None:
            self._found.append(scene.attempt(answer)[1])

        self._thread = threading.Thread(target=run)
        self._thread.start()
        assert asked.wait(5)

    def seen(self) -> Seen:
        self.answer()
        return self.unanswered()

    def answer(self) -> None:
        self._answer.set()

    def unanswered(self) -> Seen:
        """What becomes of it without an answer."""
        self._thread.join()
        return self._found[0]
